// The token that [admin] demands, out of the text of its file: one line of 16 to 512 printable
// ASCII characters without spaces, so that it fits into an HTTP header. An error says what is wrong
// with the text and never quotes it. Used by the loader's checks and by proxy/admin_port.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace config {

base::Result<std::string, base::Error> token_of(std::string_view text);

}  // namespace config
