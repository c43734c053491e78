// judge_own(): findings from what was found, each type of key by itself, and the order of changes.
#include "check/own.h"

#include <algorithm>

#include "tests/unit/check/check_support.h"

using namespace check_test;
using check::Level;
using Codes = std::vector<std::string>;
namespace pt = plan_test;

namespace {

const std::string file =
    "version: STSv1\r\nmode: enforce\r\nmx: mx.example.com\r\nmax_age: 2419200\r\n";

dns::RawLookup txt(const std::vector<std::string>& texts) {
  dns::RawAnswer raw;
  raw.existence = texts.empty() ? dns::Existence::nodata : dns::Existence::data;
  for (const std::string& text : texts) {
    raw.records.push_back(std::string(1, static_cast<char>(text.size())) + text);
  }
  return raw;
}

// A domain as it should be: policy, TLSA for the one key, both types of key tried.
struct OwnMade {
  Made made = check_test::made();
  check::OwnSeen seen{pt::name("example.com")};
  policy::Evidence rsa = policy::HandshakeFailed{"no shared signature algorithm"};
  policy::Evidence ecdsa = pt::matching(pt::session());
  policy::Evidence eddsa = rsa;

  OwnMade() {
    made.hosts[0].dane = pt::usable();
    made.setup.with(pt::sts(policy::StsMode::enforce));
    seen.time = base::WallTime(std::chrono::days(20000));
    seen.body = policy::StsBody(file);
    seen.tls_rpt = txt({"v=TLSRPTv1; rua=mailto:a@example.com"});
  }
  std::vector<check::Asked> asked{};
  check::OwnReport judge(std::chrono::days until = std::chrono::days(60)) {
    made.plan();
    made.gathered.asked = asked;
    made.gathered.asked.push_back(
        {dns::Type::TXT, "_mta-sts.example.com", txt({"v=STSv1; id=1;"})});
    seen.gathered = made.gathered;
    seen.keys.clear();
    for (const auto key :
         {proxy::KeyType::rsa, proxy::KeyType::ecdsa, proxy::KeyType::eddsa}) {
      made.gathered.seen = seen.gathered.seen;
      made.shows(key == proxy::KeyType::rsa     ? rsa
                 : key == proxy::KeyType::ecdsa ? ecdsa
                                                : eddsa);
      check::SeenAddress& one = made.seen();
      one.judged_at = seen.time;
      if (one.certificate) one.certificate->not_after = seen.time + until;
      if (const auto* session = std::get_if<policy::TlsSession>(&*one.evidence)) {
        for (const dane::Tlsa& record : records) {
          const bool matched = session->dane->matched == record;
          one.matches.push_back({record, matched, matched ? "" : "no"});
        }
      }
      seen.keys.push_back({key, made.gathered.seen});
    }
    return check::judge_own(seen);
  }
  std::vector<dane::Tlsa> records{pt::tlsa()};
};

Codes of(const check::OwnReport& report, Level level) {
  Codes all;
  for (const check::Finding& one : report.findings) {
    if (one.level == level) all.push_back(one.code);
  }
  return all;
}

Codes advice(const check::OwnReport& report) {
  Codes all;
  for (const check::Advice& one : report.advice) all.push_back(one.code);
  return all;
}

}  // namespace

TEST_CASE("own: a domain as it should be has nothing but passes") {
  const check::OwnReport report = OwnMade().judge();
  CHECK(of(report, Level::fail) == Codes{});
  CHECK(of(report, Level::warn) == Codes{});
  CHECK(of(report, Level::pass) ==
        Codes{"mx", "sts-record", "policy", "approved", "starttls", "tls-rpt"});
  CHECK(advice(report) ==
        Codes{"policy-before-id", "policy-before-mx", "removal", "tlsa-before-key"});
  CHECK(report.certain);
  CHECK(report.worst() == Level::pass);
}

TEST_CASE("own: each type of key is judged by itself") {
  OwnMade one;
  one.rsa = pt::session();
  CHECK(of(one.judge(), Level::fail) == Codes{"tlsa-mismatch"});
  one.rsa = pt::matching(pt::session(policy::ChainState::untrusted, {"else.example"}));
  CHECK(of(one.judge(), Level::fail) == Codes{"certificate-untrusted", "certificate-name"});
}

TEST_CASE("own: no TLS at all is told once, not for each type of key") {
  OwnMade one;
  one.rsa = one.ecdsa = one.eddsa = pt::no_starttls();
  CHECK(of(one.judge(), Level::fail) == Codes{"no-starttls"});
  one.rsa = one.ecdsa = one.eddsa = pt::no_handshake();
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-failed"});
}

TEST_CASE("own: an EdDSA key is judged like others; alone it is a warning") {
  OwnMade one;
  one.eddsa = pt::session();
  CHECK(of(one.judge(), Level::fail) == Codes{"tlsa-mismatch"});
  CHECK(of(one.judge(), Level::warn) == Codes{});
  one.eddsa = one.ecdsa;
  one.ecdsa = one.rsa;
  CHECK(of(one.judge(), Level::fail) == Codes{});
  CHECK(of(one.judge(), Level::warn) == Codes{"eddsa-alone"});
}

TEST_CASE("own: RFC 8461 §7.2: TLS 1.2 is enough, what is below is nothing") {
  OwnMade one;
  const auto version = [](const char* words) {
    policy::TlsSession session = pt::matching(pt::session());
    session.version = words;
    return session;
  };
  one.ecdsa = version("TLSv1.2");
  CHECK(std::ranges::count(of(one.judge(), Level::pass), "tls-1.2") == 1);
  CHECK(one.judge().worst() == Level::pass);
  one.rsa = version("TLSv1.3");
  CHECK(std::ranges::count(of(one.judge(), Level::pass), "tls-1.2") == 0);

  one.rsa = one.ecdsa = one.eddsa = pt::no_handshake();
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-failed"});
  one.seen.old = check::without_handshake(one.seen.gathered.seen, one.seen.keys);
  REQUIRE(one.seen.old.size() == 1);
  REQUIRE(one.seen.old[0].addresses.size() == 1);
  one.seen.old[0].addresses[0].evidence = version("TLSv1.1");
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-old"});
  one.ecdsa = version("TLSv1.3");
  CHECK(of(one.judge(), Level::fail) == Codes{});
  CHECK(check::without_handshake(one.seen.gathered.seen, one.seen.keys)[0].addresses.empty());
}

TEST_CASE("own: a certificate that ends soon is a warning, one that has ended a failure") {
  OwnMade one;
  CHECK(of(one.judge(std::chrono::days(13)), Level::warn) == Codes{"certificate-ends"});
  CHECK(of(one.judge(std::chrono::days(15)), Level::warn) == Codes{});
  one.seen.expire_within = std::chrono::days(30);
  CHECK(of(one.judge(std::chrono::days(15)), Level::warn) == Codes{"certificate-ends"});
  const check::OwnReport over = one.judge(std::chrono::days(-1));
  CHECK(of(over, Level::fail) == Codes{"certificate-expired"});
  CHECK(std::ranges::count(of(over, Level::pass), "starttls") == 0);  // a failure is no pass
}

TEST_CASE("own: the certificate of the policy host that ends soon is a warning") {
  OwnMade one;
  one.seen.body_certificate_end = one.seen.time + std::chrono::days(13);
  CHECK(of(one.judge(), Level::warn) == Codes{"policy-certificate-ends"});
  one.seen.body_certificate_end = one.seen.time + std::chrono::days(15);
  CHECK(of(one.judge(), Level::warn) == Codes{});
}

TEST_CASE("own: the policy file by the linter, the hosts against it, patterns without a host") {
  OwnMade one;
  one.seen.body = policy::StsBody("version: STSv1\nmode: enforced\nmx: a.example\nmax_age: 1\n");
  const Codes failed = of(one.judge(), Level::fail);
  CHECK(std::ranges::count(failed, "policy-invalid") == 1);
  one.seen.body = policy::StsBody(file);
  one.made.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  CHECK(of(one.judge(), Level::fail) == Codes{"not-approved"});
  CHECK(of(one.judge(), Level::warn) == Codes{"pattern-unused"});
  one.seen.body = policy::StsBody(base::fail(pt::fetch_failure()));
  one.made.setup.with(policy::StsUnavailable{"1", pt::fetch_failure()});
  CHECK(of(one.judge(), Level::fail) == Codes{"policy-fetch"});
}

TEST_CASE("own: the next key's TLSA record is a warning that says it may stay") {
  OwnMade one;
  const dane::Tlsa next = pt::tlsa(3, 1, 0x77);
  one.records.push_back(next);
  one.made.hosts[0].dane = pt::usable("mx.example.com", one.records);
  CHECK(of(one.judge(), Level::warn) == Codes{"tlsa-unused"});
}

TEST_CASE("own: RFC 2181 §10.3: an MX that is an alias is a warning") {
  OwnMade one;
  one.asked = {behind_alias("mx.example.com", "host.example.net")};
  CHECK(of(one.judge(), Level::warn) == Codes{"mx-alias"});
  CHECK(of(one.judge(), Level::fail) == Codes{});
}

TEST_CASE("own: the TLS-RPT record: none, two, nowhere to go, no answer") {
  OwnMade one;
  one.seen.tls_rpt = txt({});
  CHECK(of(one.judge(), Level::warn) == Codes{"tls-rpt-none"});
  one.seen.tls_rpt = txt({"v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv1; rua=mailto:c@d.x"});
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-rpt-record"});
  one.seen.tls_rpt = txt({"v=TLSRPTv1; rua=ftp://b.example"});
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-rpt-nowhere"});
  dns::LookupError error;
  error.text = "SERVFAIL";
  one.seen.tls_rpt = dns::RawLookup(base::fail(error));
  CHECK_FALSE(one.judge().certain);
  error.kind = dns::LookupError::Kind::bogus;  // that does not mend itself
  one.seen.tls_rpt = dns::RawLookup(base::fail(error));
  CHECK(one.judge().certain);
  CHECK(of(one.judge(), Level::fail) == Codes{"tls-rpt-lookup"});
}

TEST_CASE("own: what is bogus is a failure for certain, what was not answered is not") {
  const auto judged = [](dns::LookupError::Kind kind) {
    dns::LookupError error;
    error.kind = kind;
    OwnMade one;
    one.made.setup.with(policy::StsUnknown{"it failed"});
    one.asked = {{dns::Type::TXT, "_mta-sts.example.com", dns::RawLookup(base::fail(error))}};
    dane::LookupFailed failed;
    failed.bogus = kind == dns::LookupError::Kind::bogus;
    one.made.hosts[0].dane = failed;
    return one.judge();
  };
  const check::OwnReport bogus = judged(dns::LookupError::Kind::bogus);
  CHECK(bogus.certain);
  CHECK(bogus.worst() == Level::fail);
  const auto todo = [](const check::OwnReport& report) {
    return std::ranges::find(report.findings, "sts-lookup", &check::Finding::code)->todo;
  };
  CHECK(todo(bogus).starts_with("sign the zone of example.com anew"));
  const check::OwnReport silent = judged(dns::LookupError::Kind::timeout);
  CHECK_FALSE(silent.certain);
  CHECK(todo(silent) == "see to the name servers of example.com");
}

TEST_CASE("own: the order of changes follows from what is published") {
  OwnMade one;
  one.made.setup.with(pt::sts(policy::StsMode::testing));
  const check::OwnReport testing = one.judge();
  CHECK(of(testing, Level::warn) == Codes{"sts-testing"});
  REQUIRE(testing.advice.size() == 5);
  CHECK(testing.advice[3].code == "testing-to-enforce");
  CHECK(testing.advice[3].text.find("sternpost report read") != std::string::npos);
  one.seen.tls_rpt = txt({});
  CHECK(one.judge().advice[3].text.find("publish one first") != std::string::npos);
  one.made.setup.with(policy::StsAbsent{"no record"});
  one.made.hosts[0].dane = pt::no_dane();
  one.ecdsa = pt::session();
  one.seen.body = policy::StsBody(base::fail(pt::fetch_failure()));
  const check::OwnReport first = one.judge();
  CHECK(advice(first) == Codes{"first-policy", "first-tlsa"});
  const auto says = [](const check::OwnReport& report, const char* words) {
    return report.advice.front().text.find(words) != std::string::npos;
  };
  CHECK(says(first, "the TLS-RPT record first, then the file in mode testing, the record"));
  one.seen.tls_rpt = txt({"v=TLSRPTv1; rua=mailto:a@example.com"});
  CHECK_FALSE(says(one.judge(), "TLS-RPT record first"));
  CHECK(says(one.judge(), "MTA-STS: the file in mode testing"));
  one.seen.body = policy::StsBody(file);
  CHECK(says(one.judge(), "the file, which is there"));
  one.made.setup.with(policy::StsUnavailable{"1", pt::fetch_failure()});
  CHECK(says(one.judge(), "a new id in the record _mta-sts.example.com last"));
  one.made.setup.with(policy::StsUnknown{"SERVFAIL"});
  CHECK(advice(one.judge()) == Codes{"first-tlsa"});
}

TEST_CASE("docs/own.md names exactly the keys of the JSON, and a terminal obeys nobody") {
  OwnMade one;
  one.made.setup.with(pt::sts(policy::StsMode::enforce, {"other\x1b[31m.example.com"}));
  const check::OwnReport report = one.judge();
  compare_keys(nlohmann::json::parse(check::to_json(report)), "own.md");
  CHECK(check::to_text(report, false).find('\x1b') == std::string::npos);
  CHECK(check::to_json(report).find('\x1b') == std::string::npos);
}
