#include "tlsrpt/mail_encode.h"

#include <algorithm>
#include <cstdint>

#include "base/encode.h"

namespace tlsrpt {
namespace {

constexpr std::size_t line_wanted = 78;       // RFC 5322 §2.1.1
constexpr std::size_t encoded_line = 76;      // RFC 2045 §6.7, §6.8
constexpr std::size_t quoted_name_limit = 60; // leaves room for "From: " and escapes
constexpr std::size_t encoded_word_text = 45; // 60 octets of base64: with its frame below 75
constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

std::string to_base64(std::string_view text) {
  return base::to_base64({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

// C0, DEL and, in UTF-8, C1.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 32 || first == 127;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string folded(std::string_view name, std::span<const std::string> words) {
  std::string out;
  std::string line(name);
  line += ':';
  for (const std::string& word : words) {
    if (word.empty()) continue;
    if (line.size() + 1 + word.size() > line_wanted) {
      out += line + "\r\n";
      line.clear();
    }
    line += ' ' + base::printable(word);
  }
  return out + line + "\r\n";
}

std::string clean_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t octets = base::utf8_length_at(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(octets, 1));
    if (octets == 0) {
      out += replacement;
    } else if (is_control(character)) {
      out += ' ';
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::vector<std::string> display_name(std::string_view text) {
  const std::string clean = clean_text(text);
  if (base::trim(clean).empty()) return {};
  // What looks like an encoded-word would be decoded by many readers, quotes or not.
  const bool plain = base::is_ascii(clean) && clean.size() <= quoted_name_limit &&
                     clean.find("=?") == std::string::npos;
  if (plain) return {quoted(clean)};
  std::vector<std::string> words;
  std::string_view rest = clean;
  while (!rest.empty()) {
    std::size_t octets = 0;
    while (octets < rest.size()) {
      const std::size_t next = base::utf8_length_at(rest.substr(octets));
      if (octets + next > encoded_word_text) break;
      octets += next;
    }
    words.push_back("=?utf-8?B?" + to_base64(rest.substr(0, octets)) + "?=");
    rest.remove_prefix(octets);
  }
  return words;
}

std::string quoted_printable(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  std::size_t column = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octet = static_cast<unsigned char>(text[i]);
    if (octet == '\n') {
      out += "\r\n";
      column = 0;
      continue;
    }
    const bool at_end = i + 1 == text.size() || text[i + 1] == '\n';
    const bool plain = octet >= 32 && octet < 127 && octet != '=' && !(octet == ' ' && at_end);
    const std::size_t width = plain ? 1 : 3;
    // The last column is for the "=" that goes on, unless the line ends here.
    if (column + width > encoded_line - (at_end ? 0 : 1)) {
      out += "=\r\n";
      column = 0;
    }
    column += width;
    if (plain) {
      out += text[i];
    } else {
      out += '=';
      out += digits[octet >> 4];
      out += digits[octet & 15];
    }
  }
  if (column > 0) out += "\r\n";
  return out;
}

std::string base64_lines(std::string_view octets) {
  const std::string whole = to_base64(octets);
  std::string out;
  for (std::size_t at = 0; at < whole.size(); at += encoded_line) {
    out.append(whole, at, encoded_line);
    out += "\r\n";
  }
  return out;
}

}  // namespace tlsrpt
