// The mail of a large relay, made up for bench_reports: 50,000 recipient domains, half of them with
// a TLSA policy, half with MTA-STS, every tenth with both; the lines that their sessions leave in
// the enforcement log, and the counts of a whole day. Each run has the same. Called by reports.cpp.
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
  // `even`: each domain is as likely as the other; else as mail is spread (Zipf's law).
  explicit World(bool even = true);
  // What delivery would have put there before the first line.
  void keep_policies(store::Store& store) const;
  // The `session` and the `delivery` line of a message to any of the domains, as proxy/attempt_log
  // makes them; 3 % of the sessions fail.
  std::vector<audit::Record> message();
  // The day's sessions, 20 for each domain, in batches; the domains in no order. `failing`: a third
  // of the domains has failures of three kinds at two addresses.
  std::vector<store::CountBatch> day(store::Day day, bool failing);

 private:
  std::size_t next_domain();
  bool even_;
  std::vector<Destination> destinations_;
  std::mt19937_64 random_{8460};
};

}  // namespace bench
