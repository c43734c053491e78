// What strangers wrote, made safe to show: a terminal obeys control characters, and a reader is
// misled by those that turn the direction of writing. Called wherever messages and tables are
// printed. Pure.
#pragma once

#include <string>
#include <string_view>

namespace base {

// UTF-8 in which control characters, also those of Unicode that cannot be seen, and octets that are
// no UTF-8 have become '?'.
std::string without_controls(std::string_view text);

}  // namespace base
