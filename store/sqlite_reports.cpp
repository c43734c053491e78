#include "store/sqlite_reports.h"

#include <algorithm>

#include "store/sqlite_counts.h"

namespace store {

namespace {

using base::fail;

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

constexpr const char* report_columns =
    "day, domain, id, successes, failures, composed, state, due, lookups, first_lookup, record";
constexpr const char* endpoint_columns =
    "day, domain, uri, state, attempts, first, next, answer, reverse_path, message";

class SqliteReports final : public Reports {
 public:
  explicit SqliteReports(std::unique_ptr<Database> db)
      : connection_(std::move(db)), counts_(connection_) {}

  base::Result<Progress, base::Error> progress() override { return counts_.progress(); }
  Outcome count_from(std::optional<std::uint64_t> counted) override {
    return counts_.count_from(counted);
  }
  Outcome begin_counting(std::uint64_t counted, Day closed) override {
    return counts_.begin_counting(counted, closed);
  }
  Outcome add(const CountBatch& batch) override { return counts_.add(batch); }
  Outcome close_through(Day day) override { return counts_.close_through(day); }
  base::Result<std::optional<Day>, base::Error> oldest_counted(Day last) override {
    return counts_.oldest_counted(last);
  }
  base::Result<std::vector<DomainCounts>, base::Error> counts(Day day, const std::string& after,
                                                              std::size_t most) override {
    return counts_.counts(day, after, most);
  }
  base::Result<std::optional<DomainCounts>, base::Error> counts_of(
      Day day, const std::string& domain) override {
    return counts_.counts_of(day, domain);
  }
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
  Outcome write(const ReportRow& row);
  Outcome write(const EndpointRow& row);
  base::Result<std::vector<ReportRow>, base::Error> read_reports(Statement& statement);

  Connection connection_;
  Counts counts_;
};

// ---- composing ----------------------------------------------------------------------------------

Outcome SqliteReports::put_reports(const std::vector<ReportRow>& reports) {
  if (reports.empty()) return {};
  auto settled = counts_.settle(std::ranges::max(reports, {}, &ReportRow::day).day);
  if (!settled) return settled;
  return connection_.transaction([&]() -> Outcome {
    for (const ReportRow& row : reports) {
      auto written = write(row);
      if (!written) return written;
      auto erased = counts_.erase(row.day, row.domain);
      if (!erased) return erased;
    }
    return {};
  });
}

// ---- sending ------------------------------------------------------------------------------------

Outcome SqliteReports::write(const ReportRow& row) {
  auto statement = connection_.use(
      "INSERT OR REPLACE INTO report VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(row.day)).bind(2, row.domain).bind(3, row.id);
  (*statement)->bind(4, number_of(row.successes)).bind(5, number_of(row.failures));
  (*statement)->bind(6, number_of(row.composed)).bind(7, static_cast<std::int64_t>(row.state));
  (*statement)->bind(8, number_of(row.due)).bind(9, static_cast<std::int64_t>(row.lookups));
  return (*statement)->bind(10, number_of(row.first_lookup)).bind(11, row.record).run();
}

Outcome SqliteReports::write(const EndpointRow& row) {
  auto statement = connection_.use(
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
  auto statement = connection_.use(sql.c_str());
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, number_of(day));
  return read_reports(**statement);
}

base::Result<std::optional<ReportRow>, base::Error> SqliteReports::report(
    Day day, const std::string& domain) {
  static const std::string sql =
      std::string("SELECT ") + report_columns + " FROM report WHERE day = ?1 AND domain = ?2";
  auto statement = connection_.use(sql.c_str());
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
  auto statement = connection_.use(sql.c_str());
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
  auto statement = connection_.use(sql.c_str());
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
  return connection_.transaction([&]() -> Outcome {
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
  auto count = connection_.db().number(sql);
  if (!count) return fail(std::move(count.error()));
  return count_of(*count);
}

Outcome SqliteReports::forget_before(Day day) {
  return connection_.transaction([&]() -> Outcome {
    for (const char* const sql : {"DELETE FROM report WHERE day < ?1",
                                  "DELETE FROM report_endpoint WHERE day < ?1"}) {
      auto statement = connection_.use(sql);
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
  // The day's counts of many thousand domains, of which a good part changes whenever the journal is
  // folded. Zeroes over what is deleted would be written to the disk for the whole journal, too.
  auto set = (*db)->execute("PRAGMA cache_size=-16384; PRAGMA secure_delete=FAST;");
  if (!set) return fail(std::move(set.error()));
  return std::unique_ptr<Reports>(std::make_unique<SqliteReports>(std::move(*db)));
}

}  // namespace store
