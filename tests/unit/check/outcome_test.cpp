// decide(): what mail would get, from plans and handshakes; problems: all of them, not the first.
#include <algorithm>

#include "tests/unit/check/check_support.h"

using namespace check_test;
using check::Verdict;
using Kind = proxy::MxFailure::Kind;
using Codes = std::vector<std::string>;
namespace pt = plan_test;

TEST_CASE("the first address that meets its host's plan has the mail") {
  Made one = made(2);
  one.hosts[0].dane = pt::usable();
  one.hosts[0].addresses.push_back(pt::ip("192.0.2.9"));
  one.plan();
  one.shows(pt::session(), 0, 0);
  one.shows(pt::matching(pt::session()), 0, 1);
  one.shows(pt::session(), 1);
  const check::Outcome outcome = one.decide().outcome;
  CHECK(outcome.verdict == Verdict::delivered);
  CHECK(outcome.mx == "mx.example.com");
  REQUIRE(outcome.ip);
  CHECK(outcome.ip->str() == "192.0.2.9");
  CHECK(outcome.protection == "authenticated");
  CHECK(outcome.peer_auth == "dane-ee");
  CHECK(outcome.certain);
}

TEST_CASE("a host that fails its policy is passed over for the next; cleartext where none asks") {
  Made one = made(2);
  one.hosts[0].dane = pt::usable();
  one.plan();
  one.shows(pt::session(), 0);
  one.shows(pt::no_starttls(), 1);
  const check::Outcome outcome = one.decide().outcome;
  CHECK(outcome.verdict == Verdict::delivered);
  CHECK(outcome.mx == "mx2.example.com");
  CHECK(outcome.protection == "cleartext");
}

TEST_CASE("a failed handshake without a policy is followed by cleartext, as for a message") {
  Made one = made();
  one.plan();
  one.shows(pt::no_handshake());
  CHECK(one.decide().outcome.verdict == Verdict::delivered);
  CHECK(one.decide().outcome.protection == "cleartext");
  one.hosts[0].dane = pt::unusable();
  one.plan();
  one.shows(pt::no_handshake());
  CHECK(one.decide().outcome.verdict == Verdict::deferred);
}

TEST_CASE("of several failures the policy's is told before a dead backup's") {
  Made one = made(2);
  one.hosts[1].dane = pt::usable("mx2.example.com");
  one.plan();
  one.fails(Kind::unreachable, "Connection refused", 0);
  one.shows(pt::session(), 1);
  const check::Decided decided = one.decide();
  CHECK(decided.outcome.verdict == Verdict::deferred);
  REQUIRE(decided.outcome.reply);
  CHECK(pt::code(*decided.outcome.reply) == "451 4.7.5");
  CHECK_FALSE(decided.by_sts);
}

TEST_CASE("a policy's refusal is marked, so that the policy is asked for again") {
  Made one = made();
  one.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  one.plan();
  CHECK(one.decide().by_sts);
  one.setup.with(pt::sts(policy::StsMode::enforce));
  one.plan();
  one.shows(pt::session(policy::ChainState::expired));
  CHECK(one.decide().by_sts);
}

TEST_CASE("hosts without an address: 550 when it holds for all, the other's reason otherwise") {
  Made one = made(2);
  for (auto& host : one.hosts) {
    host.addresses.clear();
    host.no_address_proven = true;
  }
  one.plan();
  const check::Outcome all = one.decide().outcome;
  CHECK(all.verdict == Verdict::rejected);
  CHECK(pt::code(*all.reply) == "550 5.4.4");
  one.hosts[1].no_address_proven = false;
  one.hosts[1].address_error = "A mx2.example.com: SERVFAIL";
  one.plan();
  const check::Outcome some = one.decide().outcome;
  CHECK(some.verdict == Verdict::deferred);
  CHECK(pt::code(*some.reply) == "451 4.4.3");
  CHECK_FALSE(some.certain);
}

TEST_CASE("what DNS did not answer is uncertain, what it denied or forged is not") {
  const auto outcome_of = [](policy::MxOutcome mx) {
    Made one = made();
    one.hosts.clear();
    one.setup.facts.mx = std::move(mx);
    one.plan();
    return one.decide().outcome;
  };
  CHECK_FALSE(outcome_of(policy::MxFailed{"MX example.com: SERVFAIL", false}).certain);
  const check::Outcome bogus = outcome_of(policy::MxFailed{"bogus", true});
  CHECK(bogus.certain);
  CHECK(pt::code(*bogus.reply) == "451 4.7.5");
  CHECK(outcome_of(policy::NullMx{}).verdict == Verdict::rejected);
  CHECK(outcome_of(policy::NoSuchDomain{}).verdict == Verdict::rejected);
}

TEST_CASE("an address that was cut short or not tried makes a refusal uncertain, not a delivery") {
  Made one = made(2);
  one.plan();
  one.fails(Kind::unreachable, "no greeting: it did not answer in time", 0);
  one.seen(0).cut_short = true;
  one.shows(pt::session(), 1);
  CHECK(one.decide().outcome.certain);
  one.plan();
  one.fails(Kind::unreachable, "no greeting: it did not answer in time", 0);
  one.seen(0).cut_short = true;
  one.fails(Kind::unreachable, "Connection refused", 1);
  CHECK_FALSE(one.decide().outcome.certain);
}

TEST_CASE("observe: what only a policy holds back goes in the second walk") {
  Made one = made();
  one.setup.settings.mode = policy::Mode::observe;
  one.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  one.plan();
  one.shows(pt::session(policy::ChainState::untrusted));
  const check::Outcome outcome = one.decide().outcome;
  CHECK(outcome.verdict == Verdict::delivered);
  CHECK(outcome.observed);
  one.plan();
  one.fails(Kind::unreachable, "Connection refused");
  CHECK(one.decide().outcome.verdict == Verdict::deferred);
}

TEST_CASE("without handshakes a plan that leaves a host is open, one that leaves none is not") {
  Made one = made();
  one.plan();
  CHECK(one.decide(false).outcome.verdict == Verdict::open);
  one.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  one.plan();
  CHECK(one.decide(false).outcome.verdict == Verdict::deferred);
}

TEST_CASE("RFC 5321 §5.1: hosts no better than this machine get nothing") {
  Made one = made(2);
  one.plan();
  one.gathered.seen[1].own = true;
  one.fails(Kind::unreachable, "Connection refused", 0);
  one.shows(pt::session(), 1);
  CHECK(one.decide().outcome.verdict == Verdict::deferred);
  one.plan();
  one.gathered.seen[0].own = true;
  one.shows(pt::session(), 1);
  CHECK(pt::code(*one.decide().outcome.reply) == "451 4.4.4");
}

TEST_CASE("all problems of an MX are told: not approved, TLSA, expired, untrusted, wrong name") {
  Made one = made();
  one.hosts[0].dane = pt::usable();
  one.setup.with(policy::Combine::both);
  one.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  one.plan();
  one.shows(pt::session(policy::ChainState::expired, {"somebody.else.example"}));
  one.seen().certificate->not_after = base::WallTime(std::chrono::days(1));
  one.seen().judged_at = base::WallTime(std::chrono::days(2));
  one.seen().undated.chain = policy::ChainState::untrusted;
  const check::Report report = one.report();
  REQUIRE(report.mx.size() == 1);
  CHECK(codes(report.mx[0].problems) == Codes{"!not-approved"});
  CHECK(codes(report.mx[0].addresses[0].problems) ==
        Codes{"!tlsa-mismatch", "!certificate-expired", "!certificate-untrusted",
              "!certificate-name"});
  CHECK(report.mx[0].addresses[0].result == "refused");
  CHECK(report.mends.size() == 5);
}

TEST_CASE("what a policy does not ask for does not block") {
  Made one = made();
  one.setup.with(pt::sts(policy::StsMode::testing, {"other.example.com"}));
  one.plan();
  one.shows(pt::session(policy::ChainState::untrusted, {}));
  const check::Report testing = one.report();
  CHECK(codes(testing.mx[0].problems) == Codes{"not-approved"});
  CHECK(codes(testing.mx[0].addresses[0].problems) ==
        Codes{"certificate-untrusted", "certificate-name"});
  CHECK(codes(testing.problems) == Codes{"sts-testing"});
  CHECK(testing.outcome.verdict == Verdict::delivered);

  Made none = made();
  none.plan();
  none.shows(pt::session(policy::ChainState::untrusted, {}));
  const check::Report nothing = none.report();
  CHECK(nothing.mx[0].addresses[0].problems.empty());
  CHECK(codes(nothing.problems) == Codes{"no-policy"});
}

TEST_CASE("TLSA records that were not consulted or cannot be used are told as such") {
  dane::Tlsa strong = pt::tlsa();
  strong.matching_type = 2;
  strong.data.assign(64, 1);
  dane::Usable status{pt::name("mx.example.com"), {strong}, {pt::tlsa(1), pt::tlsa(), strong}, {}};
  Made one = made();
  one.hosts[0].dane = status;
  one.plan();
  const check::Report report = one.report();
  const auto& records = report.mx[0].tlsa;
  REQUIRE(records.size() == 3);
  CHECK_FALSE(records[0].unusable.empty());
  CHECK((records[1].unusable.empty() && !records[1].consulted));
  CHECK(records[2].consulted);
  CHECK(codes(report.mx[0].problems) == Codes{"tlsa-record"});
}
