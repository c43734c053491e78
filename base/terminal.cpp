#include "base/terminal.h"

#include <algorithm>
#include <cstdint>

#include "base/encode.h"

namespace base {
namespace {

// Unicode's control characters behind ASCII: C1, the marks and overrides of writing direction, line
// separators, those without a width or a shape (soft hyphen, fillers) and the byte order mark.
bool is_control(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
         c == 0x115f || c == 0x1160 || c == 0x180e || c == 0x3164 || c == 0xffa0 ||
         (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

std::uint32_t code_point(std::string_view character) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return at(0);
  std::uint32_t out = at(0) & (0x7fU >> character.size());
  for (std::size_t i = 1; i < character.size(); ++i) out = out << 6 | (at(i) & 0x3fU);
  return out;
}

}  // namespace

std::string without_controls(std::string_view text) {
  // Most text is of this kind, and some of it comes by the million.
  if (std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return std::string(text);
  }
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length_at(text);
    if (length == 0 || is_control(code_point(text.substr(0, length)))) {
      out += '?';
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace base
