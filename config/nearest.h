// The known key or section that somebody who wrote an unknown one most likely meant. Pure.
#pragma once

#include <string>
#include <string_view>

namespace config {

// Fewest insertions, deletions, replacements and swaps of neighbours that make `b` out of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b);

// "port", or "outbound.port" where another section has what comes nearer. `section` may be unknown
// or empty (the top of the file).
std::string nearest_key(std::string_view section, std::string_view key);

// "outbound", "policy.rule".
std::string nearest_section(std::string_view name);

}  // namespace config
