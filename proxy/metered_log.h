// MeteredLog: the enforcement log as the relay sees it: each record goes on to the real one, and
// what it says is counted. So a number of /metrics and the lines of the log come from one record.
// Records that the log then drops are counted all the same; the log tells how many those are.
// Decides nothing. Made by proxy/server_services.
#pragma once

#include "audit/log.h"
#include "proxy/meters.h"

namespace proxy {

class MeteredLog final : public audit::EnforcementLog {
 public:
  // Both outlive it.
  MeteredLog(audit::EnforcementLog& log, Meters& meters) : log_(log), meters_(meters) {}

  using EnforcementLog::append;
  base::Result<audit::Reservation, base::Error> reserve() override { return log_.reserve(); }
  void append(const audit::Record& record, audit::Reservation reservation) noexcept override;
  void stop(const std::string& reason) override { log_.stop(reason); }
  bool healthy() const override { return log_.healthy(); }
  std::uint64_t dropped() const override { return log_.dropped(); }
  audit::Head head() const override { return log_.head(); }
  std::optional<audit::Head> removed() const override { return log_.removed(); }

 private:
  audit::EnforcementLog& log_;
  Meters& meters_;
};

}  // namespace proxy
