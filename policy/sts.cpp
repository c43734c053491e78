#include "policy/sts.h"

#include "base/limits.h"

namespace policy {

namespace {

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

// RFC 8461 §3.1, erratum 6285: white space before the first ";" is in the grammar, though not in
// the prose "begins with v=STSv1;". Both count as a record.
bool begins_as_sts(std::string_view record) {
  constexpr std::string_view version = "v=STSv1";
  if (!record.starts_with(version)) return false;
  record.remove_prefix(version.size());
  skip_blanks(record);
  return record.starts_with(';');
}

// sts-id's value: 1*32(ALPHA / DIGIT).
bool is_id(std::string_view value) {
  if (value.empty() || value.size() > 32) return false;
  for (const char c : value) {
    if (!is_alnum(c)) return false;
  }
  return true;
}

// sts-extension: a name of 1 to 32, "=", and a value without "=", ";", SP and controls.
bool is_extension(std::string_view field) {
  const auto equals = field.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > 32) return false;
  for (std::size_t i = 0; i < equals; ++i) {
    const char c = field[i];
    const bool inner = c == '_' || c == '-' || c == '.';
    if (!is_alnum(c) && !(inner && i > 0)) return false;
  }
  const std::string_view value = field.substr(equals + 1);
  for (const char c : value) {
    if (c < 0x21 || c > 0x7e || c == '=') return false;
  }
  return !value.empty();
}

std::variant<std::string, StsNoRecord> parse_one(std::string_view record) {
  if (record.size() > base::limits::sts_txt) {
    return StsNoRecord{"the record is longer than " + std::to_string(base::limits::sts_txt) +
                       " octets"};
  }
  record.remove_prefix(record.find(';') + 1);  // begins_as_sts: there is one
  std::string id;
  bool any = false;
  while (true) {
    skip_blanks(record);
    if (record.empty() && any) break;  // the delimiter at the end is optional
    const auto end = record.find(';');
    std::string_view field = record.substr(0, end);
    // White space belongs to a delimiter, so only a field that one follows may trail some.
    if (end != std::string_view::npos) {
      while (!field.empty() && is_blank(field.back())) field.remove_suffix(1);
    }
    if (field.empty()) return StsNoRecord{"the record has an empty field"};
    if (field.starts_with("id=")) {
      // RFC 8461 §3.2, last paragraph: of duplicates the first counts; the rest is not looked at.
      if (id.empty()) {
        if (!is_id(field.substr(3))) {
          return StsNoRecord{"the record's id is not 1 to 32 letters and digits"};
        }
        id = field.substr(3);
      }
    } else if (!is_extension(field)) {
      return StsNoRecord{"the record has a field that is not NAME=VALUE"};
    }
    any = true;
    if (end == std::string_view::npos) break;
    record.remove_prefix(end + 1);
  }
  if (id.empty()) return StsNoRecord{"the record has no id"};
  return id;
}

}  // namespace

std::string_view to_string(StsMode mode) {
  switch (mode) {
    case StsMode::enforce: return "enforce";
    case StsMode::testing: return "testing";
    case StsMode::none: return "none";
  }
  return "none";
}

std::string_view to_string(PolicySource source) {
  switch (source) {
    case PolicySource::fetched: return "fetched";
    case PolicySource::cached: return "cached";
    case PolicySource::shared: return "shared";
  }
  return "cached";
}

std::variant<std::string, StsNoRecord> parse_sts_txt(std::span<const std::string> records) {
  const std::string* only = nullptr;
  std::size_t count = 0;
  for (const std::string& record : records) {
    if (!begins_as_sts(record)) continue;
    only = &record;
    ++count;
  }
  // RFC 8461 §3.1: not exactly one is no policy; none is picked among several.
  if (count == 0) return StsNoRecord{"no MTA-STS record"};
  if (count > 1) return StsNoRecord{std::to_string(count) + " MTA-STS records, not one"};
  return parse_one(*only);
}

const std::string* StsPolicy::matching_pattern(const base::Domain& host) const {
  for (const std::string& pattern : mx) {
    if (base::matches_pattern(pattern, host)) return &pattern;
  }
  return nullptr;
}

std::string PolicyError::str() const {
  if (line == 0) return text;
  return "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + text;
}

}  // namespace policy
