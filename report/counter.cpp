#include "report/counter.h"

#include <algorithm>

#include "audit/chain.h"
#include "base/domain.h"

namespace report {

namespace {

using base::fail;

constexpr std::size_t rows_at_once = 20000;
constexpr std::size_t lines_at_once = 50000;

store::Day day_of(base::WallTime time) { return std::chrono::floor<std::chrono::days>(time); }

void append(std::string& key, std::string_view part) {
  key += part;
  key += '\0';
}

}  // namespace

bool is_fetch_failure(std::string_view type) {
  using tlsrpt::ResultType;
  return type == tlsrpt::to_string(ResultType::sts_policy_fetch_error) ||
         type == tlsrpt::to_string(ResultType::sts_policy_invalid) ||
         type == tlsrpt::to_string(ResultType::sts_webpki_invalid);
}

bool only_fetch_failed(const audit::PolicyResult& result) {
  return !result.result_types.empty() && result.policy_type == tlsrpt::PolicyType::sts &&
         std::ranges::all_of(result.result_types, is_fetch_failure);
}

Counter::Counter(std::filesystem::path log, store::Reports& store, const base::Clock& clock)
    : log_(std::move(log)), store_(store), clock_(clock) {}

// The number of the last line before today's first. Older files are passed over by their first
// lines, so that a long history costs nothing.
base::Result<std::uint64_t, base::Error> Counter::before_today() const {
  const store::Day today = day_of(clock_.wall());
  std::uint64_t after = 0;
  for (const std::filesystem::path& file : audit::chain_files(log_)) {
    const auto first = audit::read_first_line(file);
    if (!first) continue;
    const auto time = audit::parse_rfc3339(first->time);
    if (time && first->seq > 0 && day_of(*time) < today) after = first->seq - 1;
  }
  audit::Follower follower(log_, after);
  for (;;) {
    auto lines = follower.next();
    if (!lines) return fail(std::move(lines.error()));
    if (lines->empty()) return after;
    for (const audit::Follower::Line& line : *lines) {
      const auto link = audit::parse_link(line.text);
      const auto time = link ? audit::parse_rfc3339(link->time) : std::nullopt;
      if (time && day_of(*time) >= today) return after;
      after = line.seq;
    }
  }
}

// A loss of power can take from the log's end what was counted: the store is on the disk earlier
// than the log. Those numbers then go to new lines, which are to be counted.
base::Result<std::uint64_t, base::Error> Counter::still_there(std::uint64_t counted) const {
  const auto last = audit::read_last_number(log_);
  if (!last) return fail(std::move(last.error()));
  return *last > 0 ? std::min(*last, counted) : counted;
}

store::Outcome Counter::begin() {
  auto progress = store_.progress();
  if (!progress) return fail(std::move(progress.error()));
  closed_ = progress->closed;
  std::uint64_t after = 0;
  if (progress->counted) {
    auto last = still_there(*progress->counted);
    if (!last) return fail(std::move(last.error()));
    after = *last;
    if (after != *progress->counted) {
      auto begun = store_.count_from(after);
      if (!begun) return begun;
    }
  } else {
    auto found = before_today();
    if (!found) return fail(std::move(found.error()));
    after = *found;
    const store::Day yesterday = day_of(clock_.wall()) - std::chrono::days(1);
    auto begun = store_.begin_counting(after, yesterday);
    if (!begun) return begun;
    if (!closed_ || *closed_ < yesterday) closed_ = yesterday;
  }
  batch_.from = batch_.to = after;
  follower_.emplace(log_, after);
  return {};
}

store::Day Counter::open_day() const {
  const store::Day today = day_of(clock_.wall());
  return closed_ && *closed_ >= today ? *closed_ + std::chrono::days(1) : today;
}

store::Outcome Counter::close_through(store::Day day) {
  auto closed = store_.close_through(day);
  if (closed && (!closed_ || *closed_ < day)) closed_ = day;
  return closed;
}

// ---- one line -----------------------------------------------------------------------------------

void Counter::count(const audit::CountedSession& session) {
  store::Day day = day_of(session.time);
  if (closed_ && day <= *closed_) day = *closed_ + std::chrono::days(1);
  const std::string day_text = std::to_string(day.time_since_epoch().count());
  for (const audit::PolicyResult& result : session.results) {
    std::string key;
    key.reserve(128);
    append(key, day_text);
    append(key, session.domain);
    append(key, result.policy_digest);
    auto place = policies_.find(key);
    if (place == policies_.end()) {
      // It becomes a file's name: nothing but a domain will do, whoever wrote the line.
      const auto domain = base::Domain::parse(session.domain);
      if (!domain || domain->str() != session.domain) return;
      place = policies_.emplace(std::move(key), batch_.policies.size()).first;
      store::PolicyCount row;
      row.day = day;
      row.domain = session.domain;
      row.digest = result.policy_digest;
      row.policy_type = tlsrpt::to_string(result.policy_type);
      row.policy_domain = result.policy_domain;
      batch_.policies.push_back(std::move(row));
    }
    store::PolicyCount& row = batch_.policies[place->second];
    if (result.result_types.empty()) {
      ++row.fine;
    } else if (only_fetch_failed(result)) {
      ++row.noted;
    } else {
      ++row.failed;
    }
    if (!result.result_types.empty()) count_failures(session, result, day);
  }
}

void Counter::count_failures(const audit::CountedSession& session,
                             const audit::PolicyResult& result, store::Day day) {
  const std::vector<std::string> reasons = audit::reasons_of(result);
  for (std::size_t i = 0; i < result.result_types.size(); ++i) {
    store::FailureCount row;
    row.day = day;
    row.domain = session.domain;
    row.digest = result.policy_digest;
    row.result_type = result.result_types[i];
    row.reason = reasons[i];
    if (!is_fetch_failure(row.result_type)) {
      row.mx = session.mx;
      row.helo = session.helo;
      row.ip = session.ip;
      row.source_ip = session.source_ip;
    }
    std::string key = std::to_string(day.time_since_epoch().count());
    for (const std::string* part : {&row.domain, &row.digest, &row.result_type, &row.reason,
                                    &row.mx, &row.helo, &row.ip, &row.source_ip}) {
      append(key, *part);
    }
    auto place = failures_.find(key);
    if (place == failures_.end()) {
      place = failures_.emplace(std::move(key), batch_.failures.size()).first;
      batch_.failures.push_back(std::move(row));
    }
    ++batch_.failures[place->second].count;
  }
}

// ---- many lines ---------------------------------------------------------------------------------

base::Result<std::size_t, base::Error> Counter::step(
    std::vector<audit::CountedSession>* sessions) {
  std::size_t read = 0;
  bool ended = false;
  at_end_ = false;
  while (!store_due_ && batch_.policies.size() + batch_.failures.size() < rows_at_once &&
         read < lines_at_once) {
    auto lines = follower_->next();
    if (!lines) return fail(std::move(lines.error()));
    ended = lines->empty();
    if (ended) break;
    read += lines->size();
    for (const audit::Follower::Line& line : *lines) {
      auto session = audit::counted_session(line.text);
      if (!session) continue;
      count(*session);
      if (sessions != nullptr) sessions_.push_back(std::move(*session));
    }
    batch_.to = follower_->after();
  }
  if (batch_.to == batch_.from) {
    at_end_ = ended;
    return read;
  }
  auto added = store_.add(batch_);
  store_due_ = !added;
  if (!added) return fail(std::move(added.error()));
  const std::uint64_t to = batch_.to;
  batch_ = {};
  batch_.from = batch_.to = to;
  policies_.clear();
  failures_.clear();
  if (sessions != nullptr) {
    std::ranges::move(sessions_, std::back_inserter(*sessions));
  }
  sessions_.clear();
  at_end_ = ended;
  return std::max<std::size_t>(read, 1);
}

}  // namespace report
