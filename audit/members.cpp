#include "audit/members.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace audit {
namespace {

constexpr std::size_t hash_digits = 64;

void skip_blanks(std::string_view text, std::size_t& at) {
  while (at < text.size() &&
         (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n')) {
    ++at;
  }
}

// Behind the string that begins at `at`; npos where it does not end.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (std::size_t from = at + 1;;) {
    const std::size_t quote = text.find('"', from);
    if (quote == std::string_view::npos) return quote;
    std::size_t slashes = 0;
    while (text[quote - 1 - slashes] == '\\') ++slashes;  // Ends at the opening quote.
    if (slashes % 2 == 0) return quote + 1;
    from = quote + 1;
  }
}

// Behind a list or an object, whatever is in it.
std::size_t end_of_nested(std::string_view text, std::size_t at) {
  for (std::size_t depth = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"') {
      at = end_of_string(text, at);
      if (at == std::string_view::npos) return at;
      continue;
    }
    ++at;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && --depth == 0) return at;
  }
  return std::string_view::npos;
}

std::size_t end_of_value(std::string_view text, std::size_t at) {
  if (at >= text.size()) return std::string_view::npos;
  if (text[at] == '"') return end_of_string(text, at);
  if (text[at] == '[' || text[at] == '{') return end_of_nested(text, at);
  const std::size_t end = text.find_first_of(",} \t\r\n", at);
  return end == at ? std::string_view::npos : end;
}

// A key's place in record_keys, which is most often the one behind the last.
std::size_t index_of(std::string_view key, std::size_t likely) {
  if (likely < record_keys.size() && record_keys[likely] == key) return likely;
  for (std::size_t i = 0; i < record_keys.size(); ++i) {
    if (record_keys[i] == key) return i;
  }
  return record_keys.size();
}

}  // namespace

bool Members::read(std::string_view line) {
  values_.fill({});
  std::size_t at = 0;
  skip_blanks(line, at);
  if (at >= line.size() || line[at] != '{') return false;
  ++at;
  std::size_t likely = 0;
  for (bool first = true;; first = false) {
    skip_blanks(line, at);
    if (first && at < line.size() && line[at] == '}') break;
    if (at >= line.size() || line[at] != '"') return false;
    const std::size_t key_end = end_of_string(line, at);
    if (key_end == std::string_view::npos) return false;
    const std::string_view key = line.substr(at + 1, key_end - at - 2);
    at = key_end;
    skip_blanks(line, at);
    if (at >= line.size() || line[at] != ':') return false;
    ++at;
    skip_blanks(line, at);
    const std::size_t end = end_of_value(line, at);
    if (end == std::string_view::npos) return false;
    const std::size_t index = index_of(key, likely);
    if (index < values_.size()) {
      if (!values_[index].empty()) return false;
      values_[index] = line.substr(at, end - at);
      likely = index + 1;
    }
    at = end;
    skip_blanks(line, at);
    if (at >= line.size()) return false;
    if (line[at] == '}') break;
    if (line[at] != ',') return false;
    ++at;
  }
  ++at;
  skip_blanks(line, at);
  return at == line.size();
}

std::optional<std::string> Members::text(std::size_t index) const {
  const std::string_view value = values_[index];
  if (value.size() < 2 || value.front() != '"') return std::nullopt;
  const std::string_view inside = value.substr(1, value.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return std::string(inside);
  const auto json = nlohmann::json::parse(value, nullptr, false);
  if (!json.is_string()) return std::nullopt;
  return json.get<std::string>();
}

bool Members::is(std::size_t index, std::string_view text) const {
  const std::string_view value = values_[index];
  if (value.size() < 2 || value.front() != '"') return false;
  if (value.substr(1, value.size() - 2) == text) return true;
  if (value.find('\\') == std::string_view::npos) return false;
  return this->text(index) == text;
}

std::optional<Link> link_of(const Members& members) {
  const std::string_view seq = members.raw(key_index("seq"));
  const std::string_view prev = members.raw(key_index("prev"));
  Link link;
  const char* const end = seq.data() + seq.size();
  const auto number = std::from_chars(seq.data(), end, link.seq);
  if (seq.empty() || number.ec != std::errc() || number.ptr != end) return std::nullopt;
  if (prev != "null") {
    if (prev.size() != hash_digits + 2 || prev.front() != '"') return std::nullopt;
    link.prev = prev.substr(1, hash_digits);
    if (link.prev.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos) {
      return std::nullopt;
    }
  }
  auto time = members.text(key_index("time"));
  if (!time) return std::nullopt;
  link.time = std::move(*time);
  return link;
}

}  // namespace audit
