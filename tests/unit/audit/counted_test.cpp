// CountedSession: what goes into a `session` line comes out of it again, whatever the peers' texts
// are and however much of them the line has no room for (RFC 8460 §4).
#include "audit/counted.h"

#include <catch2/catch.hpp>
#include <random>

#include "audit/follow.h"
#include "tests/unit/audit/support.h"

using namespace audit;
using audit_test::at;
using tlsrpt::FailureDetail;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;
using tlsrpt::SessionResult;

namespace {

const std::string hash(64, 'a');
const base::WallTime time_of_lines = at("2026-03-01T23:59:59.999Z");

Record session(std::vector<PolicyResult> results) {
  Record record;
  record.event = Event::session;
  record.counted = true;
  record.domain = *base::Domain::parse("recv.example");
  record.mx = "mx.recv.example";
  record.helo = "helo.recv.example";
  record.ip = *base::Ip::parse("2001:db8::1");
  record.source_ip = *base::Ip::parse("192.0.2.1");
  record.results = std::move(results);
  return record;
}
std::string text_of(const Record& record) {
  return to_json_line(record, 17, hash, time_of_lines);
}

SessionResult result(std::vector<FailureDetail> failures) {
  SessionResult made;
  made.policy = {PolicyType::sts, "recv.example", {"version: STSv1", "mode: enforce"}, {}};
  made.success = failures.empty();
  made.failures = std::move(failures);
  return made;
}
std::vector<std::string> reasons_read(const PolicyResult& entry) {
  const auto read = counted_session(text_of(session({entry})));
  if (!read || read->results.size() != 1) return {};
  return reasons_of(read->results[0]);
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("counted: a session line gives back time, names, addresses and each policy's results") {
  const SessionResult failed = result({{ResultType::certificate_expired, "expired 2026-02-01"}});
  SessionResult fine;
  fine.policy = {PolicyType::tlsa, "mx.recv.example", {"3 1 1 00"}, {}};
  fine.success = true;
  const auto read = counted_session(text_of(session({policy_result(failed), policy_result(fine)})));
  REQUIRE(read.has_value());
  CHECK(read->time == time_of_lines);
  CHECK(read->domain == "recv.example");
  CHECK(read->mx == "mx.recv.example");
  CHECK(read->helo == "helo.recv.example");
  CHECK(read->ip == "2001:db8::1");
  CHECK(read->source_ip == "192.0.2.1");
  REQUIRE(read->results.size() == 2);
  CHECK(read->results[0].policy_type == PolicyType::sts);
  CHECK(read->results[0].policy_domain == "recv.example");
  CHECK(read->results[0].policy_digest == tlsrpt::policy_digest(failed.policy));
  CHECK(read->results[0].result_types == Texts{"certificate-expired"});
  CHECK(read->results[0].reason == "expired 2026-02-01");
  CHECK(read->results[1].policy_type == PolicyType::tlsa);
  CHECK(read->results[1].policy_digest == tlsrpt::policy_digest(fine.policy));
  CHECK(read->results[1].result_types.empty());
}

TEST_CASE("counted: without an MX its members are empty") {
  Record record = session({policy_result(result({}))});
  record.mx.reset();
  record.helo.reset();
  record.ip.reset();
  record.source_ip.reset();
  const auto read = counted_session(text_of(record));
  REQUIRE(read.has_value());
  CHECK(read->mx + read->helo + read->ip + read->source_ip == "");
}

TEST_CASE("counted: other lines do not count") {
  const auto bad = [](const Record& record) {
    INFO(text_of(record));
    CHECK_FALSE(counted_session(text_of(record)).has_value());
  };
  const Record good = session({policy_result(result({}))});
  REQUIRE(counted_session(text_of(good)).has_value());
  Record other = good;
  other.event = Event::delivery;
  other.reply = ",\"event\":\"session\",\"counted\":true";
  bad(other);  // no session, whatever the MX says
  other = good;
  other.counted = false;
  bad(other);  // a further message on the same connection
  other.counted.reset();
  bad(other);  // nothing is said of it
  other = good;
  other.results.reset();
  bad(other);  // report mail has no results
  other.results.emplace();
  bad(other);  // none either
  other = good;
  other.domain.reset();
  bad(other);  // nobody's
}

TEST_CASE("counted: text that is no line of ours does not count") {
  const std::string line = text_of(session({policy_result(result({}))}));
  const auto bad = [](const std::string& text) {
    INFO(text);
    CHECK_FALSE(counted_session(text).has_value());
  };
  bad("");
  bad("{}");
  bad(line.substr(1));  // does not begin like one
  bad(line.substr(0, line.find("\"results\"") + 20));  // cut in the results
  std::string changed = line;
  changed.replace(changed.find("\"2026-"), 6, "\"2O26-");
  bad(changed);  // no time
  changed = line;
  changed.replace(changed.find("\"sts\""), 5, "\"pgp\"");
  bad(changed);  // no policy type
  changed = line;
  changed.replace(changed.find("[{\"policy"), 2, "{[");
  bad(changed);  // no list
  CHECK(counted_session(line.substr(0, line.find(",\"tls_version\""))).has_value());
}

TEST_CASE("counted: each result type keeps its own reason (RFC 8460 §4.4)") {
  const auto good = [](const Texts& given, const Texts& want) {
    std::vector<FailureDetail> failures;
    for (const std::string& reason : given) {
      failures.push_back({ResultType::validation_failure, reason});
    }
    INFO(given.size() << " " << given[0]);
    CHECK(reasons_read(policy_result(result(failures))) == want);
  };
  good({"one"}, {"one"});
  good({"one; and the same"}, {"one; and the same"});
  good({"one", "two", "three"}, {"one", "two", "three"});
  good({"", ""}, {"", ""});
  good({"", "two"}, {"", "two"});
  good({"one", ""}, {"one", ""});
  good({"one;", " two"}, {"one;", " two"});
  good({";", ";"}, {";", ";"});
  good({"a; b; c", "d"}, {"a, b, c", "d"});  // what parts two of them stands in none
  good({"a; ", "; d"}, {"a, ", ", d"});
  good({"say \"no\", \\", "\"},{\""}, {"say \"no\", \\", "\"},{\""});
  good({"\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80", "\t\r\n\x01"},
       {"\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80", "\t\r\n\x01"});
  good({",\"requirement\":\"x\",\"results\":[]", ",\"mx\":\"evil\""},
       {",\"requirement\":\"x\",\"results\":[]", ",\"mx\":\"evil\""});
}

TEST_CASE("counted: reasons that were cut together stand whole with each result type") {
  PolicyResult entry;
  entry.result_types = {"certificate-expired", "validation-failure", "tlsa-invalid"};
  entry.reason = "first; sec\xE2\x80\xA6";
  CHECK(reasons_of(entry) == Texts(3, entry.reason));
  entry.reason = "a; b; c; d";
  CHECK(reasons_of(entry) == Texts(3, entry.reason));
  entry.result_types.clear();
  CHECK(reasons_of(entry).empty());
}

TEST_CASE("counted: random texts of peers change no other member", "[asan-only]") {
  static const Texts pieces{"; ",  "\"",   "\\",  ",\"seq\":1", ",\"domain\":\"evil.example\"", "]",
                            "}",   "\n",   "a",   "\xC3\xBC",   ",\"results\":[",
                            "\xFF", "word ", ";", ",\"requirement\":", ",\"counted\":true", ": ",
                            ",\"helo\":\"x\"", ",\"event\":\"session\"", "{\"time\":"};
  std::mt19937 random(20260301);
  const auto text = [&random](unsigned most) {
    std::string made;
    for (auto n = random() % most; n > 0; --n) made += pieces[random() % pieces.size()];
    return made;
  };
  for (int round = 0; round < 1000; ++round) {
    CAPTURE(round);
    std::vector<PolicyResult> results;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      std::vector<FailureDetail> failures;
      for (auto m = random() % 4; m > 0; --m) {
        failures.push_back({static_cast<ResultType>(random() % 11), text(12)});
      }
      SessionResult one = result(std::move(failures));
      one.policy.type = static_cast<PolicyType>(random() % 3);
      one.policy.strings.push_back(std::to_string(random() % 5));
      results.push_back(policy_result(one));
    }
    Record record = session(results);
    record.id = text(10);
    record.queue_id = text(10);
    record.helo = text(10);
    record.reply = text(200);
    record.reason = text(200);
    record.policy_id = text(5);
    const std::string line = text_of(record);
    REQUIRE(line.size() < line_limit);
    CHECK(line_number(line) == 17);
    const auto read = counted_session(line);
    REQUIRE(read.has_value());
    CHECK(read->time == time_of_lines);
    CHECK(read->domain == "recv.example");
    CHECK(read->mx == "mx.recv.example");
    CHECK(read->ip == "2001:db8::1");
    CHECK(read->source_ip == "192.0.2.1");
    const nlohmann::json whole = nlohmann::json::parse(line);
    CHECK(read->helo == whole["helo"]);
    REQUIRE(read->results.size() == results.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
      CHECK(read->results[i].policy_type == results[i].policy_type);
      CHECK(read->results[i].policy_domain == results[i].policy_domain);
      CHECK(read->results[i].policy_digest == results[i].policy_digest);
      CHECK(read->results[i].result_types == results[i].result_types);
      CHECK(read->results[i].reason == whole["results"][i]["reason"]);
      CHECK(reasons_of(read->results[i]).size() == results[i].result_types.size());
    }
  }
}

TEST_CASE("counted: a line without room cuts texts, never domain, MX, digests or result types") {
  std::string label(63, 'x');
  const std::string name = label + "." + label + "." + label + "." + std::string(61, 'y');
  REQUIRE(name.size() == 253);
  const Texts types{"certificate-host-mismatch", "certificate-host-mismatch", "dnssec-invalid"};
  Record record = session(std::vector<PolicyResult>(
      3, {PolicyType::no_policy_found, name, hash, types, std::string(5000, '"')}));
  record.domain = *base::Domain::parse(name);
  record.mx = name;
  record.event = Event::session;
  const std::string filler(4000, '\x01');
  for (auto member : {&Record::id, &Record::queue_id, &Record::policy_type, &Record::policy_mode,
                      &Record::policy_id, &Record::policy_source, &Record::requirement,
                      &Record::helo, &Record::tls_version, &Record::cipher, &Record::group,
                      &Record::sni, &Record::peer_auth, &Record::protection,
                      &Record::cert_sha256, &Record::spki_sha256, &Record::reason,
                      &Record::reply}) {
    record.*member = filler;
  }
  record.result = "certificate-host-mismatch";
  record.recipients = 4294967295U;
  record.ip = *base::Ip::parse("2001:db8:1111:2222:3333:4444:5555:6666");
  record.source_ip = record.ip;
  record.mx_dnssec = MxDnssec::insecure;
  record.resumed = record.reused = false;
  record.verdict = record.would_be = Verdict::delivered;
  const std::string line =
      to_json_line(record, ~std::uint64_t{0}, hash, at("2026-03-01T23:59:59.999Z"));
  CHECK(line.size() < line_limit);
  const nlohmann::json whole = nlohmann::json::parse(line);
  CHECK(whole["result"] == "certificate-host-mismatch");
  const auto read = counted_session(line);
  REQUIRE(read.has_value());
  CHECK(read->domain == name);
  CHECK(read->mx == name);
  REQUIRE(read->results.size() == 3);
  for (const PolicyResult& one : read->results) {
    CHECK(one.policy_domain == name);
    CHECK(one.policy_digest == hash);
    CHECK(one.result_types == types);
    CHECK(one.policy_type == PolicyType::no_policy_found);
  }
}
