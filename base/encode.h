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

// JSON text with all that is not printable ASCII as \uXXXX, so that a terminal which shows it obeys
// nobody: outside of strings JSON has nothing else.
std::string json_in_ascii(std::string_view json);

bool is_ascii(std::string_view text);
// RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);
// Octets of the character at the start of `text`; 0 where there is none that is well formed.
std::size_t utf8_length_at(std::string_view text);

}  // namespace base
