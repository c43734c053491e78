// One TLS-RPT report as a value, and its RFC 8460 §4.4 JSON: one recipient domain, one UTC day.
// Pure. Composed by report/composer; printed by `report show`; read back only by tests and, as any
// other reporter's, by tlsrpt/read.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/domain.h"
#include "tlsrpt/result.h"

namespace tlsrpt {

// All sessions that failed alike (RFC 8460 §4.4). What does not exist is empty and is left out of
// the JSON: no placeholder is invented.
struct FailureRow {
  ResultType type = ResultType::validation_failure;
  std::string sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::string failure_reason_code;
  std::uint64_t count = 0;
  bool operator==(const FailureRow&) const = default;
};

struct PolicyRows {
  Policy policy;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;      // sessions; the details may add up to more or less (§4.4)
  std::vector<FailureRow> details; // in a stable order
};

// Who reports: [tls_rpt] of the configuration.
struct Submitter {
  std::string organization_name;
  std::string contact_info;  // an addr-spec in the submitter's domain
  std::string domain;        // TLS-Report-Submitter: the operator's own domain, A-labels
};

struct Report {
  Submitter submitter;
  std::string domain;              // the recipient domain, A-labels
  std::chrono::sys_days day{};     // UTC
  std::string id;                  // "left@right", the same in JSON and Subject
  std::vector<PolicyRows> policies;
};

// "20261125.example.com.0123456789abcdef@SUBMITTER": the same for the same arguments. `relay`: what
// tells this relay from others of the same submitter (its host name).
std::string report_id(std::chrono::sys_days day, std::string_view domain,
                      std::string_view submitter_domain, std::string_view relay);

// I-JSON (RFC 7493) in UTF-8, two spaces of indentation, members in the order of RFC 8460's
// example, a newline at the end. What is not UTF-8 is replaced. Stable: equal reports are equal
// octets.
std::string to_json(const Report& report);

// RFC 8460 §5.1: "sender!policy-domain!begin!end.json.gz" with the range in Unix seconds.
std::string file_name(const Report& report);

std::string day_text(std::chrono::sys_days day);                       // "2026-11-25"
std::optional<std::chrono::sys_days> parse_day(std::string_view text); // nullopt: no such day

}  // namespace tlsrpt
