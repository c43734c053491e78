// Reports: what TLS-RPT keeps in the store: the running counts of each UTC day, how far the
// enforcement log was counted, and the state of every report and of every place it goes to. All
// calls block, are atomic, and are on disk when they return; they belong on the report thread
// alone. Knows nothing of RFC 8460's meaning. Implemented by store/sqlite_reports.h; called by
// report/.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "store/store.h"

namespace store {

using Day = std::chrono::sys_days;  // UTC

// Sessions with one recipient domain under one policy.
struct PolicyCount {
  Day day{};
  std::string domain;
  std::string digest;         // of the policy's strings; "*TYPE": more than are told apart
  std::string policy_type;    // RFC 8460's word
  std::string policy_domain;
  std::uint64_t fine = 0;     // nothing failed
  std::uint64_t noted = 0;    // only the policy's fetch failed
  std::uint64_t failed = 0;
};
// Failures that are alike in all that a report tells of them.
struct FailureCount {
  Day day{};
  std::string domain;
  std::string digest;
  std::string result_type;
  std::string reason;
  std::string mx;
  std::string helo;
  std::string ip;
  std::string source_ip;
  std::uint64_t count = 0;
};
// What the lines (from, to] of the enforcement log add.
struct CountBatch {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::vector<PolicyCount> policies;
  std::vector<FailureCount> failures;
};
struct Progress {
  std::optional<std::uint64_t> counted;  // the last line counted; nullopt: counting never began
  std::optional<Day> closed;             // days up to this one take no more counts
};

struct DomainCounts {
  std::string domain;
  std::vector<PolicyCount> policies;  // by digest
  std::vector<FailureCount> failures; // in a stable order
};

enum class ReportState : std::uint8_t { waiting, kept, not_asked, sending, sent, failed };
struct ReportRow {
  Day day{};
  std::string domain;
  std::string id;
  std::uint64_t successes = 0;  // of the policies in it, added up
  std::uint64_t failures = 0;
  base::WallTime composed{};
  ReportState state = ReportState::waiting;
  base::WallTime due{};         // when its record is to be looked up next
  std::uint32_t lookups = 0;    // that failed
  std::optional<base::WallTime> first_lookup;
  std::string record;           // the _smtp._tls record, or why there is none
};
enum class EndpointState : std::uint8_t { waiting, accepted, given_up };
struct EndpointRow {
  Day day{};
  std::string domain;
  std::string uri;
  EndpointState state = EndpointState::waiting;
  std::uint32_t attempts = 0;
  std::optional<base::WallTime> first;  // attempt
  base::WallTime next{};                // attempt, while waiting
  std::string answer;                   // to the last attempt
  std::string reverse_path;             // of mail
  std::string message;                  // of mail, as it is sent; "" once it was accepted
};

// Rows of one domain and day at most; what comes on top is counted without its particulars.
inline constexpr std::int64_t policies_told_apart = 50;
inline constexpr std::int64_t failures_told_apart = 500;
// Of the row that policies of one type share when they are too many.
inline std::string folded_digest(std::string_view policy_type) {
  return "*" + std::string(policy_type);
}

class Reports {
 public:
  virtual ~Reports() = default;

  // ---- counting
  virtual base::Result<Progress, base::Error> progress() = 0;
  // Counting goes on behind line `counted`; nullopt: it is off.
  virtual Outcome count_from(std::optional<std::uint64_t> counted) = 0;
  // Counting begins anew behind line `counted`, with nothing counted of the days after `closed`:
  // what was counted of them before would count twice.
  virtual Outcome begin_counting(std::uint64_t counted, Day closed) = 0;
  // Adds the batch unless its lines were counted before. An error where the lines between what was
  // counted and `from` are missing.
  virtual Outcome add(const CountBatch& batch) = 0;
  // Days up to `day` take no more counts. Never goes back.
  virtual Outcome close_through(Day day) = 0;

  // ---- composing
  // The oldest day up to `last` that has counts.
  virtual base::Result<std::optional<Day>, base::Error> oldest_counted(Day last) = 0;
  // The counts of the first `most` domains behind `after` in alphabetical order.
  virtual base::Result<std::vector<DomainCounts>, base::Error> counts(Day day,
                                                                      const std::string& after,
                                                                      std::size_t most) = 0;
  virtual base::Result<std::optional<DomainCounts>, base::Error> counts_of(
      Day day, const std::string& domain) = 0;
  // The reports are there from now on, and the counts that they were composed of are gone.
  virtual Outcome put_reports(const std::vector<ReportRow>& reports) = 0;

  // ---- sending
  virtual base::Result<std::vector<ReportRow>, base::Error> reports(Day day) = 0;
  virtual base::Result<std::optional<ReportRow>, base::Error> report(Day day,
                                                                     const std::string& domain) = 0;
  // Reports whose record is to be looked up, or that have an endpoint to be tried; oldest first.
  virtual base::Result<std::vector<ReportRow>, base::Error> due(base::WallTime now,
                                                                std::size_t most) = 0;
  virtual Outcome put_report(const ReportRow& report) = 0;
  virtual base::Result<std::vector<EndpointRow>, base::Error> endpoints(
      Day day, const std::string& domain) = 0;
  // The report and all its endpoints.
  virtual Outcome put_endpoints(const ReportRow& report,
                                const std::vector<EndpointRow>& endpoints) = 0;
  virtual Outcome put_endpoint(const EndpointRow& endpoint) = 0;
  // Reports that are neither sent nor given up.
  virtual base::Result<std::uint64_t, base::Error> backlog() = 0;

  // Forgets reports of days before `day`.
  virtual Outcome forget_before(Day day) = 0;
};

}  // namespace store
