// Composer: from a day's counts to its report (RFC 8460 §4.2 to §4.5), the report read back, when
// it goes and how long it is tried (§4.1, §5.5).
#include "report/composer.h"

#include <set>

#include "tests/unit/report/support.h"

using namespace report_test;
using report::back_off;
using report::compose;
using report::jitter;

namespace {

report::Identity identity() {
  report::Identity made;
  made.submitter = {"Example Corp", "tls@example.com", "example.com"};
  made.relay = "edge.example.com";
  made.complete = true;
  return made;
}

store::PolicyCount policy(std::string digest, std::uint64_t fine, std::uint64_t noted,
                          std::uint64_t failed, std::string type = "sts") {
  return {day,  "recv.example", std::move(digest), std::move(type), "recv.example", fine,
          noted, failed};
}
store::FailureCount failure(std::string digest, std::uint64_t count,
                            std::string type = "certificate-expired", std::string mx = "mx") {
  return {day,        "recv.example", std::move(digest), std::move(type), "why", std::move(mx),
          "helo", "192.0.2.1",    "192.0.2.2",       count};
}
std::optional<tlsrpt::Policy> strings_of(const std::string& digest) {
  if (digest == "known") return sts_policy("recv.example");
  if (digest == "fetch") return tlsrpt::Policy{PolicyType::sts, "recv.example", {}, {}};
  return std::nullopt;
}
tlsrpt::Report composed(std::vector<store::PolicyCount> policies,
                        std::vector<store::FailureCount> failures) {
  return compose(identity(), day, {"recv.example", std::move(policies), std::move(failures)},
                 strings_of);
}
std::uint64_t details(const tlsrpt::PolicyRows& rows) {
  std::uint64_t sum = 0;
  for (const auto& row : rows.details) sum += row.count;
  return sum;
}

bool same(const tlsrpt::Report& a, const tlsrpt::Report& b) {
  return tlsrpt::to_json(a) == tlsrpt::to_json(b) && a.day == b.day && a.id == b.id &&
         a.submitter.domain == b.submitter.domain;
}

}  // namespace

TEST_CASE("RFC 8460 §4.4: a report names who reports, the day, and each policy with its counts") {
  const auto report = composed({policy("known", 10, 0, 3), policy("", 1, 0, 0, "tlsa")},
                               {failure("known", 2), failure("known", 1, "validation-failure")});
  CHECK(report.submitter.organization_name == "Example Corp");
  CHECK(report.submitter.contact_info == "tls@example.com");
  CHECK(report.domain == "recv.example");
  CHECK(report.day == day);
  CHECK(report.id == tlsrpt::report_id(day, "recv.example", "example.com", "edge.example.com"));
  REQUIRE(report.policies.size() == 2);
  CHECK(report.policies[0].policy == sts_policy("recv.example"));
  CHECK(report.policies[0].successes == 10);
  CHECK(report.policies[0].failures == 3);
  REQUIRE(report.policies[0].details.size() == 2);
  const tlsrpt::FailureRow& row = report.policies[0].details[0];
  CHECK(row == tlsrpt::FailureRow{ResultType::certificate_expired, "192.0.2.2", "mx", "helo",
                                  "192.0.2.1", "why", 2});
  CHECK(report.policies[1].policy.type == PolicyType::tlsa);
  CHECK(report.policies[1].details.empty());
  const auto totals = report::totals_of(report);
  CHECK(totals.successes == 11);
  CHECK(totals.failures == 3);
}

TEST_CASE("RFC 8461 §6: under the cached policy a failed fetch says nothing against a session") {
  const auto report = composed({policy("known", 10, 4, 1)},
                               {failure("known", 4, "sts-policy-fetch-error", "")});
  CHECK(report.policies[0].successes == 14);
  CHECK(report.policies[0].failures == 1);
  CHECK(details(report.policies[0]) == 4);
}

TEST_CASE("RFC 8460 §4.3: without a cached policy a fetch that failed is the session's failure") {
  const auto report = composed({policy("fetch", 0, 4, 1)},
                               {failure("fetch", 4, "sts-policy-fetch-error", "")});
  CHECK(report.policies[0].policy.type == PolicyType::sts);
  CHECK(report.policies[0].policy.strings.empty());
  CHECK(report.policies[0].successes == 0);
  CHECK(report.policies[0].failures == 5);
}

TEST_CASE("a policy whose strings are lost keeps its type and its domain") {
  store::PolicyCount count = policy("lost", 3, 0, 0, "tlsa");
  count.policy_domain = "mx.recv.example";
  const auto report = composed({count}, {});
  CHECK(report.policies[0].policy ==
        tlsrpt::Policy{PolicyType::tlsa, "mx.recv.example", {}, {}});
  CHECK(report.policies[0].successes == 3);
}

TEST_CASE("failures of policies that are not told apart stand with those policies' sessions") {
  const auto report =
      composed({policy("", 5, 0, 9), policy("known", 0, 0, 2)},
               {failure("", 3), failure("folded-1", 4), failure("folded-2", 2),
                failure("known", 2), failure("folded-3", 1, "validation-failure")});
  CHECK(details(report.policies[0]) == 10);
  CHECK(report.policies[0].details.size() == 2);  // what is alike is one row
  CHECK(details(report.policies[1]) == 2);
}

TEST_CASE("failures that are not told apart stand with the policy that has most failures") {
  const auto report = composed({policy("known", 5, 0, 1), policy("fetch", 0, 0, 7)},
                               {failure("", 6), failure("known", 1), failure("fetch", 1)});
  CHECK(details(report.policies[0]) == 1);
  CHECK(details(report.policies[1]) == 7);
  CHECK(composed({}, {failure("", 6)}).policies.empty());
}

TEST_CASE("what the store folds beyond its limits is in the report with all its failures") {
  const Folder folder;
  const auto reports = open_reports(folder.path() / "state.db");
  store::CountBatch batch;
  batch.to = 1;
  std::uint64_t failed = 0;
  for (int i = 0; i < store::policies_told_apart + 30; ++i) {
    const std::string digest = "d" + std::to_string(i);
    batch.policies.push_back(policy(digest, 1, 0, 12));
    for (int j = 0; j < 12; ++j) {
      batch.failures.push_back(failure(digest, 1, "validation-failure", std::to_string(j)));
    }
    failed += 12;
  }
  REQUIRE(reports->add(batch).has_value());
  const auto counts = reports->counts_of(day, "recv.example");
  const auto report = compose(identity(), day, **counts, strings_of);
  CHECK(report::totals_of(report).failures == failed);
  std::uint64_t told = 0;
  for (const auto& rows : report.policies) told += details(rows);
  CHECK(told == failed);
}

TEST_CASE("a report is read back from its own JSON") {
  auto report = composed({policy("known", 10, 0, 3), policy("fetch", 0, 4, 0), policy("", 1, 0, 0)},
                         {failure("known", 3), failure("fetch", 4, "sts-policy-fetch-error", "")});
  report.submitter.organization_name = "\"M\xC3\xBCller\" \\ \t{}";
  report.policies[0].policy.strings.push_back("not: \"quoted\"");
  for (int type = 0; type <= static_cast<int>(ResultType::dane_required); ++type) {
    tlsrpt::FailureRow row;
    row.type = static_cast<ResultType>(type);
    row.count = 1;
    report.policies[0].details.push_back(row);
  }
  auto read = report::report_from_json(tlsrpt::to_json(report));
  REQUIRE(read.has_value());
  CHECK(same(*read, report));
  REQUIRE(read->policies.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(read->policies[i].policy == report.policies[i].policy);
    CHECK(read->policies[i].successes == report.policies[i].successes);
    CHECK(read->policies[i].failures == report.policies[i].failures);
    CHECK(read->policies[i].details == report.policies[i].details);
  }
  report.policies.clear();
  read = report::report_from_json(tlsrpt::to_json(report));
  REQUIRE(read.has_value());
  CHECK(read->policies.empty());
}

TEST_CASE("what is no report of ours is not read as one") {
  const auto bad = [](const std::string& text) {
    INFO(text);
    CHECK_FALSE(report::report_from_json(text).has_value());
  };
  bad("");
  bad("[]");
  bad("{}");
  bad("{\"policies\":[]}");  // no day
  bad("{\"date-range\":\"2026-11-25\",\"policies\":[]}");  // the day is no object
  bad("{\"date-range\":{\"start-datetime\":7},\"policies\":[]}");  // nor a text
  bad("{\"date-range\":{\"start-datetime\":\"2026-11-31T00:00:00Z\"},\"policies\":[]}");  // none
  bad("{\"date-range\":{\"start-datetime\":\"2026-11-25T00:00:00Z\"}}");  // no policies
  bad("{\"date-range\":{\"start-datetime\":\"2026-11-25T00:00:00Z\"},\"policies\":{}}");  // no list
  const auto bad_policy = [&bad](const std::string& text) {
    bad("{\"date-range\":{\"start-datetime\":\"2026-11-25T00:00:00Z\"},\"policies\":[" + text +
        "]}");
  };
  bad_policy("7");                                    // no object
  bad_policy("{}");                                   // no policy
  bad_policy("{\"policy\":[],\"summary\":{}}");       // it is a list
  bad_policy("{\"policy\":{\"policy-type\":\"x\"},\"summary\":{}}");    // of no known type
  bad_policy("{\"policy\":{\"policy-type\":\"sts\"}}");                 // no summary
  bad_policy("{\"policy\":{\"policy-type\":\"sts\"},\"summary\":7}");   // a number
  const std::string whole = tlsrpt::to_json(composed({policy("known", 1, 0, 0)}, {}));
  for (std::size_t size = 0; size + 2 < whole.size(); ++size) bad(whole.substr(0, size));
}

TEST_CASE("a policy is read back from what the store keeps under its digest") {
  const auto good = [](const tlsrpt::Policy& policy) {
    const auto read = report::policy_from_json(report::policy_to_json(policy));
    REQUIRE(read.has_value());
    CHECK(*read == policy);
  };
  good(sts_policy("recv.example"));
  good({PolicyType::tlsa, "mx.recv.example", {"3 1 1 00", "2 0 1 ff"}, {}});
  good({PolicyType::no_policy_found, "recv.example", {}, {}});
  good({PolicyType::sts, "recv.example", {"", "\"\\\t\x7F", "\xC3\xBC"}, {"*.a", "b"}});
  const auto bad = [](const char* text) {
    INFO(text);
    CHECK_FALSE(report::policy_from_json(text).has_value());
  };
  bad("");
  bad("[]");
  bad("{}");
  bad("{\"policy-type\":7}");
  bad("{\"policy-type\":\"STS\"}");
  // What an MTA-STS policy holds is not always UTF-8: it is replaced, and the policy stays one.
  const tlsrpt::Policy odd{PolicyType::sts, "recv.example", {"mx: \xFF"}, {}};
  CHECK(report::policy_from_json(report::policy_to_json(odd))->strings[0] == "mx: \xEF\xBF\xBD");
}

TEST_CASE("RFC 8460 §4.1: reports are spread over four hours, each domain's always the same") {
  CHECK(jitter("a.example", "edge.example.com") == jitter("a.example", "edge.example.com"));
  constexpr int domains = 20000;
  constexpr int parts = 48;  // of five minutes
  std::array<int, parts> in_part{};
  std::set<std::chrono::seconds> times;
  int moved = 0;
  for (int i = 0; i < domains; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    const auto at = jitter(domain, "edge.example.com");
    REQUIRE(at >= 0s);
    REQUIRE(at < report::spread);
    ++in_part[static_cast<std::size_t>(at.count() * parts / report::spread.count())];
    times.insert(at);
    if (jitter(domain, "other.example.com") != at) ++moved;
  }
  for (const int count : in_part) {
    CHECK(count > domains / parts * 7 / 10);
    CHECK(count < domains / parts * 13 / 10);
  }
  CHECK(times.size() > 10000);
  CHECK(moved > domains - 20);  // another relay's go at another time
}

TEST_CASE("RFC 8460 §5.5: pauses grow to four hours and end 24 hours after the first attempt") {
  std::vector<std::chrono::minutes> pauses;
  std::chrono::milliseconds since_first{0};
  std::uint32_t attempts = 1;
  while (const auto pause = back_off(attempts, since_first)) {
    REQUIRE(pause->count() > 0);
    pauses.push_back(std::chrono::floor<std::chrono::minutes>(*pause));
    since_first += *pause;
    ++attempts;
    REQUIRE(attempts < 100);
  }
  CHECK(since_first == 24h);
  CHECK(pauses == std::vector<std::chrono::minutes>{5min, 10min, 20min, 40min, 80min, 160min,
                                                    240min, 240min, 240min, 240min, 165min});
  CHECK(back_off(1, 24h - 1ms) == 1ms);  // the last one
  CHECK_FALSE(back_off(1, 24h).has_value());
  CHECK_FALSE(back_off(1, 1000h).has_value());
  CHECK(back_off(4000000000U, 0ms) == 4h);
  CHECK(back_off(0, 0ms) == 5min);
  CHECK(back_off(3, -1h) == 20min);  // the clock was set back
}
