#include "proxy/milter_header.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace proxy {

namespace {

constexpr std::size_t domains_named = 50;
constexpr std::size_t line_length = 78;
constexpr std::size_t longest_word = 100;  // RFC 2047 §2 allows 75
constexpr std::size_t decoded_most = 10000;  // octets of one field; a rule's value is shorter

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Unfolded, lower case, each run of space one space, none around.
std::string normal(std::string_view text) {
  std::string out;
  bool gap = false;
  for (const char c : text) {
    if (is_space(c)) {
      gap = true;
      continue;
    }
    if (gap && !out.empty()) out += ' ';
    gap = false;
    out += lower(c);
  }
  return out;
}

std::optional<int> hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return std::nullopt;
}

std::optional<std::string> decode_q(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_') {
      out += ' ';
    } else if (text[i] == '=') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex(text[i + 1]);
      const auto low = hex(text[i + 2]);
      if (!high || !low) return std::nullopt;
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<int> base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

std::optional<std::string> decode_b(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    const auto digit = base64_digit(c);
    if (!digit) return std::nullopt;
    bits = ((bits << 6) | static_cast<std::uint32_t>(*digit)) & 0xffffU;
    have += 6;
    if (have < 8) continue;
    have -= 8;
    out += static_cast<char>((bits >> have) & 0xffU);
  }
  return out;
}

struct EncodedWord {
  std::size_t length = 0;
  std::string decoded;
};

// "=?charset?Q?text?=" at the front of `text`.
std::optional<EncodedWord> encoded_word(std::string_view text) {
  if (!text.starts_with("=?")) return std::nullopt;
  text = text.substr(0, longest_word);
  const std::size_t charset = text.find('?', 2);
  if (charset == std::string_view::npos || charset + 2 >= text.size() || text[charset + 2] != '?') {
    return std::nullopt;
  }
  const std::size_t from = charset + 3;
  const std::size_t end = text.find("?=", from);
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view inner = text.substr(from, end - from);
  if (inner.find_first_of("? \t\r\n") != std::string_view::npos) return std::nullopt;
  const char encoding = lower(text[charset + 1]);
  std::optional<std::string> decoded;
  if (encoding == 'q') decoded = decode_q(inner);
  if (encoding == 'b') decoded = decode_b(inner);
  if (!decoded) return std::nullopt;
  return EncodedWord{end + 2, *std::move(decoded)};
}

}  // namespace

bool same_field_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string outlook_field_body(const std::vector<std::pair<std::string, std::string>>& domains) {
  std::string body;
  std::size_t column = outlook_field.size() + 2;
  const auto add = [&](const std::string& part) {
    if (!body.empty()) {
      body += ';';
      const bool fold = column + part.size() + 3 > line_length;
      body += fold ? "\n\t" : " ";
      column = fold ? 8 : column + 2;
    }
    body += part;
    column += part.size();
  };
  for (std::size_t i = 0; i < domains.size() && i < domains_named; ++i) {
    add(domains[i].first + ": " + domains[i].second);
  }
  if (domains.size() > domains_named) {
    add("and " + std::to_string(domains.size() - domains_named) + " more domains");
  }
  return body;
}

std::string decode_encoded_words(std::string_view text) {
  std::string out;
  std::string gap;  // space behind an encoded word: it goes where another one follows
  bool after_word = false;
  while (!text.empty() && out.size() < decoded_most) {
    if (after_word && is_space(text.front())) {
      gap += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (auto word = encoded_word(text)) {
      out += word->decoded;
      text.remove_prefix(word->length);
      after_word = true;
    } else {
      out += gap;
      out += text.front();
      text.remove_prefix(1);
      after_word = false;
    }
    gap.clear();
  }
  return out + gap;
}

bool field_matches(std::string_view body, std::string_view value) {
  const std::string want = normal(value);
  if (normal(body) == want) return true;
  return body.find("=?") != std::string_view::npos && normal(decode_encoded_words(body)) == want;
}

std::string reply_text(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : text) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (out.size() > most) {
    out.resize(most > 3 ? most - 3 : 0);
    out += "...";
  }
  return out;
}

}  // namespace proxy
