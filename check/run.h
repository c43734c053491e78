// run(): `check DOMAIN` without its command line: asks the daemon's cache, each resolver, each
// address, and makes the report. Changes nothing anywhere and sends no mail. Called by cli/.
#pragma once

#include "base/result.h"
#include "check/inquiry.h"
#include "check/report.h"
#include "proxy/control.h"

namespace check {

struct Options {
  explicit Options(base::Domain recipient) : domain(std::move(recipient)) {}
  base::Domain domain;
  bool connect = true;
  std::vector<config::Forwarder> resolvers;  // none: as configured
  std::optional<base::WallTime> at;          // instead of now
  std::chrono::milliseconds limit = std::chrono::minutes(2);  // for all of it
};

struct Failure {
  int status;  // of the process
  std::string text;
};

base::Result<Report, Failure> run(const config::Config& config, const Options& options,
                                  const base::Clock& clock, const Progress& progress);

// What `reply` to "policy cached" says, in the words of the store. Pure.
DaemonCache cache_of(const base::Result<nlohmann::json, proxy::DaemonError>& reply,
                     const base::Domain& domain);
// What of it the daemon had at that time: a policy that it fetched later is none. Pure.
DaemonCache as_of(DaemonCache cache, base::WallTime time);

}  // namespace check
