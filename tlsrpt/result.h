// The vocabulary of TLS-RPT (RFC 8460 §4.3): result types and what one session contributes to each
// policy that applied. judge() makes these; the enforcement log and the report writers take them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tlsrpt {

enum class PolicyType : std::uint8_t { tlsa, sts, no_policy_found };

enum class ResultType : std::uint8_t {
  starttls_not_supported,
  certificate_host_mismatch,
  certificate_not_trusted,
  certificate_expired,
  validation_failure,
  sts_policy_fetch_error,
  sts_policy_invalid,
  sts_webpki_invalid,
  tlsa_invalid,
  dnssec_invalid,
  dane_required,
};

std::string_view to_string(PolicyType type);  // as in RFC 8460: "no-policy-found"
std::string_view to_string(ResultType type);  // as in RFC 8460: "starttls-not-supported"
// The other way round; nullopt: no such word.
std::optional<PolicyType> policy_type(std::string_view word);
std::optional<ResultType> result_type(std::string_view word);

// The policy as RFC 8460 §4.5 wants it quoted.
struct Policy {
  PolicyType type = PolicyType::no_policy_found;
  std::string domain;                // recipient domain; the TLSA base domain for tlsa
  std::vector<std::string> strings;  // sts: lines as published; tlsa: "3 1 1 hex", sorted
  std::vector<std::string> mx_hosts; // sts only
  bool operator==(const Policy&) const = default;
};

struct FailureDetail {
  ResultType type = ResultType::validation_failure;
  std::string reason;  // failure-reason-code: short, precise, no local part
  bool operator==(const FailureDetail&) const = default;
};

// One session's contribution to one policy: a success when `failures` says nothing against it.
struct SessionResult {
  Policy policy;
  bool success = false;
  std::vector<FailureDetail> failures;
  bool operator==(const SessionResult&) const = default;
};

// SHA-256 over type, domain and strings, hex: `policy_digest` of the log.
std::string policy_digest(const Policy& policy);

// SHA-256 over the texts, in lower-case hex. Where each ends counts: {"ab"} is not {"a", "b"}.
std::string sha256_hex(std::span<const std::string_view> texts);

}  // namespace tlsrpt
