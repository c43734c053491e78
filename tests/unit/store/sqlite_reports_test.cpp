// SqliteReports: the tables of TLS-RPT in the store's file: made in a new file and in one of the
// schema before, every row as it was put in, batches counted once, at most so many rows a domain.
#include "store/sqlite_reports.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <numeric>

#include "store/database.h"
#include "store/sqlite_store.h"

using namespace std::chrono_literals;
using std::chrono::days;
using store::CountBatch;
using store::Day;
using store::EndpointRow;
using store::EndpointState;
using store::FailureCount;
using store::PolicyCount;
using store::ReportRow;
using store::ReportState;

namespace fs = std::filesystem;

namespace {

constexpr Day day{2026y / 11 / 25};
const base::WallTime noon = base::WallTime(day) + 12h + 345ms;

// A file of the schema of this version, and the reports in it.
class Setting {
 public:
  Setting() {
    std::string name = (fs::temp_directory_path() / "sternpost-reports-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Setting() {
    reports_.reset();
    fs::remove_all(folder_);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  std::string file() const { return (folder_ / "state.db").string(); }
  // As after a restart.
  store::Reports& open() {
    reports_.reset();
    store::SqliteOptions options;
    options.file = file();
    auto whole = store::SqliteStore::open(options);
    if (!whole) FAIL(whole.error().text);
    auto opened = store::open_sqlite_reports(file(), 1000ms);
    if (!opened) FAIL(opened.error().text);
    reports_ = std::move(*opened);
    return *reports_;
  }
  store::Reports& reports() { return reports_ ? *reports_ : open(); }
  void execute(const char* sql) {
    auto db = store::Database::open(file(), 1000ms);
    REQUIRE(db.has_value());
    const auto done = (*db)->execute(sql);
    if (!done) FAIL(done.error().text);
  }

 private:
  fs::path folder_;
  std::unique_ptr<store::Reports> reports_;
};

PolicyCount policy(std::string domain, std::string digest, std::uint64_t fine,
                   std::uint64_t noted = 0, std::uint64_t failed = 0) {
  return {day, std::move(domain), std::move(digest), "sts", "policy.example", fine, noted, failed};
}
FailureCount failure(std::string domain, std::string digest, std::string reason,
                     std::uint64_t count) {
  return {day,         std::move(domain), std::move(digest), "validation-failure",
          std::move(reason), "mx.example", "helo.example",     "192.0.2.1",
          "192.0.2.2", count};
}

bool same(const PolicyCount& a, const PolicyCount& b) {
  return a.day == b.day && a.domain == b.domain && a.digest == b.digest &&
         a.policy_type == b.policy_type && a.policy_domain == b.policy_domain &&
         a.fine == b.fine && a.noted == b.noted && a.failed == b.failed;
}
bool same(const FailureCount& a, const FailureCount& b) {
  return a.day == b.day && a.domain == b.domain && a.digest == b.digest &&
         a.result_type == b.result_type && a.reason == b.reason && a.mx == b.mx &&
         a.helo == b.helo && a.ip == b.ip && a.source_ip == b.source_ip && a.count == b.count;
}
bool same(const ReportRow& a, const ReportRow& b) {
  return a.day == b.day && a.domain == b.domain && a.id == b.id && a.successes == b.successes &&
         a.failures == b.failures && a.composed == b.composed && a.state == b.state &&
         a.due == b.due && a.lookups == b.lookups && a.first_lookup == b.first_lookup &&
         a.record == b.record;
}
bool same(const EndpointRow& a, const EndpointRow& b) {
  return a.day == b.day && a.domain == b.domain && a.uri == b.uri && a.state == b.state &&
         a.attempts == b.attempts && a.first == b.first && a.next == b.next &&
         a.answer == b.answer && a.reverse_path == b.reverse_path && a.message == b.message;
}

ReportRow report(std::string domain, ReportState state = ReportState::waiting, Day of = day) {
  ReportRow row;
  row.day = of;
  row.domain = std::move(domain);
  row.id = "20261125.x@example.com";
  row.successes = 7;
  row.failures = 3;
  row.composed = noon;
  row.state = state;
  row.due = noon + 1h;
  row.lookups = 2;
  row.first_lookup = noon - 1ms;
  row.record = "v=TLSRPTv1; rua=mailto:a@b.example";
  return row;
}
EndpointRow endpoint(std::string domain, std::string uri) {
  EndpointRow row;
  row.day = day;
  row.domain = std::move(domain);
  row.uri = std::move(uri);
  row.attempts = 4;
  row.first = noon;
  row.next = noon + 5min;
  row.answer = "451 4.3.0 \xC3\xBC";
  row.reverse_path = "tlsrpt+1.2@example.com";
  row.message = std::string("a\0b\r\n\xff", 6);
  return row;
}

store::DomainCounts counts_of(store::Reports& reports, const std::string& domain) {
  const auto found = reports.counts_of(day, domain);
  REQUIRE(found.has_value());
  REQUIRE(found->has_value());
  return **found;
}

CountBatch batch(std::uint64_t from, std::uint64_t to) {
  CountBatch made;
  made.from = from;
  made.to = to;
  return made;
}

}  // namespace

TEST_CASE("reports: a file of the schema before gets the new tables and keeps what it had") {
  Setting setting;
  setting.open();
  store::PolicyRow row;
  row.domain = "kept.example";
  {
    store::SqliteOptions options;
    options.file = setting.file();
    auto whole = store::SqliteStore::open(options);
    REQUIRE(whole.has_value());
    (*whole)->put_value("audit.head", "17");
    (*whole)->put_policy_strings("d1", "{}", day);
    (*whole)->put_policy(row);
    REQUIRE((*whole)->flush().has_value());
  }
  // What a program of schema 1 leaves behind.
  setting.execute("DROP TABLE report_policy; DROP TABLE report_failure; DROP TABLE report; "
                  "DROP TABLE report_endpoint; DROP TABLE report_batch; "
                  "DROP TABLE mx_host; "
                  "ALTER TABLE policy_strings DROP COLUMN used; "
                  "PRAGMA user_version = 1;");
  store::Reports& reports = setting.open();
  const auto progress = reports.progress();
  REQUIRE(progress.has_value());
  CHECK_FALSE(progress->counted.has_value());
  CHECK_FALSE(progress->closed.has_value());
  REQUIRE(reports.put_report(report("a.example")).has_value());
  CHECK(reports.reports(day)->size() == 1);

  store::SqliteOptions options;
  options.file = setting.file();
  auto whole = store::SqliteStore::open(options);
  REQUIRE(whole.has_value());
  CHECK((*whole)->value("audit.head")->value() == "17");
  CHECK((*whole)->policy_strings("d1")->value() == "{}");
  REQUIRE((*whole)->load_policies()->size() == 1);
  CHECK((*whole)->load_policies()->front() == row);
  CHECK((*whole)->load_hosts()->empty());
}

TEST_CASE("reports: a file of a later schema is left alone") {
  Setting setting;
  setting.open();
  setting.execute("PRAGMA user_version = 4;");
  store::SqliteOptions options;
  options.file = setting.file();
  const auto opened = store::SqliteStore::open(options);
  REQUIRE_FALSE(opened.has_value());
  CHECK(opened.error().text.find("has schema 4, of another Sternpost") != std::string::npos);
}

TEST_CASE("reports: counts add up, row by row, and are there after a restart") {
  Setting setting;
  CountBatch one = batch(0, 10);
  one.policies = {policy("a.example", "d1", 1, 2, 3), policy("b.example", "d1", 1)};
  one.failures = {failure("a.example", "d1", "r", 3)};
  CountBatch two = batch(10, 11);
  two.policies = {policy("a.example", "d1", 10, 20, 30), policy("a.example", "d2", 5)};
  two.failures = {failure("a.example", "d1", "r", 30), failure("a.example", "d1", "s", 1)};
  REQUIRE(setting.reports().add(one).has_value());
  REQUIRE(setting.reports().add(two).has_value());
  const store::DomainCounts found = counts_of(setting.open(), "a.example");
  REQUIRE(found.policies.size() == 2);
  CHECK(same(found.policies[0], policy("a.example", "d1", 11, 22, 33)));
  CHECK(same(found.policies[1], policy("a.example", "d2", 5)));
  REQUIRE(found.failures.size() == 2);
  CHECK(same(found.failures[0], failure("a.example", "d1", "r", 33)));
  CHECK(same(found.failures[1], failure("a.example", "d1", "s", 1)));
  CHECK(setting.reports().progress()->counted == 11);
  CHECK_FALSE(setting.reports().counts_of(day, "c.example")->has_value());
  CHECK_FALSE(setting.reports().counts_of(day + days(1), "a.example")->has_value());
}

TEST_CASE("reports: lines that are counted add nothing, and a gap is an error that adds nothing") {
  Setting setting;
  store::Reports& reports = setting.reports();
  REQUIRE(reports.count_from(100).has_value());
  CountBatch lines = batch(100, 110);
  lines.policies = {policy("a.example", "d1", 1)};
  REQUIRE(reports.add(lines).has_value());
  REQUIRE(reports.add(lines).has_value());  // the answer to the first did not come back
  CHECK(counts_of(reports, "a.example").policies[0].fine == 1);
  lines.from = 112;
  lines.to = 120;
  const auto gap = reports.add(lines);
  REQUIRE_FALSE(gap.has_value());
  CHECK(gap.error().text == "results up to line 110 are counted; the next are behind line 112");
  CHECK(counts_of(reports, "a.example").policies[0].fine == 1);
  CHECK(reports.progress()->counted == 110);
  REQUIRE(reports.count_from(std::nullopt).has_value());
  CHECK_FALSE(reports.progress()->counted.has_value());
}

TEST_CASE("reports: a day that is closed stays closed") {
  Setting setting;
  REQUIRE(setting.reports().close_through(day).has_value());
  REQUIRE(setting.reports().close_through(day - days(1)).has_value());
  CHECK(setting.open().progress()->closed == day);
  REQUIRE(setting.reports().close_through(day + days(1)).has_value());
  CHECK(setting.reports().progress()->closed == day + days(1));
}

TEST_CASE("reports: a stored number that is none is told, and nothing is taken for it") {
  Setting setting;
  setting.open();
  setting.execute("INSERT INTO value VALUES ('tlsrpt.counted', '12x')");
  const auto progress = setting.reports().progress();
  REQUIRE_FALSE(progress.has_value());
  CHECK(progress.error().text == "the stored tlsrpt.counted is no number: 12x");
  CHECK_FALSE(setting.reports().add(batch(12, 13)).has_value());
}

TEST_CASE("reports: more policies than are told apart share a row, and no session is lost") {
  Setting setting;
  const auto most = static_cast<std::size_t>(store::policies_told_apart);
  std::uint64_t lines = 0;
  for (int round = 0; round < 2; ++round) {
    CountBatch one = batch(lines, lines + 1);
    for (std::size_t i = 0; i < most + 20; ++i) {
      one.policies.push_back(policy("a.example", "d" + std::to_string(i), 1, 2, 3));
    }
    one.policies.push_back(policy("b.example", "d0", 1));
    REQUIRE(setting.reports().add(one).has_value());
    ++lines;
  }
  const store::DomainCounts found = counts_of(setting.reports(), "a.example");
  REQUIRE(found.policies.size() == most + 1);
  std::uint64_t fine = 0;
  std::uint64_t failed = 0;
  for (const PolicyCount& one : found.policies) {
    fine += one.fine;
    failed += one.failed;
    if (one.digest.starts_with('*')) CHECK(one.noted == 80);
  }
  CHECK(fine == 2 * (most + 20));
  CHECK(failed == 6 * (most + 20));
  CHECK(counts_of(setting.reports(), "b.example").policies.size() == 1);
}

TEST_CASE("reports: more failures than are told apart keep their type and their count") {
  Setting setting;
  const auto most = static_cast<std::size_t>(store::failures_told_apart);
  CountBatch one = batch(0, 1);
  one.policies.push_back(policy("a.example", "d1", 0, 0, most + 40));
  for (std::size_t i = 0; i < most + 40; ++i) {
    one.failures.push_back(failure("a.example", "d1", "r" + std::to_string(i), 1));
    one.failures.back().result_type = i % 2 == 0 ? "validation-failure" : "certificate-expired";
  }
  REQUIRE(setting.reports().add(one).has_value());
  const store::DomainCounts found = counts_of(setting.reports(), "a.example");
  CHECK(found.failures.size() == most + 2);
  std::uint64_t all = 0;
  for (const FailureCount& row : found.failures) {
    all += row.count;
    CHECK(row.digest == "d1");
    if (!row.reason.empty()) continue;
    CHECK(row.count == 20);
    CHECK(row.reason + row.mx + row.helo + row.ip + row.source_ip == "");
  }
  CHECK(all == most + 40);
}

TEST_CASE("reports: counts come by domain in alphabetical order, so many at a time") {
  Setting setting;
  CountBatch one = batch(0, 1);
  for (const char* const name : {"c.example", "a.example", "b.example", "d.example"}) {
    one.policies.push_back(policy(name, "d1", 1));
  }
  one.policies.push_back(policy("e.example", "d1", 1));
  one.policies.back().day = day - days(2);
  REQUIRE(setting.reports().add(one).has_value());
  const auto names = [&](const std::string& after, std::size_t most) {
    std::string all;
    const auto found = setting.reports().counts(day, after, most);
    REQUIRE(found.has_value());
    for (const store::DomainCounts& counts : *found) all += counts.domain.substr(0, 1);
    return all;
  };
  CHECK(names("", 10) == "abcd");
  CHECK(names("", 2) == "ab");
  CHECK(names("b.example", 2) == "cd");
  CHECK(names("d.example", 2) == "");
  CHECK(*setting.reports().oldest_counted(day) == day - days(2));
  CHECK(*setting.reports().oldest_counted(day - days(2)) == day - days(2));
  CHECK_FALSE(setting.reports().oldest_counted(day - days(3))->has_value());
}

TEST_CASE("reports: with its report a domain's counts are gone, and no other's") {
  Setting setting;
  CountBatch one = batch(0, 1);
  one.policies = {policy("a.example", "d1", 1), policy("b.example", "d1", 1)};
  one.failures = {failure("a.example", "d1", "r", 1), failure("b.example", "d1", "r", 1)};
  REQUIRE(setting.reports().add(one).has_value());
  REQUIRE(setting.reports().put_reports({report("a.example")}).has_value());
  CHECK_FALSE(setting.reports().counts_of(day, "a.example")->has_value());
  CHECK(counts_of(setting.reports(), "b.example").failures.size() == 1);
  REQUIRE(setting.reports().put_reports({report("b.example")}).has_value());
  CHECK_FALSE(setting.reports().oldest_counted(day)->has_value());
  CHECK(setting.reports().reports(day)->size() == 2);
}

TEST_CASE("reports: every member of a report and an endpoint is there after a restart") {
  Setting setting;
  for (const auto state : {ReportState::waiting, ReportState::kept, ReportState::not_asked,
                           ReportState::sending, ReportState::sent, ReportState::failed}) {
    ReportRow row = report("a.example", state);
    if (state == ReportState::kept) row.first_lookup.reset();
    REQUIRE(setting.reports().put_report(row).has_value());
    CHECK(same(setting.open().report(day, "a.example")->value(), row));
  }
  std::vector<EndpointRow> rows{endpoint("a.example", "mailto:z@b.example"),
                                endpoint("a.example", "https://b.example/")};
  rows[1].first.reset();
  rows[1].state = EndpointState::given_up;
  REQUIRE(setting.reports().put_endpoints(report("a.example"), rows).has_value());
  auto found = setting.open().endpoints(day, "a.example");
  REQUIRE(found.has_value());
  REQUIRE(found->size() == 2);
  CHECK(same((*found)[0], rows[0]));  // in the record's order, not the alphabet's
  CHECK(same((*found)[1], rows[1]));
  rows[0].state = EndpointState::accepted;
  rows[0].message = "";
  REQUIRE(setting.reports().put_endpoint(rows[0]).has_value());
  found = setting.open().endpoints(day, "a.example");
  REQUIRE(found->size() == 2);
  CHECK(same((*found)[0], rows[0]));
  CHECK_FALSE(setting.reports().report(day, "b.example")->has_value());
}

TEST_CASE("reports: due is what waits or is being sent and whose time has come, oldest first") {
  Setting setting;
  store::Reports& reports = setting.reports();
  int minutes = 0;
  for (const auto state : {ReportState::sending, ReportState::waiting, ReportState::kept,
                           ReportState::not_asked, ReportState::sent, ReportState::failed}) {
    ReportRow row = report(std::string(1, static_cast<char>('a' + minutes)) + ".example", state);
    row.due = noon - std::chrono::minutes(minutes++);
    REQUIRE(reports.put_report(row).has_value());
  }
  REQUIRE(reports.put_report(report("later.example")).has_value());
  const auto names = [&reports](base::WallTime now, std::size_t most) {
    std::string all;
    for (const ReportRow& row : *reports.due(now, most)) all += row.domain.substr(0, 1);
    return all;
  };
  CHECK(names(noon, 10) == "ba");
  CHECK(names(noon, 1) == "b");
  CHECK(names(noon - 1ms, 10) == "b");
  CHECK(names(noon + 1h, 10) == "bal");
  CHECK(*reports.backlog() == 3);
}

TEST_CASE("reports: days before the one named are forgotten, with their endpoints") {
  Setting setting;
  store::Reports& reports = setting.reports();
  REQUIRE(reports.put_report(report("a.example", ReportState::sent, day - days(1))).has_value());
  REQUIRE(reports.put_endpoints(report("a.example"), {endpoint("a.example", "u")}).has_value());
  EndpointRow old = endpoint("a.example", "u");
  old.day = day - days(1);
  REQUIRE(reports.put_endpoint(old).has_value());
  REQUIRE(reports.forget_before(day).has_value());
  CHECK(reports.reports(day - days(1))->empty());
  CHECK(reports.endpoints(day - days(1), "a.example")->empty());
  CHECK(reports.reports(day)->size() == 1);
  CHECK(reports.endpoints(day, "a.example")->size() == 1);
}

TEST_CASE("reports: while another connection writes, a call waits, then says so") {
  Setting setting;
  store::Reports& reports = setting.reports();
  auto other = store::Database::open(setting.file(), 0ms);
  REQUIRE(other.has_value());
  REQUIRE((*other)->execute("BEGIN IMMEDIATE").has_value());
  CountBatch one = batch(0, 1);
  one.policies = {policy("a.example", "d1", 1)};
  const auto refused = reports.add(one);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("locked") != std::string::npos);
  REQUIRE((*other)->execute("ROLLBACK").has_value());
  REQUIRE(reports.add(one).has_value());
  CHECK(counts_of(reports, "a.example").policies[0].fine == 1);
}
