#include "store/sqlite_counts.h"

#include <algorithm>
#include <deque>

#include "store/count_journal.h"

namespace store {

namespace {

using base::fail;

constexpr const char* counted_key = "tlsrpt.counted";
constexpr const char* closed_key = "tlsrpt.closed";

// What the journal holds at most before a batch is added to it: about a minute of a busy relay.
// A single batch may be longer.
constexpr std::int64_t batches_kept = 64;
constexpr std::int64_t rows_kept = 150000;
// A failure's row is found by nine columns, and a flood of them is what attackers can make: so many
// rows it counts for, lest a fold holds the write lock for seconds.
constexpr std::size_t failure_weight = 5;

std::int64_t number_of(Day day) { return day.time_since_epoch().count(); }
Day day_of(std::int64_t number) { return Day(std::chrono::days(number)); }
std::int64_t number_of(std::uint64_t count) { return static_cast<std::int64_t>(count); }
std::uint64_t count_of(std::int64_t number) { return static_cast<std::uint64_t>(number); }

std::int64_t weight_of(const CountBatch& batch) {
  return static_cast<std::int64_t>(batch.policies.size() +
                                   failure_weight * batch.failures.size());
}

Day oldest_of(const CountBatch& batch) {
  Day oldest = Day::max();
  for (const PolicyCount& row : batch.policies) oldest = std::min(oldest, row.day);
  for (const FailureCount& row : batch.failures) oldest = std::min(oldest, row.day);
  return oldest;
}

}  // namespace

base::Result<Progress, base::Error> Counts::progress() {
  auto counted = connection_.value(counted_key);
  if (!counted) return fail(std::move(counted.error()));
  auto closed = connection_.value(closed_key);
  if (!closed) return fail(std::move(closed.error()));
  Progress progress;
  if (*counted) progress.counted = count_of(**counted);
  if (*closed) progress.closed = day_of(**closed);
  return progress;
}

Outcome Counts::count_from(std::optional<std::uint64_t> counted) {
  return counted ? connection_.set_value(counted_key, number_of(*counted))
                 : connection_.erase_value(counted_key);
}

Outcome Counts::begin_counting(std::uint64_t counted, Day closed) {
  auto settled = settle(Day::max());
  if (!settled) return settled;
  return connection_.transaction([&]() -> Outcome {
    for (const char* const sql : {"DELETE FROM report_policy WHERE day > ?1",
                                  "DELETE FROM report_failure WHERE day > ?1"}) {
      auto statement = connection_.use(sql);
      if (!statement) return fail(std::move(statement.error()));
      auto done = (*statement)->bind(1, number_of(closed)).run();
      if (!done) return done;
    }
    auto before = connection_.value(closed_key);
    if (!before) return fail(std::move(before.error()));
    if (!*before || **before < number_of(closed)) {
      auto set = connection_.set_value(closed_key, number_of(closed));
      if (!set) return set;
    }
    return connection_.set_value(counted_key, number_of(counted));
  });
}

Outcome Counts::close_through(Day day) {
  return connection_.transaction([&]() -> Outcome {
    auto before = connection_.value(closed_key);
    if (!before) return fail(std::move(before.error()));
    if (*before && **before >= number_of(day)) return {};
    return connection_.set_value(closed_key, number_of(day));
  });
}

// ---- the journal --------------------------------------------------------------------------------

// In one transaction with the number of the last line: whatever becomes of this process, each line
// is counted once.
Outcome Counts::add(const CountBatch& batch) {
  const std::int64_t rows = weight_of(batch);
  auto room = make_room(rows);
  if (!room) return room;
  return connection_.transaction([&]() -> Outcome {
    auto counted = connection_.value(counted_key);
    if (!counted) return fail(std::move(counted.error()));
    const std::uint64_t before = *counted ? count_of(**counted) : batch.from;
    if (before >= batch.to) return {};
    if (before != batch.from) {
      return fail("results up to line " + std::to_string(before) + " are counted; the next are " +
                  "behind line " + std::to_string(batch.from));
    }
    if (rows > 0) {
      auto appended = append(batch);
      if (!appended) return appended;
    }
    return connection_.set_value(counted_key, number_of(batch.to));
  });
}

Outcome Counts::append(const CountBatch& batch) {
  auto statement = connection_.use(
      "INSERT INTO report_batch (oldest, rows, policies, failures) VALUES (?1, ?2, ?3, ?4)");
  if (!statement) return fail(std::move(statement.error()));
  const std::string policies = encoded(batch.policies);
  const std::string failures = encoded(batch.failures);
  (*statement)->bind(1, number_of(oldest_of(batch))).bind(2, weight_of(batch));
  return (*statement)->bind(3, policies).bind(4, failures).run();
}

Outcome Counts::make_room(std::int64_t rows) {
  auto statement = connection_.use("SELECT count(*), total(rows) FROM report_batch");
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->step();
  if (!row) return fail(std::move(row.error()));
  const std::int64_t batches = (*statement)->number(0);
  const std::int64_t pending = (*statement)->number(1);
  (*statement)->reset();
  const bool full = batches >= batches_kept || pending + rows > rows_kept;
  return full && batches > 0 ? fold() : Outcome();
}

Outcome Counts::settle(Day day) {
  auto statement = connection_.use("SELECT 1 FROM report_batch WHERE oldest <= ?1 LIMIT 1");
  if (!statement) return fail(std::move(statement.error()));
  auto found = (*statement)->bind(1, number_of(day)).step();
  if (!found) return fail(std::move(found.error()));
  (*statement)->reset();
  return *found ? fold() : Outcome();
}

// The whole journal goes into the tables, in their order, so that each of their pages is read and
// written once. Read and added up before the write lock is taken, for which others wait.
Outcome Counts::fold() {
  auto statement =
      connection_.use("SELECT number, policies, failures FROM report_batch ORDER BY number");
  if (!statement) return fail(std::move(statement.error()));
  std::deque<std::string> octets;  // which the rows point into
  std::vector<PolicyView> policies;
  std::vector<FailureView> failures;
  std::int64_t batches = 0;
  std::int64_t last = 0;
  for (;;) {
    auto more = (*statement)->step();
    if (!more) return fail(std::move(more.error()));
    if (!*more) break;
    ++batches;
    last = (*statement)->number(0);
    if (!decode(octets.emplace_back((*statement)->text(1)), policies) ||
        !decode(octets.emplace_back((*statement)->text(2)), failures)) {
      (*statement)->reset();
      return fail("the stored batch " + std::to_string(last) + " of TLS-RPT counts is damaged");
    }
  }
  merge(policies);
  merge(failures);
  return connection_.transaction([&]() -> Outcome {
    auto gone = connection_.use("DELETE FROM report_batch WHERE number <= ?1");
    if (!gone) return fail(std::move(gone.error()));
    auto done = (*gone)->bind(1, last).run();
    if (!done) return done;
    if (connection_.db().changes() != batches) {
      return fail("another process took batches of TLS-RPT counts");
    }
    Seen seen;
    for (std::size_t i = 0; done && i < policies.size(); ++i) done = add_policy(policies[i], seen);
    seen = {};
    for (std::size_t i = 0; done && i < failures.size(); ++i) done = add_failure(failures[i], seen);
    return done;
  });
}

// ---- the day's rows -----------------------------------------------------------------------------

Outcome Counts::look(const char* sql, std::int64_t day, std::string_view domain, Seen& seen) {
  if (seen.day == day && seen.domain == domain) return {};
  auto statement = connection_.use(sql);
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, day).bind(2, domain).step();
  if (!row) return fail(std::move(row.error()));
  seen = {day, domain, *row ? (*statement)->number(0) : 0};
  (*statement)->reset();
  return {};
}

base::Result<bool, base::Error> Counts::add_to_policy(const PolicyView& row,
                                                             std::string_view digest) {
  auto statement = connection_.use(
      "UPDATE report_policy SET fine = fine + ?4, noted = noted + ?5, failed = failed + ?6 "
      "WHERE day = ?1 AND domain = ?2 AND digest = ?3");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, row.day).bind(2, row.domain).bind(3, digest);
  (*statement)->bind(4, row.fine).bind(5, row.noted);
  auto done = (*statement)->bind(6, row.failed).run();
  if (!done) return fail(std::move(done.error()));
  return connection_.db().changes() > 0;
}

Outcome Counts::add_policy(const PolicyView& row, Seen& seen) {
  auto added = add_to_policy(row, row.digest);
  if (!added) return fail(std::move(added.error()));
  if (*added) return {};
  auto looked = look("SELECT count(*) FROM report_policy WHERE day = ?1 AND domain = ?2", row.day,
                     row.domain, seen);
  if (!looked) return looked;
  std::string_view digest = row.digest;
  const std::string folded = folded_digest(row.policy_type);
  if (seen.rows >= policies_told_apart) {
    digest = folded;
    added = add_to_policy(row, digest);
    if (!added) return fail(std::move(added.error()));
    if (*added) return {};
  }
  auto statement =
      connection_.use("INSERT INTO report_policy VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, row.day).bind(2, row.domain).bind(3, digest);
  (*statement)->bind(4, row.policy_type).bind(5, row.policy_domain);
  (*statement)->bind(6, row.fine).bind(7, row.noted);
  ++seen.rows;
  return (*statement)->bind(8, row.failed).run();
}

base::Result<bool, base::Error> Counts::add_to_failure(const FailureView& row) {
  auto statement = connection_.use(
      "UPDATE report_failure SET count = count + ?10 WHERE day = ?1 AND domain = ?2 AND "
      "digest = ?3 AND result = ?4 AND reason = ?5 AND mx = ?6 AND helo = ?7 AND ip = ?8 AND "
      "source = ?9");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, row.day).bind(2, row.domain).bind(3, row.digest);
  (*statement)->bind(4, row.result_type).bind(5, row.reason).bind(6, row.mx).bind(7, row.helo);
  (*statement)->bind(8, row.ip).bind(9, row.source_ip);
  auto done = (*statement)->bind(10, row.count).run();
  if (!done) return fail(std::move(done.error()));
  return connection_.db().changes() > 0;
}

Outcome Counts::add_failure(const FailureView& full, Seen& seen) {
  auto added = add_to_failure(full);
  if (!added) return fail(std::move(added.error()));
  if (*added) return {};
  auto looked = look("SELECT count(*) FROM report_failure WHERE day = ?1 AND domain = ?2",
                     full.day, full.domain, seen);
  if (!looked) return looked;
  FailureView row = full;
  if (seen.rows >= failures_told_apart) {
    // A peer that names itself anew each time must not fill the disk: the count stays true, and
    // stays with its policy where that is told apart.
    auto known = connection_.use(
        "SELECT 1 FROM report_policy WHERE day = ?1 AND domain = ?2 AND digest = ?3");
    if (!known) return fail(std::move(known.error()));
    auto found = (*known)->bind(1, row.day).bind(2, row.domain).bind(3, row.digest).step();
    if (!found) return fail(std::move(found.error()));
    (*known)->reset();
    if (!*found) row.digest = "";
    row.reason = row.mx = row.helo = row.ip = row.source_ip = "";
    added = add_to_failure(row);
    if (!added) return fail(std::move(added.error()));
    if (*added) return {};
  }
  auto statement = connection_.use(
      "INSERT INTO report_failure VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
  if (!statement) return fail(std::move(statement.error()));
  (*statement)->bind(1, row.day).bind(2, row.domain).bind(3, row.digest);
  (*statement)->bind(4, row.result_type).bind(5, row.reason).bind(6, row.mx).bind(7, row.helo);
  (*statement)->bind(8, row.ip).bind(9, row.source_ip);
  ++seen.rows;
  return (*statement)->bind(10, row.count).run();
}

// ---- composing ----------------------------------------------------------------------------------

base::Result<std::optional<Day>, base::Error> Counts::oldest_counted(Day last) {
  auto settled = settle(last);
  if (!settled) return fail(std::move(settled.error()));
  auto statement =
      connection_.use("SELECT day FROM report_policy WHERE day <= ?1 ORDER BY day LIMIT 1");
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, number_of(last)).step();
  if (!row) return fail(std::move(row.error()));
  std::optional<Day> day;
  if (*row) day = day_of((*statement)->number(0));
  (*statement)->reset();
  return day;
}

Outcome Counts::read_counts(Day day, DomainCounts& into) {
  auto policies = connection_.use(
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
  auto failures = connection_.use(
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

base::Result<std::vector<DomainCounts>, base::Error> Counts::counts(
    Day day, const std::string& after, std::size_t most) {
  auto settled = settle(day);
  if (!settled) return fail(std::move(settled.error()));
  auto statement = connection_.use(
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

base::Result<std::optional<DomainCounts>, base::Error> Counts::counts_of(
    Day day, const std::string& domain) {
  auto settled = settle(day);
  if (!settled) return fail(std::move(settled.error()));
  DomainCounts found{domain, {}, {}};
  auto read = read_counts(day, found);
  if (!read) return fail(std::move(read.error()));
  std::optional<DomainCounts> out;
  if (!found.policies.empty()) out = std::move(found);
  return out;
}

Outcome Counts::erase(Day day, const std::string& domain) {
  for (const char* const sql : {"DELETE FROM report_policy WHERE day = ?1 AND domain = ?2",
                                "DELETE FROM report_failure WHERE day = ?1 AND domain = ?2"}) {
    auto statement = connection_.use(sql);
    if (!statement) return fail(std::move(statement.error()));
    auto done = (*statement)->bind(1, number_of(day)).bind(2, domain).run();
    if (!done) return done;
  }
  return {};
}

}  // namespace store
