// Counter: each line of the enforcement log counts once, on its UTC day (RFC 8460 §4.1), whatever
// dies or fails on the way.
#include "report/counter.h"

#include <map>
#include <random>
#include <tuple>

#include "tests/unit/report/support.h"

using namespace report_test;
using report::Counter;
using std::chrono::days;

namespace {

struct Setting {
  explicit Setting(const char* now = "2026-11-25T10:00:00.000Z") : clock(at(now)) { restart(); }
  // Begins anew, as after a kill: nothing is left but the files.
  void restart() {
    counter.reset();
    flaky.reset();
    reports.reset();
    reports = open_reports(folder.path() / "state.db");
    flaky = std::make_unique<FlakyReports>(*reports);
    counter = std::make_unique<Counter>(folder.log(), *flaky, clock);
  }
  void begin() {
    const auto begun = counter->begin();
    if (!begun) FAIL(begun.error().text);
  }
  void count() {
    for (;;) {
      auto read = counter->step(nullptr);
      if (!read) FAIL(read.error().text);
      if (*read == 0) return;
    }
  }
  store::DomainCounts counts(const std::string& domain, Day of = day) {
    auto found = reports->counts_of(of, domain);
    REQUIRE(found.has_value());
    return *found ? std::move(**found) : store::DomainCounts{domain, {}, {}};
  }
  std::uint64_t fine(const std::string& domain, Day of = day) {
    std::uint64_t sum = 0;
    for (const auto& one : counts(domain, of).policies) sum += one.fine;
    return sum;
  }

  Folder folder;
  HandClock clock;
  Log log{folder.log(), clock};
  std::unique_ptr<store::Reports> reports;
  std::unique_ptr<FlakyReports> flaky;
  std::unique_ptr<Counter> counter;
};

audit::Record success(const std::string& domain) {
  return session(domain, {result(sts_policy(domain))});
}

}  // namespace

TEST_CASE("RFC 8460 §4.2: a session counts for each policy, with each failure's particulars") {
  Setting setting;
  setting.begin();
  const tlsrpt::Policy sts = sts_policy("recv.example");
  const tlsrpt::Policy tlsa{PolicyType::tlsa, "mx.recv.example", {"3 1 1 00"}, {}};
  setting.log.add(session("recv.example", {result(sts), result(tlsa)}));
  setting.log.add(session("recv.example",
                          {result(sts, {expired(), {ResultType::validation_failure, "mx"}}),
                           result(tlsa)}));
  setting.log.add(session("recv.example", {result(sts, {expired()}), result(tlsa)}));
  setting.log.add(audit_test::delivery("0ABC"));
  setting.count();
  const auto counts = setting.counts("recv.example");
  REQUIRE(counts.policies.size() == 2);
  CHECK(counts.policies[0].policy_type == "sts");
  CHECK(counts.policies[0].policy_domain == "recv.example");
  CHECK(counts.policies[0].digest == tlsrpt::policy_digest(sts));
  CHECK(counts.policies[0].fine == 1);
  CHECK(counts.policies[0].failed == 2);
  CHECK(counts.policies[1].policy_type == "tlsa");
  CHECK(counts.policies[1].policy_domain == "mx.recv.example");
  CHECK(counts.policies[1].fine == 3);
  REQUIRE(counts.failures.size() == 2);
  CHECK(counts.failures[0].result_type == "certificate-expired");
  CHECK(counts.failures[0].reason == "expired");
  CHECK(counts.failures[0].mx == "mx.recv.example");
  CHECK(counts.failures[0].helo == "helo.recv.example");
  CHECK(counts.failures[0].ip == "192.0.2.1");
  CHECK(counts.failures[0].source_ip == "192.0.2.2");
  CHECK(counts.failures[0].count == 2);
  CHECK(counts.failures[1].result_type == "validation-failure");
  CHECK(counts.failures[1].count == 1);
  CHECK(setting.reports->progress()->counted == setting.log.seq());
}

TEST_CASE("RFC 8460 §4.4: the failed fetch of a policy names no MX, and is noted apart") {
  Setting setting;
  setting.begin();
  const tlsrpt::Policy sts = sts_policy("recv.example");
  const FailureDetail fetch{ResultType::sts_policy_fetch_error, "http-503"};
  setting.log.add(session("recv.example", {result(sts, {fetch})}));
  setting.log.add(session("recv.example", {result(sts, {fetch, expired()})}));
  setting.count();
  const auto counts = setting.counts("recv.example");
  REQUIRE(counts.policies.size() == 1);
  CHECK(counts.policies[0].noted == 1);
  CHECK(counts.policies[0].failed == 1);
  REQUIRE(counts.failures.size() == 2);
  CHECK(counts.failures[1].result_type == "sts-policy-fetch-error");
  CHECK(counts.failures[1].count == 2);
  CHECK(counts.failures[1].mx + counts.failures[1].helo + counts.failures[1].ip +
            counts.failures[1].source_ip == "");
  CHECK(counts.failures[0].mx == "mx.recv.example");
}

TEST_CASE("only failures to fetch an sts policy say nothing against the session") {
  const auto only = [](PolicyType type, std::vector<std::string> types) {
    audit::PolicyResult entry;
    entry.policy_type = type;
    entry.result_types = std::move(types);
    return report::only_fetch_failed(entry);
  };
  CHECK(only(PolicyType::sts, {"sts-policy-fetch-error"}));
  CHECK(only(PolicyType::sts, {"sts-policy-invalid"}));
  CHECK(only(PolicyType::sts, {"sts-webpki-invalid", "sts-policy-invalid"}));
  CHECK_FALSE(only(PolicyType::sts, {}));
  CHECK_FALSE(only(PolicyType::sts, {"certificate-expired"}));
  CHECK_FALSE(only(PolicyType::sts, {"sts-policy-fetch-error", "certificate-expired"}));
  CHECK_FALSE(only(PolicyType::tlsa, {"sts-policy-fetch-error"}));
  CHECK_FALSE(only(PolicyType::no_policy_found, {"sts-policy-fetch-error"}));
}

TEST_CASE("RFC 8460 §4.1: a session belongs to the UTC day of its line") {
  Setting setting("2026-11-25T23:59:59.998Z");
  setting.begin();
  setting.log.add(success("a.example"));
  setting.clock.set(at("2026-11-25T23:59:59.999Z"));
  setting.log.add(success("a.example"));
  setting.clock.set(at("2026-11-26T00:00:00.000Z"));
  setting.log.add(success("a.example"));
  setting.count();
  CHECK(setting.fine("a.example") == 2);
  CHECK(setting.fine("a.example", day + days(1)) == 1);
  CHECK(setting.counter->open_day() == day + days(1));
}

TEST_CASE("a line of a day that is closed counts on the first day that is open") {
  Setting setting("2026-11-26T00:00:05.000Z");
  setting.begin();
  CHECK(setting.counter->closed() == day);
  setting.log.add(success("a.example"), at("2026-11-25T23:59:59.999Z"));
  setting.log.add(success("a.example"), at("2026-11-20T12:00:00.000Z"));
  setting.count();
  CHECK(setting.fine("a.example") == 0);
  CHECK(setting.fine("a.example", day + days(1)) == 2);
  // The clock is set back behind what is closed.
  setting.clock.set(at("2026-11-24T12:00:00.000Z"));
  CHECK(setting.counter->open_day() == day + days(1));
  setting.log.add(success("a.example"));
  setting.count();
  CHECK(setting.fine("a.example", day + days(1)) == 3);
  REQUIRE(setting.counter->close_through(day - days(1)).has_value());
  CHECK(setting.counter->closed() == day);
}

TEST_CASE("where counting never began, it begins with today's lines") {
  Setting setting("2026-11-20T12:00:00.000Z");
  const auto some = [&](int count) {
    for (; count > 0; --count) setting.log.add(success("a.example"));
  };
  some(100);
  setting.clock.set(at("2026-11-24T12:00:00.000Z"));
  SECTION("of which there are none") { setting.log.rotate(); }
  SECTION("in the file that yesterday's are in") { some(3); }
  SECTION("in a file of their own") {
    setting.log.rotate();
    some(2);
    setting.log.rotate();
  }
  setting.clock.set(at("2026-11-25T00:00:00.000Z"));
  SECTION("in a file whose first line is none of ours") {
    setting.log.rotate();
    setting.log.raw("foreign\n");
  }
  some(4);
  setting.begin();
  setting.count();
  CHECK(setting.fine("a.example") == 4);
  CHECK_FALSE(setting.reports->oldest_counted(day - days(1))->has_value());
  CHECK(setting.reports->progress()->closed == day - days(1));
}

TEST_CASE("where counting never began and there is no log, it begins with the first line") {
  Setting setting;
  setting.begin();
  CHECK(setting.reports->progress()->counted == 0);
  setting.log.add(success("a.example"));
  setting.count();
  CHECK(setting.fine("a.example") == 1);
}

TEST_CASE("after counting was off, only today's lines count") {
  Setting setting;
  setting.begin();
  setting.log.add(success("a.example"));
  setting.count();
  REQUIRE(setting.reports->count_from(std::nullopt).has_value());
  setting.log.add(success("b.example"));
  setting.clock.set(at("2026-11-27T12:00:00.000Z"));
  setting.log.add(success("c.example"));
  setting.restart();
  setting.begin();
  setting.count();
  CHECK(setting.fine("b.example") == 0);
  CHECK(setting.fine("c.example", day + days(2)) == 1);
}

TEST_CASE("off and on again on one day, what was counted before does not count twice") {
  Setting setting;
  setting.begin();
  setting.log.add(success("a.example"));
  setting.log.add(success("a.example"));
  setting.count();
  REQUIRE(setting.reports->count_from(std::nullopt).has_value());
  setting.log.add(success("a.example"));
  setting.restart();
  setting.begin();
  setting.count();
  CHECK(setting.fine("a.example") == 3);
}

TEST_CASE("numbers that a loss of power took from the log's end count when they are given again") {
  Setting setting;
  setting.begin();
  for (int i = 0; i < 10; ++i) setting.log.add(success("a.example"));
  setting.count();
  const std::string whole = audit_test::slurp(setting.folder.log());
  std::size_t end = 0;
  for (int i = 0; i < 7; ++i) end = whole.find('\n', end) + 1;
  audit_test::spit(setting.folder.log(), whole.substr(0, end));
  setting.log.go_on_from(7);
  setting.restart();
  setting.begin();
  for (int i = 0; i < 5; ++i) setting.log.add(success("b.example"));
  setting.count();
  CHECK(setting.fine("a.example") == 10);
  CHECK(setting.fine("b.example") == 5);
}

TEST_CASE("a line whose domain is none is passed over: it would become a file's name") {
  Setting setting;
  setting.begin();
  std::string line =
      audit::to_json_line(success("a.example"), 1, std::string(64, 'a'), setting.clock.wall());
  const std::string name = "\"domain\":\"a.example\"";
  line.replace(line.find(name), name.size(), "\"domain\":\"../../etc/passwd\"");
  setting.log.raw(line + "\n");
  setting.log.go_on_from(1);
  setting.log.add(success("b.example"));
  setting.count();
  CHECK(setting.reports->counts(day, "", 10)->size() == 1);
  CHECK(setting.fine("b.example") == 1);
}

TEST_CASE("sessions are handed on once they are stored, and once only") {
  Setting setting;
  setting.begin();
  setting.log.add(success("a.example"));
  setting.flaky->fails = [](const std::string&) { return FlakyReports::Fails::before; };
  std::vector<audit::CountedSession> sessions;
  CHECK_FALSE(setting.counter->step(&sessions).has_value());
  CHECK(sessions.empty());
  setting.log.add(success("b.example"));
  setting.flaky->fails = [](const std::string&) { return FlakyReports::Fails::no; };
  for (;;) {
    const auto read = setting.counter->step(&sessions);
    REQUIRE(read.has_value());
    if (*read == 0) break;
  }
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0].domain == "a.example");
  CHECK(sessions[1].domain == "b.example");
}

TEST_CASE("the log's end is known while lines keep coming") {
  Setting setting;
  setting.begin();
  setting.log.add(success("a.example"));
  // Each time something is stored there is one line more.
  setting.flaky->fails = [&](const std::string& name) {
    if (name == "add") setting.log.add(success("a.example"));
    return FlakyReports::Fails::no;
  };
  for (int i = 0; i < 10; ++i) {
    const auto read = setting.counter->step(nullptr);
    REQUIRE(read.has_value());
    CHECK(*read > 0);
    CHECK(setting.counter->at_end());
  }
  setting.flaky->fails = [](const std::string&) { return FlakyReports::Fails::before; };
  CHECK_FALSE(setting.counter->step(nullptr).has_value());
  CHECK_FALSE(setting.counter->at_end());
}

// A kill at any moment is a new Counter over the same files: what was not stored is gone. A store
// that did its work and could not say so is the same as a kill between the two.
TEST_CASE("each line counts once, whatever is killed and whatever fails") {
  using Key = std::tuple<Day, std::string, std::string>;
  for (unsigned seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Setting setting("2026-11-25T23:30:00.000Z");
    setting.begin();
    std::map<Key, std::array<std::uint64_t, 3>> want;
    std::map<Key, std::uint64_t> want_failures;
    const auto fails = [&random](const std::string&) {
      const auto n = random() % 10;
      return n < 2   ? FlakyReports::Fails::before
             : n < 4 ? FlakyReports::Fails::after
                     : FlakyReports::Fails::no;
    };
    const auto add_line = [&] {
      const std::string domain = std::string(1, static_cast<char>('a' + random() % 4)) + ".example";
      tlsrpt::Policy policy = sts_policy(domain);
      policy.strings.push_back("x: " + std::to_string(random() % 3));
      std::vector<FailureDetail> failures;
      const auto kind = random() % 3;
      if (kind == 1) failures.push_back({ResultType::sts_policy_fetch_error, "http-503"});
      if (kind == 2) failures.push_back({ResultType::certificate_expired, "e; x"});
      setting.log.add(session(domain, {result(policy, failures)}));
      const Key key(std::chrono::floor<std::chrono::days>(setting.clock.wall()), domain,
                    tlsrpt::policy_digest(policy));
      ++want[key][kind];
      if (kind > 0) ++want_failures[key];
    };
    for (int round = 0; round < 80; ++round) {
      switch (random() % 6) {
        case 0: case 1:
          for (auto n = random() % 30; n > 0; --n) add_line();
          break;
        case 2:
          setting.clock.set(setting.clock.wall() + std::chrono::minutes(random() % 40));
          break;
        case 3:
          if (random() % 2 == 0) setting.log.rotate();
          if (random() % 2 == 0) setting.log.raw("no line of ours\n");
          break;
        case 4:
          setting.restart();
          setting.begin();
          setting.flaky->fails = fails;
          break;
        default:
          (void)setting.counter->step(nullptr);
      }
    }
    setting.restart();
    setting.begin();
    setting.count();
    std::map<Key, std::array<std::uint64_t, 3>> found;
    std::map<Key, std::uint64_t> found_failures;
    for (Day of = day; of < day + std::chrono::days(10); of += std::chrono::days(1)) {
      const auto counts = setting.reports->counts(of, "", 100);
      REQUIRE(counts.has_value());
      for (const auto& one : *counts) {
        for (const auto& row : one.policies) {
          found[{of, row.domain, row.digest}] = {row.fine, row.noted, row.failed};
        }
        for (const auto& row : one.failures) {
          found_failures[{of, row.domain, row.digest}] += row.count;
        }
      }
    }
    CHECK(found == want);
    CHECK(found_failures == want_failures);
  }
}
