#include "config/token.h"

#include <algorithm>

namespace config {

base::Result<std::string, base::Error> token_of(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  if (text.size() < 16) {
    return base::fail("a token of at least 16 characters is expected: openssl rand -hex 32");
  }
  if (text.size() > 512) return base::fail("a token has at most 512 characters");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; })) {
    return base::fail("a token is one line of printable ASCII without spaces");
  }
  return {boost::system::in_place_value, std::string(text)};
}

}  // namespace config
