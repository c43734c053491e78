// Counter: from the lines of the enforcement log to the day's counts in the store. The log is the
// one source: what a kill left uncounted is counted at the next start by the same code, behind the
// last line counted, whose number is stored in one transaction with the counts. So each line counts
// once. Each session belongs to the UTC day of its line, or, where that day is closed already, to
// the first one open. Blocking; for the report thread. Called by report/service.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "audit/counted.h"
#include "audit/follow.h"
#include "base/clock.h"
#include "store/reports.h"

namespace report {

class Counter {
 public:
  Counter(std::filesystem::path log, store::Reports& store, const base::Clock& clock);

  // Finds where counting left off. Where it never began, it begins with today's first line, and
  // the days before are closed.
  store::Outcome begin();

  // Counts the next lines, at most some 100,000: how many were read; 0: there are no more for
  // now. After an error the same lines are tried again with the next call. `sessions`, where it is
  // not null, gets those that were counted, once that is on disk.
  base::Result<std::size_t, base::Error> step(std::vector<audit::CountedSession>* sessions);
  // Whether the last step() came to the log's end. While lines keep coming no step reads none.
  bool at_end() const { return at_end_; }

  // Today or the first day that is not closed: the day that a session of now belongs to.
  store::Day open_day() const;
  std::optional<store::Day> closed() const { return closed_; }
  // No more counts for days up to `day`.
  store::Outcome close_through(store::Day day);

 private:
  base::Result<std::uint64_t, base::Error> before_today() const;
  base::Result<std::uint64_t, base::Error> still_there(std::uint64_t counted) const;
  void count(const audit::CountedSession& session);
  void count_failures(const audit::CountedSession& session, const audit::PolicyResult& result,
                      store::Day day);

  std::filesystem::path log_;
  store::Reports& store_;
  const base::Clock& clock_;
  std::optional<audit::Follower> follower_;
  std::optional<store::Day> closed_;
  // The batch that is being made, or could not be stored yet.
  store::CountBatch batch_;
  std::unordered_map<std::string, std::size_t> policies_;  // key → place in batch_
  std::unordered_map<std::string, std::size_t> failures_;
  std::vector<audit::CountedSession> sessions_;
  bool store_due_ = false;
  bool at_end_ = false;
};

// Whether all that failed was fetching the policy: where one was cached the session says nothing
// against it (RFC 8461 §6).
bool only_fetch_failed(const audit::PolicyResult& result);
// Whether that result type is about fetching a policy, which knows no MX (RFC 8460 §4.4).
bool is_fetch_failure(std::string_view type);

}  // namespace report
