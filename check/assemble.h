// From what was found out to the Report, and the comparison of what several resolvers answered.
// Pure. Called by check/run.
#pragma once

#include "check/report.h"
#include "check/seen.h"

namespace check {

// What was asked for, beside what was found.
struct Question {
  base::Domain domain;
  base::WallTime time{};  // as of when certificates and caches are judged
  bool time_given = false;
  bool connected = true;
};

// Without `resolvers` and `differences`.
Report assemble(const Question& question, const Gathered& gathered, const DaemonCache& cache);

Answer answer_of(const Asked& asked);
std::vector<Mx> mx_hosts_of(const Question& question, const Gathered& gathered);

// A text of a stranger at a bearable length; the first `most` of several, and how many `more`.
std::string cut(std::string text);
std::vector<std::string> cut_all(const std::vector<std::string>& texts, std::size_t most,
                                 std::size_t& more);

// One name for each of `all`, in its order.
std::vector<Resolver> resolvers_of(const std::vector<std::string>& names,
                                   const std::vector<Gathered>& all);
// Questions to which not all gave the same answer; neither TTLs nor the order of records count.
std::vector<Difference> differences_of(const std::vector<Gathered>& all);

}  // namespace check
