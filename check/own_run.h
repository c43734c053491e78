// run_own(): `own DOMAIN` without its command line. Asks DNS, the policy host, and each address of
// each MX once for each type of key. Changes nothing and sends no mail. Called by cli/.
#pragma once

#include "check/own.h"
#include "check/run.h"

namespace check {

struct OwnOptions {
  explicit OwnOptions(base::Domain own) : domain(std::move(own)) {}
  base::Domain domain;
  std::chrono::seconds expire_within = std::chrono::days(14);
  std::chrono::milliseconds limit = std::chrono::minutes(2);
};

// As any sender has it: the operator's own rules, exceptions and modes do not count.
base::Result<OwnReport, Failure> run_own(const config::Config& config, const OwnOptions& options,
                                         const base::Clock& clock, const Progress& progress);

}  // namespace check
