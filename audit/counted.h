// CountedSession: what a line of the enforcement log says to TLS-RPT, read back from the line
// itself, so that a report and the log cannot disagree and a line that a kill left uncounted is
// counted like any other (RFC 8460 §4). Pure and fuzzed; made for many lines a second. Called by
// report/counter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/record.h"
#include "base/clock.h"

namespace audit {

struct CountedSession {
  base::WallTime time{};
  std::string domain;      // recipient domain
  std::string mx;          // "" where there is none, as below
  std::string helo;
  std::string ip;
  std::string source_ip;
  std::vector<PolicyResult> results;  // one for each policy that applied; never empty
};

// nullopt: the line is no `session` line that counts, or has no results.
std::optional<CountedSession> counted_session(std::string_view line);

}  // namespace audit
