#include "audit/mask.h"

#include <array>
#include <cstddef>
#include <vector>

#include "base/encode.h"

namespace audit {
namespace {

constexpr std::string_view ellipsis = "\xE2\x80\xA6";

// Ways to write "@". The full-width and small forms are what IDNA mapping makes into one.
constexpr std::array<std::string_view, 6> at_signs = {"@",     "%40",          "&#64;",
                                                      "&commat;", "\xEF\xBC\xA0", "\xEF\xB9\xAB"};

std::size_t at_sign_length(std::string_view text, std::size_t at) {
  for (std::string_view sign : at_signs) {
    if (text.substr(at, sign.size()) == sign) return sign.size();
  }
  return 0;
}

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Ends an unquoted local part on its left. Not "'" or "=": both are atext (RFC 5321 §4.1.2).
bool is_delimiter(char c) {
  return is_space(c) || static_cast<unsigned char>(c) < 0x20 || c == 0x7F ||
         std::string_view("<>()[],;:\"").find(c) != std::string_view::npos;
}

// For each octet whether a backslash quotes it; linear, whatever a peer sends.
std::vector<bool> quoted_octets(std::string_view text) {
  std::vector<bool> quoted(text.size(), false);
  for (std::size_t i = 1; i < text.size(); ++i) {
    quoted[i] = text[i - 1] == '\\' && !quoted[i - 1];
  }
  return quoted;
}

// Where the quoted string starts whose closing quote is text[close]; `close` where it has none.
std::size_t quoted_start(std::string_view text, const std::vector<bool>& quoted,
                         std::size_t close) {
  for (std::size_t i = close; i > 0; --i) {
    if (text[i - 1] == '"' && !quoted[i - 1]) return i - 1;
  }
  return close;
}

// Where the local part starts that ends at `end`.
std::size_t local_part_start(std::string_view text, const std::vector<bool>& quoted,
                             std::size_t end) {
  std::size_t i = end;
  while (i > 0 && is_space(text[i - 1])) --i;  // "user @example.com", RFC 5322 §3.4.1 with CFWS
  while (i > 0) {
    const std::size_t last = i - 1;
    if (quoted[last]) {
      i = last - 1;
    } else if (text[last] == '"') {
      i = quoted_start(text, quoted, last);  // a quote never opened: the word before goes too
    } else if (!is_delimiter(text[last])) {
      i = last;
    } else {
      break;
    }
  }
  return i;
}

// From right to left, so that an "@" within a quoted local part goes with it.
std::string mask_before_at(std::string_view text) {
  // Each way to write "@" has one of these in it.
  if (text.find_first_of("@%&\xEF") == std::string_view::npos) return std::string(text);
  const std::vector<bool> quoted = quoted_octets(text);
  std::vector<std::string_view> pieces;  // of the result, last first
  std::size_t end = text.size();         // text[end …) is in `pieces`
  for (std::size_t i = text.size(); i > 0; --i) {
    if (at_sign_length(text, i - 1) == 0) continue;
    const std::size_t at = i - 1;
    const std::size_t start = local_part_start(text, quoted, at);
    if (start == at) continue;
    pieces.push_back(text.substr(at, end - at));
    pieces.push_back(ellipsis);
    end = start;
    i = start + 1;
  }
  pieces.push_back(text.substr(0, end));
  std::string out;
  out.reserve(text.size());
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) out += *piece;
  return out;
}

// Whether a word may end between `text[0, at)` and its character at `at`.
bool ends_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return true;
  const char c = text[at];
  if (is_alnum(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80) return false;
  const bool joins = c == '.' || c == '-';
  return !(joins && at + 1 < text.size() && is_alnum(text[at + 1]));
}

bool starts_at(std::string_view text, std::size_t at) {
  if (at == 0) return true;
  const char c = text[at - 1];
  if (is_alnum(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80) return false;
  const bool joins = c == '.' || c == '-';
  return !(joins && at > 1 && is_alnum(text[at - 2]));
}

// Replaces `word` (lower case) wherever it stands as a word.
void mask_word(std::string& text, const std::string& word) {
  if (word.empty()) return;
  std::string lower = base::to_lower(text);
  for (std::size_t at = lower.find(word); at != std::string::npos; at = lower.find(word, at)) {
    if (!starts_at(lower, at) || !ends_at(lower, at + word.size())) {
      ++at;
      continue;
    }
    text.replace(at, word.size(), ellipsis);
    lower.replace(at, word.size(), ellipsis);
    at += ellipsis.size();
  }
}

}  // namespace

std::string mask_local_parts(std::string_view text, std::span<const std::string> known) {
  std::string out = mask_before_at(text);
  for (const std::string& local : known) {
    std::string word = base::to_lower(local);
    mask_word(out, word);
    if (word.size() > 2 && word.front() == '"' && word.back() == '"') {
      word = word.substr(1, word.size() - 2);
      mask_word(out, word);
    }
    const std::size_t plus = word.find('+');
    if (plus != std::string::npos) mask_word(out, word.substr(0, plus));
  }
  return out;
}

}  // namespace audit
