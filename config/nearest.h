// The known keys or sections that somebody who wrote an unknown one most likely meant; none where
// nothing is near. Case, and a dash for an underscore, do not count; a whole word of the name, as
// "token" is of "token_file", is near. Pure. Used by config/load.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace config {

// Fewest insertions, deletions, replacements and swaps of neighbours that make `b` out of `a`.
std::size_t edit_distance(std::string_view a, std::string_view b);

// "port", or "outbound.port" where another section has what comes nearer: all that are equally
// near. `section` may be unknown or empty (the top of the file).
std::vector<std::string> nearest_keys(std::string_view section, std::string_view key);

// "[outbound]", "[[policy.rule]]".
std::vector<std::string> nearest_sections(std::string_view name);

// What to say of an unknown key or section, after its name: the nearest, or all that there are.
std::string key_hint(std::string_view section, std::string_view key);
std::string section_hint(std::string_view name);

}  // namespace config
