#include "tlsrpt/dkim_canon.h"

#include <algorithm>

#include "base/encode.h"

namespace tlsrpt {
namespace {

constexpr std::string_view crlf = "\r\n";

bool is_space(char c) { return c == ' ' || c == '\t'; }

// Each run of white space as one space, none at the end.
void append_relaxed(std::string& out, std::string_view line) {
  bool space = false;
  for (const char c : line) {
    if (is_space(c)) {
      space = true;
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
}

// The field at the start of `text`, which begins behind its CRLF afterwards.
std::string_view take_field(std::string_view& text) {
  std::size_t end = text.find(crlf);
  while (end < text.size() && end + 2 < text.size() && is_space(text[end + 2])) {
    end = text.find(crlf, end + 2);
  }
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), field.size() + crlf.size()));
  return field;
}

}  // namespace

MessageParts message_parts(std::string_view message) {
  MessageParts parts;
  while (!message.empty() && !message.starts_with(crlf)) {
    parts.fields.push_back(take_field(message));
  }
  if (!message.empty()) parts.body = message.substr(crlf.size());
  return parts;
}

std::string_view field_name(std::string_view field) {
  return base::trim(field.substr(0, field.find(':')));
}

std::string relaxed_field(std::string_view field) {
  const std::size_t colon = std::min(field.find(':'), field.size());
  std::string out = base::to_lower(field_name(field));
  out += ':';
  std::string_view value = field.substr(std::min(colon + 1, field.size()));
  std::string unfolded;
  while (!value.empty()) {
    const std::string_view line = value.substr(0, value.find(crlf));
    unfolded += line;
    value.remove_prefix(std::min(value.size(), line.size() + crlf.size()));
  }
  append_relaxed(out, base::trim(unfolded));
  return out;
}

std::string relaxed_body(std::string_view body) {
  std::string out;
  std::size_t kept = 0;  // up to the end of the last line that is not empty
  while (!body.empty()) {
    const std::string_view line = body.substr(0, body.find(crlf));
    const std::size_t before = out.size();
    append_relaxed(out, line);
    const bool is_empty = out.size() == before;
    out += crlf;
    if (!is_empty) kept = out.size();
    body.remove_prefix(std::min(body.size(), line.size() + crlf.size()));
  }
  out.resize(kept);
  return out;
}

}  // namespace tlsrpt
