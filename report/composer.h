// From a day's counts to the RFC 8460 report of one recipient domain, and to the row that follows
// it until it is sent. Pure but for the look-up of policy strings. Called by report/service, for
// days that are over and for the running one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "store/reports.h"
#include "tlsrpt/report.h"

namespace report {

// Who reports and when; from [tls_rpt] and [server].
struct Identity {
  tlsrpt::Submitter submitter;
  std::string relay;      // this relay's host name: tells its reports from another relay's
  bool complete = false;  // false: the submitter is made up of the host name, nothing is sent
};

// The strings of a policy by its digest; nullopt: they are not known (any more).
using PolicyStrings = std::function<std::optional<tlsrpt::Policy>(const std::string& digest)>;

tlsrpt::Report compose(const Identity& identity, store::Day day, const store::DomainCounts& counts,
                       const PolicyStrings& strings);
// A policy as the store keeps it under its digest, and back.
std::string policy_to_json(const tlsrpt::Policy& policy);
std::optional<tlsrpt::Policy> policy_from_json(std::string_view json);
// What tlsrpt::to_json made; nullopt: it is something else.
std::optional<tlsrpt::Report> report_from_json(std::string_view json);

struct Totals {
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
};
Totals totals_of(const tlsrpt::Report& report);

// RFC 8460 §4.1: reports are spread over the four hours behind midnight; how far into them this
// domain's goes is always the same.
inline constexpr std::chrono::seconds spread{14400};
std::chrono::seconds jitter(std::string_view domain, std::string_view relay);

// RFC 8460 §5.5: until the next try after `attempts` of them: five minutes, doubled each time, at
// most four hours; nullopt once `since_first` leaves no room in the 24 hours.
std::optional<std::chrono::milliseconds> back_off(std::uint32_t attempts,
                                                  std::chrono::milliseconds since_first);

}  // namespace report
