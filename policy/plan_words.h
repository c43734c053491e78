// The words of plan() and judge(): what replies and the log say of a policy, in terms that the
// recipient's postmaster can act on. Only text; nothing is decided here. RFC 3463 for the codes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "policy/plan.h"

namespace policy::words {

inline constexpr std::string_view mx_mismatch = "sts-mx-mismatch";
inline constexpr std::string_view all_unusable = "all-unusable";
inline constexpr std::string_view dane_no_match = "dane-no-match";
inline constexpr std::string_view pin_mismatch = "operator-pin-mismatch";

smtp::Reply no_answer(std::string_view text);        // 451 4.4.3
smtp::Reply no_route(std::string_view text);         // 451 4.4.4
smtp::Reply no_starttls(std::string_view text);      // 451 4.7.4
smtp::Reply not_verified(std::string_view text);     // 451 4.7.5
smtp::Reply not_reachable(int code, smtp::EnhancedCode enhanced, std::string_view text);

// "the MTA-STS policy of example.com (id 20260101, enforce)".
std::string sts(std::string_view domain, std::string_view id, StsMode mode);
// "the TLSA records (DANE) of mx.example.com".
std::string tlsa(std::string_view base);
// "a, b, c and 4 more".
std::string list(const std::vector<std::string>& items, std::size_t most = 5);
// "DANE: 2 usable TLSA records at mx.example.com".
std::string requirement(const TlsRequirement& requirement);
std::string count(std::size_t n, std::string_view noun);  // "1 record", "2 records"
std::string span(std::chrono::seconds time);  // exact: "1 day", "36 hours", "90 seconds"

}  // namespace policy::words
