// The mail of a large relay, made up for bench_reports: 50,000 recipient domains, half of them with
// a TLSA policy, half with MTA-STS, every tenth with both; the lines that their sessions leave in the
// enforcement log, and the counts of a whole day. The same with every run. Called by reports.cpp.
#pragma once

#include <cstddef>
#include <random>
#include <vector>

#include "audit/record.h"
#include "store/reports.h"
#include "store/store.h"
#include "tlsrpt/result.h"

namespace bench {

inline constexpr std::size_t domains = 50000;
inline constexpr std::size_t sessions_a_day = 1000000;

struct Destination {
  base::Domain domain;
  std::vector<tlsrpt::Policy> policies;  // that apply: one or two
  std::vector<std::string> digests;      // of them
};

class World {
 public:
  World();
  // What delivery would have put there before the first line.
  void keep_policies(store::Store& store) const;
  // The `session` and the `delivery` line of a message to any of the domains, as proxy/attempt_log
  // makes them; one of 33 sessions fails.
  std::vector<audit::Record> message();
  // The day's sessions, 20 for each domain, in batches; the domains in no order. `failing`: a third
  // of the domains has failures of three kinds at two addresses.
  std::vector<store::CountBatch> day(store::Day day, bool failing);

 private:
  std::vector<Destination> destinations_;
  std::mt19937_64 random_{8460};
};

}  // namespace bench
