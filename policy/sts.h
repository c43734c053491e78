// MTA-STS as values (RFC 8461): the TXT record, the policy file, and what is known of a domain's
// policy at one moment. Parsers say line and column of what is wrong. Pure; policy/sts_cache.h
// keeps policies, policy/sts_fetcher.h gets them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/domain.h"
#include "base/result.h"
#include "tlsrpt/result.h"

namespace policy {

enum class StsMode : std::uint8_t { enforce, testing, none };
std::string_view to_string(StsMode mode);

// RFC 8461 §3.1. `records`: the TXT records at _mta-sts.DOMAIN, each already joined.
struct StsNoRecord {
  std::string reason;  // none, several, or why the one there is not valid
};
std::variant<std::string /* id */, StsNoRecord> parse_sts_txt(std::span<const std::string> records);

struct StsPolicy {
  StsMode mode = StsMode::none;
  std::vector<std::string> mx;  // "name" or "*.name", lower case
  std::chrono::seconds max_age{0};
  std::vector<std::string> lines;      // as published, for TLS-RPT
  std::vector<std::string> leniencies; // what was tolerated, in words
  bool operator==(const StsPolicy&) const = default;
  // The pattern that admits `host`, or nullptr (RFC 8461 §4.1).
  const std::string* matching_pattern(const base::Domain& host) const;
};

struct PolicyError {
  int line = 0;    // 1-based
  int column = 0;  // 1-based, octets
  std::string text;
  std::string str() const;  // "line 3, column 7: …"
};
// RFC 8461 §3.2. All errors, first first; a policy only where there is none.
base::Result<StsPolicy, std::vector<PolicyError>> parse_sts_policy(std::string_view body);

enum class PolicySource : std::uint8_t { fetched, cached, shared };
std::string_view to_string(PolicySource source);

// Why a policy could not be had, as TLS-RPT says it.
struct StsFailure {
  tlsrpt::ResultType type = tlsrpt::ResultType::sts_policy_fetch_error;
  std::string reason;
  bool operator==(const StsFailure&) const = default;
};

// What is known of a domain's MTA-STS now.
struct StsAbsent {  // no record, or MTA-STS is disabled here
  std::string reason;
  bool operator==(const StsAbsent&) const = default;
};
struct StsActive {
  StsPolicy policy;
  std::string id;
  PolicySource source = PolicySource::fetched;
  base::WallTime fetched{};
  base::WallTime expires{};
  std::optional<StsFailure> refresh_failure;  // it is used although a refresh just failed
  bool operator==(const StsActive&) const = default;
};
struct StsUnavailable {  // a valid record, but no policy, and none cached
  std::string id;
  StsFailure failure;
  bool pending = false;  // whoever asked would not wait longer; the fetch goes on
  bool operator==(const StsUnavailable&) const = default;
};
struct StsUnknown {  // the TXT look-up failed and nothing is cached
  std::string reason;
  bool pending = false;  // as above: there is no answer yet
  bool operator==(const StsUnknown&) const = default;
};
using StsState = std::variant<StsAbsent, StsActive, StsUnavailable, StsUnknown>;

}  // namespace policy
