// The sum over many reports of others (read.h): by policy, result type, sending source, reporter
// and day, with what was odd about them. A report that came twice is counted once. Bounded: what is
// beyond a table's bound is summed up as "(others)". Pure. Filled by cli/report_read; printed by
// sum_text, sum_json and sum_html.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tlsrpt/read.h"

namespace tlsrpt {

struct Tally {
  std::uint64_t reports = 0;
  std::uint64_t successes = 0;  // sessions
  std::uint64_t failures = 0;   // sessions
};

struct PolicyLine {
  std::string domain;
  std::string type;
  std::string mode;  // of an sts policy, where its text was quoted
  Tally tally;
};
struct ResultLine {
  std::string type;
  std::uint64_t failures = 0;
  std::uint64_t reporters = 0;  // organizations that saw it
};
struct SourceLine {
  std::string ip;  // empty: the reporter did not tell
  std::string organization;
  std::uint64_t failures = 0;
  std::vector<std::pair<std::string, std::uint64_t>> results;  // most first
};
struct FailureLine {
  std::string type;
  std::string mx;  // receiving-mx-hostname
  std::string reason;
  std::uint64_t failures = 0;
};
struct ReporterLine {
  std::string organization;
  Tally tally;
};
struct DayLine {
  std::optional<std::chrono::sys_days> day;  // nullopt: reports without a date
  Tally tally;
};
struct NoteLine {
  std::string organization;
  std::string text;
  std::uint64_t reports = 0;
};
struct ProblemLine {
  std::string file;
  std::string why;
};

// Lines with the most failures first; days in their order.
struct Sum {
  Tally tally;
  std::uint64_t detailed = 0;         // failures that the details tell of; they may overlap
  std::uint64_t without_details = 0;  // failures that no detail can account for
  std::uint64_t duplicates = 0;
  std::uint64_t differing = 0;  // of these, those that say something else than the first
  std::uint64_t without_report = 0;  // messages
  std::optional<base::WallTime> begin;
  std::optional<base::WallTime> end;
  std::vector<PolicyLine> policies;
  std::vector<ResultLine> results;
  std::vector<SourceLine> sources;
  std::vector<FailureLine> failures;
  std::vector<ReporterLine> reporters;
  std::vector<DayLine> days;
  std::vector<NoteLine> notes;
  std::vector<ProblemLine> problems;
};

struct SumLimits {
  std::size_t lines = 20000;     // of one table
  std::size_t reports = 200000;  // remembered, so that a second copy is known
  std::size_t problems = 1000;
};

class Summing {
 public:
  explicit Summing(const SumLimits& limits = {}) : limits_(limits) {}

  // RFC 8460 §4.4: a report is known by its organization and report-id; one without a report-id by
  // all that it says. False: it was there before and is not counted again.
  bool add(const ReadReport& report);
  void add_problem(std::string file, std::string why);
  void add_without_report(std::uint64_t messages) { sum_.without_report += messages; }

  Sum sum() const;

 private:
  using Texts = std::vector<std::string>;
  bool is_new(const ReadReport& report);
  void add_detail(const ReadReport& report, const ReadDetail& detail);

  template <class Value>
  Value& line(std::map<Texts, Value>& lines, Texts key);

  struct Result {
    std::uint64_t failures = 0;
    std::set<std::size_t> reporters;  // hashes of their names
  };
  struct Source {
    std::uint64_t failures = 0;
    std::map<Texts, std::uint64_t> results;
  };

  SumLimits limits_;
  Sum sum_;  // its tables are filled by sum()
  std::unordered_map<std::string, std::string> seen_;  // digests: of its name, of what it said
  std::map<Texts, Tally> policies_;
  std::map<Texts, Result> results_;
  std::map<Texts, Source> sources_;
  std::map<Texts, std::uint64_t> failures_;
  std::map<Texts, Tally> reporters_;
  std::map<std::optional<std::chrono::sys_days>, Tally> days_;
  std::map<Texts, std::uint64_t> notes_;
};

// The day that most of the report's range lies in, UTC.
std::optional<std::chrono::sys_days> day_of(const ReadReport& report);

}  // namespace tlsrpt
