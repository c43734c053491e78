// RFC 8460 §4: from sessions in the enforcement log to the report's JSON: what is counted where,
// and how each policy and each failure stands in it.
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "report/composer.h"
#include "report/counter.h"
#include "store/sqlite_reports.h"
#include "store/sqlite_store.h"
#include "tests/unit/audit/support.h"

using namespace std::chrono_literals;
using nlohmann::json;
using std::chrono::days;
using tlsrpt::FailureDetail;
using tlsrpt::Policy;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;
using tlsrpt::SessionResult;

namespace {

constexpr store::Day day{2026y / 11 / 25};

// A log, a store and what is composed of them.
class Relay {
 public:
  Relay() : clock_(base::WallTime(day) + 12h) {
    store::SqliteOptions options;
    options.file = (folder_.path() / "state.db").string();
    REQUIRE(store::SqliteStore::open(options).has_value());
    auto opened = store::open_sqlite_reports(options.file, 1000ms);
    REQUIRE(opened.has_value());
    reports_ = std::move(*opened);
  }
  // One session with recv.example at this time of the day.
  void session(std::vector<SessionResult> results, std::chrono::milliseconds time = 12h) {
    audit::Record record;
    record.event = audit::Event::session;
    record.counted = true;
    record.domain = *base::Domain::parse("recv.example");
    record.mx = "mx1.recv.example";
    record.ip = *base::Ip::parse("2001:db8::1");
    record.source_ip = *base::Ip::parse("192.0.2.2");
    record.results.emplace();
    for (const SessionResult& one : results) {
      record.results->push_back(audit::policy_result(one));
      policies_[record.results->back().policy_digest] = one.policy;
    }
    std::ofstream(folder_.log(), std::ios::binary | std::ios::app)
        << audit::to_json_line(record, ++seq_, std::string(64, 'a'), base::WallTime(day) + time)
        << "\n";
  }
  std::string text(store::Day of = day) {
    report::Counter counter(folder_.log(), *reports_, clock_);
    REQUIRE(counter.begin().has_value());
    while (!counter.at_end()) REQUIRE(counter.step(nullptr).has_value());
    const auto counts = reports_->counts_of(of, "recv.example");
    REQUIRE(counts.has_value());
    REQUIRE(counts->has_value());
    report::Identity identity;
    identity.submitter = {"Sender Example Ltd", "tls@sender.example", "sender.example"};
    const auto strings = [this](const std::string& digest) {
      return std::optional<Policy>(policies_.at(digest));
    };
    return tlsrpt::to_json(report::compose(identity, of, **counts, strings));
  }
  json policies() { return json::parse(text())["policies"]; }

 private:
  audit_test::Folder folder_;
  audit_test::HandClock clock_;
  std::unique_ptr<store::Reports> reports_;
  std::map<std::string, Policy> policies_;
  std::uint64_t seq_ = 0;
};

Policy sts() {
  return {PolicyType::sts,
          "recv.example",
          {"version: STSv1", "mode: testing", "mx: mx1.recv.example", "mx: *.recv.example",
           "max_age: 86400"},
          {"mx1.recv.example", "*.recv.example"}};
}
Policy tlsa() { return {PolicyType::tlsa, "mx1.recv.example", {"2 0 1 aa", "3 1 1 00ff"}, {}}; }
Policy none() { return {PolicyType::no_policy_found, "recv.example", {}, {}}; }

SessionResult under(Policy policy, std::vector<FailureDetail> failures = {}) {
  SessionResult made;
  made.policy = std::move(policy);
  made.success = failures.empty();
  made.failures = std::move(failures);
  return made;
}
FailureDetail expired(const char* reason = "expired") {
  return {ResultType::certificate_expired, reason};
}

const char* const good_count = "total-successful-session-count";
const char* const bad_count = "total-failure-session-count";

}  // namespace

TEST_CASE("RFC 8460 §4: I-JSON: UTF-8, and no member stands twice in an object") {
  Relay relay;
  relay.session({under(sts(), {expired("\xFF \xC3\xBC \xEF\xBF\xBE \"")})});
  relay.session({under(tlsa()), under(sts())});
  const std::string text = relay.text();
  std::vector<std::set<std::string>> open;
  int members = 0;
  const auto each = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key) {
      ++members;
      CHECK(open.back().insert(value.get<std::string>()).second);
    }
    return true;
  };
  const json report = json::parse(text, each);  // throws where it is not UTF-8
  CHECK(members > 20);
  CHECK(text.find("\xEF\xBF\xBE") == std::string::npos);  // RFC 7493 §2.1: no noncharacter
  CHECK(report["policies"].size() == 2);
}

TEST_CASE("RFC 8460 §4: policies is an array, with an entry for each policy that applied") {
  Relay one;
  one.session({under(none())});
  CHECK(one.policies().is_array());
  CHECK(one.policies().size() == 1);
  Relay both;
  both.session({under(sts()), under(tlsa())});
  const json policies = both.policies();
  REQUIRE(policies.size() == 2);
  CHECK(policies[0]["policy"]["policy-type"] == "sts");
  CHECK(policies[1]["policy"]["policy-type"] == "tlsa");
}

TEST_CASE("RFC 8460 §4: one session may fail in several ways, and the counts may overlap") {
  Relay relay;
  relay.session({under(sts(), {expired(), {ResultType::certificate_host_mismatch, "names"}})});
  const json rows = relay.policies()[0];
  CHECK(rows["summary"][bad_count] == 1);
  REQUIRE(rows["failure-details"].size() == 2);
  CHECK(rows["failure-details"][0]["failed-session-count"] == 1);
  CHECK(rows["failure-details"][1]["failed-session-count"] == 1);
}

TEST_CASE("RFC 8460 §4.1: a report covers one UTC day, from 00:00 on and to its end") {
  Relay relay;
  relay.session({under(sts())}, 0ms);
  relay.session({under(sts())}, 24h - 1ms);
  relay.session({under(sts())}, 24h);
  const json report = json::parse(relay.text());
  CHECK(report["date-range"]["start-datetime"] == "2026-11-25T00:00:00Z");
  CHECK(report["date-range"]["end-datetime"] == "2026-11-25T23:59:59Z");
  CHECK(report["policies"][0]["summary"][good_count] == 2);
  const json next = json::parse(relay.text(day + days(1)));
  CHECK(next["date-range"]["start-datetime"] == "2026-11-26T00:00:00Z");
  CHECK(next["policies"][0]["summary"][good_count] == 1);
}

TEST_CASE("RFC 8460 §4.1: reports go within four hours of midnight, each domain's at its time") {
  std::set<std::chrono::seconds> times;
  for (int i = 0; i < 100; ++i) {
    const auto at = report::jitter("d" + std::to_string(i) + ".example", "edge.sender.example");
    CHECK(at >= 0s);
    CHECK(at < 14400s);
    times.insert(at);
  }
  CHECK(times.size() > 90);
}

TEST_CASE("RFC 8460 §4.2: successes are told without any failure, and count sessions") {
  Relay relay;
  for (int i = 0; i < 5; ++i) relay.session({under(tlsa())});
  const json rows = relay.policies()[0];
  CHECK(rows["summary"] == json{{good_count, 5}, {bad_count, 0}});
  CHECK_FALSE(rows.contains("failure-details"));
}

TEST_CASE("RFC 8460 §4.2: a session is a success under one policy and a failure under another") {
  Relay relay;
  relay.session({under(sts(), {expired()}), under(tlsa())});
  const json policies = relay.policies();
  CHECK(policies[0]["summary"] == json{{good_count, 0}, {bad_count, 1}});
  CHECK(policies[1]["summary"] == json{{good_count, 1}, {bad_count, 0}});
}

TEST_CASE("RFC 8460 §4.2: what fails a policy in testing mode is a failure, though mail went") {
  Relay relay;
  relay.session({under(sts(), {expired()})});
  CHECK(relay.policies()[0]["policy"]["policy-string"][1] == "mode: testing");
  CHECK(relay.policies()[0]["summary"][bad_count] == 1);
}

TEST_CASE("RFC 8460 §4.3.2: a policy that cannot be fetched: with a cached one, and without") {
  const FailureDetail fetch{ResultType::sts_policy_fetch_error, "http-503"};
  Relay without;
  without.session({under({PolicyType::sts, "recv.example", {}, {}}, {fetch})});
  json rows = without.policies()[0];
  CHECK(rows["policy"] == json{{"policy-type", "sts"}, {"policy-domain", "recv.example"}});
  CHECK(rows["summary"] == json{{good_count, 0}, {bad_count, 1}});
  Relay with;
  with.session({under(sts(), {fetch})});
  rows = with.policies()[0];
  CHECK(rows["policy"]["policy-string"] == sts().strings);
  CHECK(rows["summary"] == json{{good_count, 1}, {bad_count, 0}});
  REQUIRE(rows["failure-details"].size() == 1);
  // RFC 8460 §4.4: no MX was there, so none is named.
  CHECK(rows["failure-details"][0] == json{{"result-type", "sts-policy-fetch-error"},
                                           {"failed-session-count", 1},
                                           {"failure-reason-code", "http-503"}});
}

TEST_CASE("RFC 8460 §4.3: each result type stands under the registry's word") {
  Relay relay;
  std::vector<std::string> want;
  for (int type = 0; type <= static_cast<int>(ResultType::dane_required); ++type) {
    const auto one = static_cast<ResultType>(type);
    relay.session({under(tlsa(), {{one, ""}})});
    want.emplace_back(tlsrpt::to_string(one));
  }
  std::vector<std::string> found;
  const json rows = relay.policies()[0];
  for (const json& row : rows["failure-details"]) found.push_back(row["result-type"]);
  std::sort(want.begin(), want.end());
  CHECK(found == want);
}

TEST_CASE("RFC 8460 §4.4: what is known stands in a failure, what is not is left out") {
  Relay relay;
  relay.session({under(sts(), {{ResultType::starttls_not_supported, ""}})});
  CHECK(relay.policies()[0]["failure-details"][0] ==
        json{{"result-type", "starttls-not-supported"},
             {"sending-mta-ip", "192.0.2.2"},
             {"receiving-mx-hostname", "mx1.recv.example"},
             {"receiving-ip", "2001:db8::1"},
             {"failed-session-count", 1}});
}

TEST_CASE("RFC 8460 §4.4: no member is there that the RFC does not define") {
  Relay relay;
  relay.session({under(sts(), {expired()}), under(tlsa(), {expired()})});
  static const std::set<std::string> defined{
      "organization-name", "date-range", "start-datetime", "end-datetime", "contact-info",
      "report-id", "policies", "policy", "policy-type", "policy-string", "policy-domain",
      "mx-host", "summary", good_count, bad_count, "failure-details", "result-type",
      "sending-mta-ip", "receiving-mx-hostname", "receiving-mx-helo", "receiving-ip",
      "failed-session-count", "additional-information", "failure-reason-code"};
  const auto each = [](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key) CHECK(defined.contains(value.get<std::string>()));
    return true;
  };
  const json report = json::parse(relay.text(), each);
  for (const char* const member :
       {"organization-name", "date-range", "contact-info", "report-id", "policies"}) {
    CHECK(report.contains(member));
  }
}

TEST_CASE("RFC 8460 §4.4: counts are whole numbers that any reader can hold") {
  Relay relay;
  relay.session({under(sts())});
  CHECK(relay.policies()[0]["summary"][good_count].is_number_unsigned());
  const store::PolicyCount many{
      day, "recv.example", "*sts", "sts", "recv.example", ~0ULL >> 1, 0, 0};
  const auto report = report::compose({}, day, {"recv.example", {many}, {}}, {});
  CHECK(json::parse(tlsrpt::to_json(report))["policies"][0]["summary"][good_count] ==
        (1ULL << 53) - 1);
}

TEST_CASE("RFC 8460 §4.5: policy strings: a TLSA record each, a line of the policy each, or none") {
  Relay relay;
  relay.session({under(none()), under(sts()), under(tlsa())});
  const json policies = relay.policies();
  REQUIRE(policies.size() == 3);
  CHECK(policies[0]["policy"] ==
        json{{"policy-type", "no-policy-found"}, {"policy-domain", "recv.example"}});
  CHECK(policies[1]["policy"]["policy-string"] ==
        json{"version: STSv1", "mode: testing", "mx: mx1.recv.example", "mx: *.recv.example",
             "max_age: 86400"});
  CHECK(policies[1]["policy"]["mx-host"] == json{"mx1.recv.example", "*.recv.example"});
  CHECK(policies[2]["policy"]["policy-string"] == json{"2 0 1 aa", "3 1 1 00ff"});
  CHECK(policies[2]["policy"]["policy-domain"] == "mx1.recv.example");
}

TEST_CASE("RFC 8460 §4.5: a policy that changed during the day is another entry") {
  Relay relay;
  Policy changed = sts();
  changed.strings[1] = "mode: enforce";
  Policy other_mx = tlsa();
  other_mx.domain = "mx2.recv.example";
  relay.session({under(sts()), under(tlsa())});
  relay.session({under(sts()), under(tlsa())});
  relay.session({under(changed), under(other_mx)});
  const json policies = relay.policies();
  REQUIRE(policies.size() == 4);
  std::multiset<int> counts;
  for (const json& rows : policies) counts.insert(rows["summary"][good_count].get<int>());
  CHECK(counts == std::multiset<int>{1, 1, 2, 2});
}

TEST_CASE("RFC 8460 §4.5: failures that differ in anything but their number are apart") {
  Relay relay;
  relay.session({under(sts(), {expired("a")})});
  relay.session({under(sts(), {expired("a")})});
  relay.session({under(sts(), {expired("b")})});
  relay.session({under(sts(), {{ResultType::certificate_not_trusted, "a"}})});
  const json rows = relay.policies()[0]["failure-details"];
  REQUIRE(rows.size() == 3);
  CHECK(rows[0]["failed-session-count"] == 2);
  CHECK(rows[1]["failed-session-count"] == 1);
  CHECK(rows[2]["failed-session-count"] == 1);
}
