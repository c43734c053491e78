// Counts: between the journal of batches and the day's rows nothing is lost, nothing counts twice,
// and nobody who reads can tell where a count lies. Bounds are those of store/sqlite_counts.cpp.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "store/database.h"
#include "store/sqlite_reports.h"
#include "store/sqlite_store.h"

using namespace std::chrono_literals;
using std::chrono::days;
using store::CountBatch;
using store::Day;

namespace fs = std::filesystem;

namespace {

constexpr Day day{2026y / 11 / 25};
constexpr int batches_kept = 64;

class Setting {
 public:
  Setting() {
    std::string name = (fs::temp_directory_path() / "sternpost-counts-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    store::SqliteOptions options;
    options.file = file();
    auto whole = store::SqliteStore::open(options);
    if (!whole) FAIL(whole.error().text);
    reopen();
  }
  ~Setting() {
    reports.reset();
    fs::remove_all(folder_);
  }
  Setting(const Setting&) = delete;
  Setting& operator=(const Setting&) = delete;

  std::string file() const { return (folder_ / "state.db").string(); }
  // As after a kill: whatever is not in the file is gone.
  void reopen() {
    reports.reset();
    auto opened = store::open_sqlite_reports(file(), 1000ms);
    if (!opened) FAIL(opened.error().text);
    reports = std::move(*opened);
  }
  std::unique_ptr<store::Database> other() const {
    auto db = store::Database::open(file(), 0ms);
    REQUIRE(db.has_value());
    return std::move(*db);
  }
  std::int64_t number(const char* sql) const { return other()->number(sql).value(); }
  std::int64_t pending() const { return number("SELECT count(*) FROM report_batch"); }
  std::int64_t in_table() const { return number("SELECT total(fine) FROM report_policy"); }

  CountBatch next() {
    CountBatch made;
    made.from = line_;
    made.to = ++line_;
    return made;
  }
  void add(const std::string& domain, std::uint64_t fine, Day of = day,
           const std::string& digest = "d1") {
    CountBatch one = next();
    one.policies.push_back({of, domain, digest, "sts", "p.example", fine, 0, 0});
    REQUIRE(reports->add(one).has_value());
  }
  // 0: nothing is counted.
  std::uint64_t fine(const std::string& domain, Day of = day) {
    const auto found = reports->counts_of(of, domain);
    REQUIRE(found.has_value());
    std::uint64_t sum = 0;
    if (!*found) return sum;
    for (const store::PolicyCount& row : (*found)->policies) sum += row.fine;
    return sum;
  }

  std::unique_ptr<store::Reports> reports;

 private:
  fs::path folder_;
  std::uint64_t line_ = 0;
};

}  // namespace

TEST_CASE("counts: a batch lies in the journal until somebody reads, with its line's number") {
  Setting setting;
  setting.add("a.example", 1);
  setting.add("a.example", 2);
  CHECK(setting.pending() == 2);
  CHECK(setting.in_table() == 0);
  CHECK(setting.reports->progress()->counted == 2);
  setting.reopen();
  CHECK(setting.reports->progress()->counted == 2);
  CHECK(setting.fine("a.example") == 3);
  CHECK(setting.pending() == 0);
  CHECK(setting.in_table() == 3);
  CHECK(setting.fine("a.example") == 3);
}

TEST_CASE("counts: each way of reading takes what a kill left in the journal") {
  for (int way = 0; way < 3; ++way) {
    Setting setting;
    setting.add("a.example", 5);
    setting.reopen();
    if (way == 0) CHECK(*setting.reports->oldest_counted(day) == day);
    if (way == 1) CHECK(setting.reports->counts(day, "", 10)->size() == 1);
    if (way == 2) CHECK(setting.fine("a.example") == 5);
    CHECK(setting.pending() == 0);
    CHECK(setting.in_table() == 5);
  }
}

TEST_CASE("counts: the journal is bounded by its batches, also over restarts") {
  Setting setting;
  for (int i = 0; i < batches_kept; ++i) {
    setting.add("a.example", 1);
    if (i % 10 == 0) setting.reopen();
  }
  CHECK(setting.pending() == batches_kept);
  CHECK(setting.in_table() == 0);
  setting.add("a.example", 1);
  CHECK(setting.pending() == 1);
  CHECK(setting.in_table() == batches_kept);
  CHECK(setting.fine("a.example") == batches_kept + 1);
}

TEST_CASE("counts: the journal is bounded by its rows") {
  Setting setting;
  for (int i = 0; i < 4; ++i) {
    CountBatch one = setting.next();
    for (int n = 0; n < 50000; ++n) {
      one.policies.push_back(
          {day, std::to_string(n) + ".example", "d1", "sts", "p.example", 1, 0, 0});
    }
    REQUIRE(setting.reports->add(one).has_value());
    CHECK(setting.number("SELECT total(rows) FROM report_batch") <= 150000);
  }
  CHECK(setting.pending() == 1);
  CHECK(setting.in_table() == 150000);
  CHECK(setting.fine("7.example") == 4);
}

TEST_CASE("counts: a flood of failures is moved long before it is as many rows") {
  Setting setting;
  for (int i = 0; i < 4; ++i) {
    CountBatch one = setting.next();
    for (int n = 0; n < 10000; ++n) {
      one.failures.push_back(
          {day, "a.example", "d1", "t", "r", "m", std::to_string(n), "i", "s", 1});
    }
    REQUIRE(setting.reports->add(one).has_value());
  }
  CHECK(setting.pending() == 1);
  CHECK(setting.number("SELECT total(count) FROM report_failure") == 30000);
}

TEST_CASE("counts: lines that hold nothing to count leave no batch, but are counted") {
  Setting setting;
  REQUIRE(setting.reports->add(setting.next()).has_value());
  CHECK(setting.pending() == 0);
  CHECK(setting.reports->progress()->counted == 1);
}

TEST_CASE("counts: a batch that comes again counts once, before a fold, behind it and reopened") {
  Setting setting;
  CountBatch one = setting.next();
  one.policies.push_back({day, "a.example", "d1", "sts", "p.example", 1, 0, 0});
  REQUIRE(setting.reports->add(one).has_value());
  REQUIRE(setting.reports->add(one).has_value());
  setting.reopen();
  REQUIRE(setting.reports->add(one).has_value());
  CHECK(setting.fine("a.example") == 1);
  REQUIRE(setting.reports->add(one).has_value());
  setting.reopen();
  REQUIRE(setting.reports->add(one).has_value());
  CHECK(setting.fine("a.example") == 1);
}

TEST_CASE("counts: lines numbered anew after a loss of power are counted beside the pending ones") {
  Setting setting;
  setting.add("a.example", 1);
  setting.add("a.example", 10);
  REQUIRE(setting.reports->count_from(1).has_value());
  CountBatch again;
  again.from = 1;
  again.to = 2;
  again.policies.push_back({day, "a.example", "d1", "sts", "p.example", 100, 0, 0});
  REQUIRE(setting.reports->add(again).has_value());
  CHECK(setting.fine("a.example") == 111);
}

TEST_CASE("counts: a fold that fails leaves the journal whole, and one cut off does too") {
  Setting setting;
  setting.add("a.example", 1);
  setting.add("b.example", 2);
  const auto other = setting.other();
  REQUIRE(other->execute("BEGIN IMMEDIATE").has_value());
  const auto busy = setting.reports->counts_of(day, "a.example");
  REQUIRE_FALSE(busy.has_value());
  CHECK(busy.error().text.find("locked") != std::string::npos);
  REQUIRE(other->execute("ROLLBACK").has_value());
  // It fails in the middle: the second row is refused.
  REQUIRE(other->execute("CREATE TRIGGER refuse BEFORE INSERT ON report_policy WHEN new.domain = "
                         "'b.example' BEGIN SELECT raise(ABORT, 'refused'); END").has_value());
  CHECK_FALSE(setting.reports->oldest_counted(day).has_value());
  CHECK(setting.pending() == 2);
  CHECK(setting.in_table() == 0);
  CHECK(setting.reports->progress()->counted == 2);
  REQUIRE(other->execute("DROP TRIGGER refuse").has_value());
  setting.reopen();
  CHECK(setting.fine("a.example") == 1);
  CHECK(setting.fine("b.example") == 2);
}

TEST_CASE("counts: a batch that no fold can be made of is told, and nothing is taken for it") {
  Setting setting;
  setting.add("a.example", 1);
  REQUIRE(setting.other()->execute("UPDATE report_batch SET policies = 'x'").has_value());
  const auto found = setting.reports->counts_of(day, "a.example");
  REQUIRE_FALSE(found.has_value());
  CHECK(found.error().text == "the stored batch 1 of TLS-RPT counts is damaged");
  CHECK(setting.pending() == 1);
}

TEST_CASE("counts: over a day's end each day gets its own, and today's reading waits for no fold") {
  Setting setting;
  CountBatch both = setting.next();
  for (const Day of : {day + days(1), day}) {
    both.policies.push_back({of, "a.example", "d1", "sts", "p.example", 1, 0, 0});
    both.failures.push_back({of, "a.example", "d1", "t", "r", "m", "h", "i", "s", 1});
  }
  REQUIRE(setting.reports->add(both).has_value());
  setting.add("a.example", 10, day + days(1));
  CHECK_FALSE(setting.reports->oldest_counted(day - days(1))->has_value());
  CHECK(setting.pending() == 2);
  CHECK(*setting.reports->oldest_counted(day) == day);
  CHECK(setting.fine("a.example") == 1);
  CHECK(setting.fine("a.example", day + days(1)) == 11);
  CHECK(setting.reports->counts_of(day, "a.example")->value().failures.size() == 1);
  // While the day before is composed, today's counting goes on in the journal.
  setting.add("a.example", 100, day + days(1));
  CHECK(setting.reports->counts(day, "", 10)->size() == 1);
  CHECK(setting.pending() == 1);
  CHECK(setting.fine("a.example", day + days(1)) == 111);
}

TEST_CASE("counts: with its report a domain's counts are gone, those in the journal too") {
  Setting setting;
  setting.add("a.example", 1);
  setting.add("b.example", 2);
  setting.add("a.example", 4, day + days(1));
  store::ReportRow row;
  row.day = day;
  row.domain = "a.example";
  REQUIRE(setting.reports->put_reports({row}).has_value());
  CHECK(setting.fine("a.example") == 0);
  CHECK(setting.fine("b.example") == 2);
  CHECK(setting.fine("a.example", day + days(1)) == 4);
  REQUIRE(setting.reports->put_reports({}).has_value());
}

TEST_CASE("counts: counting that begins anew takes pending counts of open days along") {
  Setting setting;
  setting.add("a.example", 1);
  setting.add("a.example", 2, day + days(1));
  setting.add("b.example", 4, day + days(2));
  REQUIRE(setting.reports->count_from(std::nullopt).has_value());
  setting.reopen();
  REQUIRE(setting.reports->begin_counting(3, day).has_value());
  CHECK(setting.fine("a.example") == 1);
  CHECK(setting.fine("a.example", day + days(1)) == 0);
  CHECK(setting.fine("b.example", day + days(2)) == 0);
  setting.add("a.example", 8, day + days(1));
  CHECK(setting.fine("a.example", day + days(1)) == 8);
}

TEST_CASE("counts: policies and failures told apart stay bounded over batches and folds") {
  Setting setting;
  const auto policies = static_cast<std::uint64_t>(store::policies_told_apart);
  const auto failures = static_cast<std::uint64_t>(store::failures_told_apart);
  std::uint64_t added = 0;
  for (int round = 0; round < 30; ++round) {
    CountBatch one = setting.next();
    for (int n = 0; n < 40; ++n, ++added) {
      const std::string name = std::to_string(added);
      one.policies.push_back({day, "a.example", "d" + name, "sts", "p.example", 1, 0, 1});
      one.failures.push_back(
          {day, "a.example", "d" + name, "t" + std::to_string(n % 2), name, "m", "h", "i", "s", 1});
    }
    REQUIRE(setting.reports->add(one).has_value());
    if (round % 7 == 0) CHECK(setting.fine("a.example") == added);
    if (round % 11 == 0) setting.reopen();
  }
  const auto found = setting.reports->counts_of(day, "a.example")->value();
  CHECK(found.policies.size() == policies + 1);
  CHECK(found.failures.size() == failures + 2);
  std::uint64_t fine = 0;
  std::uint64_t failed = 0;
  for (const auto& row : found.policies) fine += row.fine;
  for (const auto& row : found.failures) failed += row.count;
  CHECK(fine == added);
  CHECK(failed == added);
}
