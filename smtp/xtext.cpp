#include "smtp/xtext.h"

#include "base/encode.h"

namespace smtp {

std::optional<std::string> decode_xtext(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    if (c <= 32 || c > 126 || c == '=') return std::nullopt;
    if (c != '+') {
      out += c;
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3) return std::nullopt;
    const auto octet = base::from_hex(text.substr(1, 2));
    if (!octet) return std::nullopt;
    out += static_cast<char>(octet->front());
    text.remove_prefix(3);
  }
  return out;
}

std::string encode_xtext(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (c > 32 && c < 127 && c != '+' && c != '=') {
      out += c;
      continue;
    }
    const auto octet = static_cast<unsigned char>(c);
    out += '+';
    out += digits[octet >> 4];
    out += digits[octet & 15];
  }
  return out;
}

}  // namespace smtp
