#include "store/sqlite_reports.h"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <unordered_map>

#include "store/database.h"

namespace store {

namespace {

using base::fail;

constexpr const char* counted_key = "tlsrpt.counted";
constexpr const char* closed_key = "tlsrpt.closed";
constexpr std::int64_t never = -1;  // a time that is not there

std::int64_t number_of(Day day) { return day.time_since_epoch().count(); }
Day day_of(std::int64_t number) { return Day(std::chrono::days(number)); }
std::int64_t number_of(base::WallTime time) { return time.time_since_epoch().count(); }
base::WallTime time_of(std::int64_t number) {
  return base::WallTime(std::chrono::milliseconds(number));
}
std::int64_t number_of(const std::optional<base::WallTime>& time) {
  return time ? number_of(*time) : never;
}
std::optional<base::WallTime> optional_time(std::int64_t number) {
  if (number == never) return std::nullopt;
  return time_of(number);
}
std::int64_t number_of(std::uint64_t count) { return static_cast<std::int64_t>(count); }
std::uint64_t count_of(std::int64_t number) { return static_cast<std::uint64_t>(number); }

// As the tables are ordered, so that each of their pages is read and written once.
template <class Row>
std::vector<const Row*> in_order(const std::vector<Row>& rows) {
  std::vector<const Row*> order;
  order.reserve(rows.size());
  for (const Row& row : rows) order.push_back(&row);
  std::ranges::sort(order, {}, [](const Row* row) {
    return std::tie(row->day, row->domain, row->digest);
  });
  return order;
}

constexpr const char* report_columns =
    "day, domain, id, successes, failures, composed, state, due, lookups, first_lookup, record";
constexpr const char* endpoint_columns =
    "day, domain, uri, state, attempts, first, next, answer, reverse_path, message";

class SqliteReports final : public Reports {
 public:
  explicit SqliteReports(std::unique_ptr<Database> db) : db_(std::move(db)) {}

  base::Result<Progress, base::Error> progress() override;
  Outcome count_from(std::optional<std::uint64_t> counted) override;
  Outcome begin_counting(std::uint64_t counted, Day closed) override;
  Outcome add(const CountBatch& batch) override;
  Outcome close_through(Day day) override;
  base::Result<std::optional<Day>, base::Error> oldest_counted(Day last) override;
  base::Result<std::vector<DomainCounts>, base::Error> counts(Day day, const std::string& after,
                                                              std::size_t most) override;
  base::Result<std::optional<DomainCounts>, base::Error> counts_of(
      Day day, const std::string& domain) override;
  Outcome put_reports(const std::vector<ReportRow>& reports) override;
  base::Result<std::vector<ReportRow>, base::Error> reports(Day day) override;
  base::Result<std::optional<ReportRow>, base::Error> report(Day day,
                                                             const std::string& domain) override;
  base::Result<std::vector<ReportRow>, base::Error> due(base::WallTime now,
                                                        std::size_t most) override;
  Outcome put_report(const ReportRow& report) override;
  base::Result<std::vector<EndpointRow>, base::Error> endpoints(
      Day day, const std::string& domain) override;
  Outcome put_endpoints(const ReportRow& report,
                        const std::vector<EndpointRow>& endpoints) override;
  Outcome put_endpoint(const EndpointRow& endpoint) override;
  base::Result<std::uint64_t, base::Error> backlog() override;
  Outcome forget_before(Day day) override;

 private:
  // The statement, prepared once.
  base::Result<Statement*, base::Error> use(const char* sql);
  template <class Work>
  Outcome transaction(Work work);
  base::Result<std::optional<std::int64_t>, base::Error> value(const char* key);
  Outcome set_value(const char* key, std::int64_t number);
  Outcome erase_value(const char* key);
  Outcome add_policy(const PolicyCount& row);
  Outcome add_failure(const FailureCount& row);
  base::Result<bool, base::Error> add_to_policy(const PolicyCount& row, std::string_view digest);
  base::Result<bool, base::Error> add_to_failure(const FailureCount& row);
  base::Result<std::int64_t, base::Error> rows_of(const char* sql, Day day,
                                                  const std::string& domain);
  Outcome read_counts(Day day, DomainCounts& into);
  Outcome write(const ReportRow& row);
  Outcome write(const EndpointRow& row);
  base::Result<std::vector<ReportRow>, base::Error> read_reports(Statement& statement);

  std::unique_ptr<Database> db_;
  std::unordered_map<const char*, Statement> statements_;
};

base::Result<Statement*, base::Error> SqliteReports::use(const char* sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    auto prepared = db_->prepare(sql);
    if (!prepared) return fail(std::move(prepared.error()));
    found = statements_.emplace(sql, std::move(*prepared)).first;
  }
  found->second.reset();
  return &found->second;
}

template <class Work>
Outcome SqliteReports::transaction(Work work) {
  Outcome outcome = db_->execute("BEGIN IMMEDIATE");
  if (!outcome) return outcome;
  outcome = work();
  if (outcome) outcome = db_->execute("COMMIT");
  if (!outcome) (void)db_->execute("ROLLBACK");
  return outcome;
}

base::Result<std::optional<std::int64_t>, base::Error> SqliteReports::value(const char* key) {
  auto statement = use("SELECT text FROM value WHERE key = ?1");
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, key).step();
  if (!row) return fail(std::move(row.error()));
  if (!*row) return std::optional<std::int64_t>();
  const std::string text = (*statement)->text(0);
  (*statement)->reset();
  std::int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return fail(std::string("the stored ") + key + " is no number: " + text);
  }
  return std::optional(number);
}

Outcome SqliteReports::set_value(const char* key, std::int64_t number) {
  auto statement = use("INSERT OR REPLACE INTO value VALUES (?1, ?2)");
  if (!statement) return fail(std::move(statement.error()));
  const std::string text = std::to_string(number);
  return (*statement)->bind(1, key).bind(2, text).run();
}

Outcome SqliteReports::erase_value(const char* key) {
  auto statement = use("DELETE FROM value WHERE key = ?1");
  if (!statement) return fail(std::move(statement.error()));
  return (*statement)->bind(1, key).run();
}

// ---- counting -----------------------------------------------------------------------------------

base::Result<Progress, base::Error> SqliteReports::progress() {
  auto counted = value(counted_key);
  if (!counted) return fail(std::move(counted.error()));
  auto closed = value(closed_key);
  if (!closed) return fail(std::move(closed.error()));
  Progress progress;
  if (*counted) progress.counted = count_of(**counted);
  if (*closed) progress.closed = day_of(**closed);
  return progress;
}

Outcome SqliteReports::count_from(std::optional<std::uint64_t> counted) {
  return counted ? set_value(counted_key, number_of(*counted)) : erase_value(counted_key);
}

Outcome SqliteReports::begin_counting(std::uint64_t counted, Day closed) {
  return transaction([&]() -> Outcome {
    for (const char* const sql : {"DELETE FROM report_policy WHERE day > ?1",
                                  "DELETE FROM report_failure WHERE day > ?1"}) {
      auto statement = use(sql);
      if (!statement) return fail(std::move(statement.error()));
      auto done = (*statement)->bind(1, number_of(closed)).run();
      if (!done) return done;
    }
    auto before = value(closed_key);
    if (!before) return fail(std::move(before.error()));
    if (!*before || **before < number_of(closed)) {
      auto set = set_value(closed_key, number_of(closed));
      if (!set) return set;
    }
    return set_value(counted_key, number_of(counted));
  });
}

Outcome SqliteReports::close_through(Day day) {
  return transaction([&]() -> Outcome {
    auto before = value(closed_key);
    if (!before) return fail(std::move(before.error()));
    if (*before && **before >= number_of(day)) return {};
    return set_value(closed_key, number_of(day));
  });
}

// In one transaction with the number of the last line: whatever becomes of this process, each line
// is counted once.
Outcome SqliteReports::add(const CountBatch& batch) {
  return transaction([&]() -> Outcome {
    auto counted = value(counted_key);
    if (!counted) return fail(std::move(counted.error()));
    const std::uint64_t before = *counted ? count_of(**counted) : batch.from;
    if (before >= batch.to) return {};
    if (before != batch.from) {
      return fail("results up to line " + std::to_string(before) + " are counted; the next are " +
                  "behind line " + std::to_string(batch.from));
    }
    for (const PolicyCount* row : in_order(batch.policies)) {
      auto added = add_policy(*row);
      if (!added) return added;
    }
    for (const FailureCount* row : in_order(batch.failures)) {
      auto added = add_failure(*row);
      if (!added) return added;
    }
    return set_value(counted_key, number_of(batch.to));
  });
}

base::Result<std::int64_t, base::Error> SqliteReports::rows_of(const char* sql, Day day,
                                                               const std::string& domain) {
  auto statement = use(sql);
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, number_of(day)).bind(2, domain).step();
  if (!row) return fail(std::move(row.error()));
  const std::int64_t count = *row ? (*statement)->number(0) : 0;
  (*statement)->reset();
  return count;
}

base::Result<bool, base::Error> SqliteReports::add_to_policy(const PolicyCount& row,
                                                             std::string_view digest) {
  auto statement = use(
      "UPDATE report_policy SET fine = fine + ?4, noted = noted + ?5, failed = failed + ?6 "
      "WHERE day = ?1 AND domain = ?2 AND digest = ?3");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, digest);
  (*statement)->bind(4, number_of(row.fine)).bind(5, number_of(row.noted));
  auto done = (*statement)->bind(6, number_of(row.failed)).run();
  if (!done) return fail(std::move(done.error()));
  return db_->changes() > 0;
}

Outcome SqliteReports::add_policy(const PolicyCount& row) {
  auto added = add_to_policy(row, row.digest);
  if (!added) return fail(std::move(added.error()));
  if (*added) return {};
  auto rows = rows_of("SELECT count(*) FROM report_policy WHERE day = ?1 AND domain = ?2", row.day,
                      row.domain);
  if (!rows) return fail(std::move(rows.error()));
  std::string_view digest = row.digest;
  if (*rows >= policies_told_apart) {
    digest = "";
    added = add_to_policy(row, digest);
    if (!added) return fail(std::move(added.error()));
    if (*added) return {};
  }
  auto statement = use("INSERT INTO report_policy VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, digest);
  (*statement)->bind(4, row.policy_type).bind(5, row.policy_domain);
  (*statement)->bind(6, number_of(row.fine)).bind(7, number_of(row.noted));
  return (*statement)->bind(8, number_of(row.failed)).run();
}

base::Result<bool, base::Error> SqliteReports::add_to_failure(const FailureCount& row) {
  auto statement = use(
      "UPDATE report_failure SET count = count + ?10 WHERE day = ?1 AND domain = ?2 AND "
      "digest = ?3 AND result = ?4 AND reason = ?5 AND mx = ?6 AND helo = ?7 AND ip = ?8 AND "
      "source = ?9");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, row.digest);
  (*statement)->bind(4, row.result_type).bind(5, row.reason).bind(6, row.mx).bind(7, row.helo);
  (*statement)->bind(8, row.ip).bind(9, row.source_ip);
  auto done = (*statement)->bind(10, number_of(row.count)).run();
  if (!done) return fail(std::move(done.error()));
  return db_->changes() > 0;
}

Outcome SqliteReports::add_failure(const FailureCount& full) {
  auto added = add_to_failure(full);
  if (!added) return fail(std::move(added.error()));
  if (*added) return {};
  auto rows = rows_of("SELECT count(*) FROM report_failure WHERE day = ?1 AND domain = ?2",
                      full.day, full.domain);
  if (!rows) return fail(std::move(rows.error()));
  FailureCount row = full;
  if (*rows >= failures_told_apart) {
    // A peer that names itself anew each time must not fill the disk: the count stays true.
    row.digest = row.reason = row.mx = row.helo = row.ip = row.source_ip = "";
    added = add_to_failure(row);
    if (!added) return fail(std::move(added.error()));
    if (*added) return {};
  }
  auto statement =
      use("INSERT INTO report_failure VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, row.digest);
  (*statement)->bind(4, row.result_type).bind(5, row.reason).bind(6, row.mx).bind(7, row.helo);
  (*statement)->bind(8, row.ip).bind(9, row.source_ip);
  return (*statement)->bind(10, number_of(row.count)).run();
}

// ---- composing ----------------------------------------------------------------------------------

base::Result<std::optional<Day>, base::Error> SqliteReports::oldest_counted(Day last) {
  auto statement = use("SELECT day FROM report_policy WHERE day <= ?1 ORDER BY day LIMIT 1");
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, number_of(last)).step();
  if (!row) return fail(std::move(row.error()));
  std::optional<Day> day;
  if (*row) day = day_of((*statement)->number(0));
  (*statement)->reset();
  return day;
}

Outcome SqliteReports::read_counts(Day day, DomainCounts& into) {
  auto policies = use(
      "SELECT digest, type, policy_domain, fine, noted, failed FROM report_policy "
      "WHERE day = ?1 AND domain = ?2 ORDER BY type, policy_domain, digest");
  if (!policies) return fail(std::move(policies.error()));
  (*policies)->bind(1, number_of(day)).bind(2, into.domain);
  for (;;) {
    auto more = (*policies)->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) break;
    const Statement& row = **policies;
    into.policies.push_back({day, into.domain, row.text(0), row.text(1), row.text(2),
                             count_of(row.number(3)), count_of(row.number(4)),
                             count_of(row.number(5))});
  }
  auto failures = use(
      "SELECT digest, result, reason, mx, helo, ip, source, count FROM report_failure "
      "WHERE day = ?1 AND domain = ?2 ORDER BY digest, result, mx, ip, source, helo, reason");
  if (!failures) return fail(std::move(failures.error()));
  (*failures)->bind(1, number_of(day)).bind(2, into.domain);
  for (;;) {
    auto more = (*failures)->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return {};
    const Statement& row = **failures;
    into.failures.push_back({day, into.domain, row.text(0), row.text(1), row.text(2), row.text(3),
                             row.text(4), row.text(5), row.text(6), count_of(row.number(7))});
  }
}

base::Result<std::vector<DomainCounts>, base::Error> SqliteReports::counts(
    Day day, const std::string& after, std::size_t most) {
  auto statement = use(
      "SELECT DISTINCT domain FROM report_policy WHERE day = ?1 AND domain > ?2 "
      "ORDER BY domain LIMIT ?3");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(day)).bind(2, after).bind(3, number_of(std::uint64_t{most}));
  std::vector<DomainCounts> found;
  for (;;) {
    auto more = (*statement)->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) break;
    found.push_back({(*statement)->text(0), {}, {}});
  }
  for (DomainCounts& one : found) {
    auto read = read_counts(day, one);
    if (!read) return fail(std::move(read.error()));
  }
  return found;
}

base::Result<std::optional<DomainCounts>, base::Error> SqliteReports::counts_of(
    Day day, const std::string& domain) {
  DomainCounts found{domain, {}, {}};
  auto read = read_counts(day, found);
  if (!read) return fail(std::move(read.error()));
  std::optional<DomainCounts> out;
  if (!found.policies.empty()) out = std::move(found);
  return out;
}

Outcome SqliteReports::put_reports(const std::vector<ReportRow>& reports) {
  return transaction([&]() -> Outcome {
    for (const ReportRow& row : reports) {
      auto written = write(row);
      if (!written) return written;
      for (const char* const sql : {"DELETE FROM report_policy WHERE day = ?1 AND domain = ?2",
                                    "DELETE FROM report_failure WHERE day = ?1 AND domain = ?2"}) {
        auto statement = use(sql);
        if (!statement) return fail(std::move(statement.error()));
        auto done = (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).run();
        if (!done) return done;
      }
    }
    return {};
  });
}

// ---- sending ------------------------------------------------------------------------------------

Outcome SqliteReports::write(const ReportRow& row) {
  auto statement =
      use("INSERT OR REPLACE INTO report VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, row.id);
  (*statement)->bind(4, number_of(row.successes)).bind(5, number_of(row.failures));
  (*statement)->bind(6, number_of(row.composed)).bind(7, static_cast<std::int64_t>(row.state));
  (*statement)->bind(8, number_of(row.due)).bind(9, static_cast<std::int64_t>(row.lookups));
  return (*statement)->bind(10, number_of(row.first_lookup)).bind(11, row.record).run();
}

Outcome SqliteReports::write(const EndpointRow& row) {
  auto statement = use(
      "INSERT INTO report_endpoint VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
      "ON CONFLICT (day, domain, uri) DO UPDATE SET state = ?4, attempts = ?5, first = ?6, "
      "next = ?7, answer = ?8, reverse_path = ?9, message = ?10");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, row.uri);
  (*statement)->bind(4, static_cast<std::int64_t>(row.state));
  (*statement)->bind(5, static_cast<std::int64_t>(row.attempts)).bind(6, number_of(row.first));
  (*statement)->bind(7, number_of(row.next)).bind(8, row.answer).bind(9, row.reverse_path);
  return (*statement)->bind(10, row.message).run();
}

base::Result<std::vector<ReportRow>, base::Error> SqliteReports::read_reports(
    Statement& statement) {
  std::vector<ReportRow> found;
  for (;;) {
    auto more = statement.step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return found;
    ReportRow row;
    row.day = day_of(statement.number(0));
    row.domain = statement.text(1);
    row.id = statement.text(2);
    row.successes = count_of(statement.number(3));
    row.failures = count_of(statement.number(4));
    row.composed = time_of(statement.number(5));
    row.state = static_cast<ReportState>(statement.number(6));
    row.due = time_of(statement.number(7));
    row.lookups = static_cast<std::uint32_t>(statement.number(8));
    row.first_lookup = optional_time(statement.number(9));
    row.record = statement.text(10);
    found.push_back(std::move(row));
  }
}

base::Result<std::vector<ReportRow>, base::Error> SqliteReports::reports(Day day) {
  static const std::string sql =
      std::string("SELECT ") + report_columns + " FROM report WHERE day = ?1 ORDER BY domain";
  auto statement = use(sql.c_str());
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(day));
  return read_reports(**statement);
}

base::Result<std::optional<ReportRow>, base::Error> SqliteReports::report(
    Day day, const std::string& domain) {
  static const std::string sql =
      std::string("SELECT ") + report_columns + " FROM report WHERE day = ?1 AND domain = ?2";
  auto statement = use(sql.c_str());
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(day)).bind(2, domain);
  auto rows = read_reports(**statement);
  if (!rows) return fail(std::move(rows.error()));
  std::optional<ReportRow> found;
  if (!rows->empty()) found = std::move(rows->front());
  return found;
}

base::Result<std::vector<ReportRow>, base::Error> SqliteReports::due(base::WallTime now,
                                                                     std::size_t most) {
  // A report that is being sent is due when the first of its endpoints is.
  static const std::string sql =
      std::string("SELECT ") + report_columns +
      " FROM report WHERE state IN (" +
      std::to_string(static_cast<int>(ReportState::waiting)) + ", " +
      std::to_string(static_cast<int>(ReportState::sending)) +
      ") AND due <= ?1 ORDER BY due, day, domain LIMIT ?2";
  auto statement = use(sql.c_str());
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(now)).bind(2, number_of(std::uint64_t{most}));
  return read_reports(**statement);
}

Outcome SqliteReports::put_report(const ReportRow& report) { return write(report); }

base::Result<std::vector<EndpointRow>, base::Error> SqliteReports::endpoints(
    Day day, const std::string& domain) {
  static const std::string sql = std::string("SELECT ") + endpoint_columns +
                                 " FROM report_endpoint WHERE day = ?1 AND domain = ?2 "
                                 "ORDER BY rowid";
  auto statement = use(sql.c_str());
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(day)).bind(2, domain);
  std::vector<EndpointRow> found;
  for (;;) {
    auto more = (*statement)->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) return found;
    EndpointRow row;
    row.day = day;
    row.domain = domain;
    row.uri = (*statement)->text(2);
    row.state = static_cast<EndpointState>((*statement)->number(3));
    row.attempts = static_cast<std::uint32_t>((*statement)->number(4));
    row.first = optional_time((*statement)->number(5));
    row.next = time_of((*statement)->number(6));
    row.answer = (*statement)->text(7);
    row.reverse_path = (*statement)->text(8);
    row.message = (*statement)->text(9);
    found.push_back(std::move(row));
  }
}

Outcome SqliteReports::put_endpoints(const ReportRow& report,
                                     const std::vector<EndpointRow>& endpoints) {
  return transaction([&]() -> Outcome {
    auto written = write(report);
    for (std::size_t i = 0; written && i < endpoints.size(); ++i) written = write(endpoints[i]);
    return written;
  });
}

Outcome SqliteReports::put_endpoint(const EndpointRow& endpoint) { return write(endpoint); }

base::Result<std::uint64_t, base::Error> SqliteReports::backlog() {
  static const std::string sql = "SELECT count(*) FROM report WHERE state IN (" +
                                 std::to_string(static_cast<int>(ReportState::waiting)) + ", " +
                                 std::to_string(static_cast<int>(ReportState::sending)) + ")";
  auto count = db_->number(sql);
  if (!count) return fail(std::move(count.error()));
  return count_of(*count);
}

Outcome SqliteReports::forget_before(Day day) {
  return transaction([&]() -> Outcome {
    for (const char* const sql : {"DELETE FROM report WHERE day < ?1",
                                  "DELETE FROM report_endpoint WHERE day < ?1"}) {
      auto statement = use(sql);
      if (!statement) return fail(std::move(statement.error()));
      auto done = (*statement)->bind(1, number_of(day)).run();
      if (!done) return done;
    }
    return {};
  });
}

}  // namespace

base::Result<std::unique_ptr<Reports>, base::Error> open_sqlite_reports(
    const std::string& file, std::chrono::milliseconds busy_timeout) {
  auto db = Database::open(file, busy_timeout);
  if (!db) return fail(std::move(db.error()));
  // The day's counts of many thousand domains, which are touched all over every second.
  auto set = (*db)->execute("PRAGMA cache_size=-16384;");
  if (!set) return fail(std::move(set.error()));
  return std::unique_ptr<Reports>(std::make_unique<SqliteReports>(std::move(*db)));
}

}  // namespace store
