// Hex and base64 (RFC 4648) and the few text tools that more than one folder needs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace base {

std::string to_hex(std::span<const std::uint8_t> bytes);                    // lower case
std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);   // either case
std::string to_base64(std::span<const std::uint8_t> bytes);                 // with padding
std::optional<std::vector<std::uint8_t>> from_base64(std::string_view text);

std::string to_lower(std::string_view ascii);
bool iequals(std::string_view a, std::string_view b);  // ASCII
std::string_view trim(std::string_view text);          // SP, HTAB
// Control characters and DEL become '?'; for replies and logs.
std::string printable(std::string_view text);

}  // namespace base
