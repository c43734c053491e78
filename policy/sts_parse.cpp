// The policy file of RFC 8461 §3.2, line by line. Exact to the grammar, but for what is listed as
// a leniency in the result.
#include <algorithm>
#include <array>

#include "base/encode.h"
#include "base/limits.h"
#include "policy/sts.h"

namespace policy {

namespace {

constexpr std::size_t max_errors = 50;

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Octets of the UTF8-2, UTF8-3 or UTF8-4 sequence (RFC 3629 §4) at the front; 0: none is there.
std::size_t utf8_length(std::string_view text) {
  const auto octet = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto tail = [&](std::size_t i) { return (octet(i) & 0xc0U) == 0x80U; };
  const unsigned first = octet(0);
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (first == 0xe0 && octet(1) < 0xa0) return 0;
    if (first == 0xed && octet(1) > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (first == 0xf0 && octet(1) < 0x90) return 0;
    if (first == 0xf4 && octet(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

// Position of the first octet that is no part of an ext-value, or npos.
std::size_t bad_value_octet(std::string_view value) {
  for (std::size_t i = 0; i < value.size();) {
    if (value[i] >= 0x20 && value[i] <= 0x7e) {
      ++i;
    } else if (const std::size_t n = utf8_length(value.substr(i)); n > 0) {
      i += n;
    } else {
      return i;
    }
  }
  return std::string_view::npos;
}

struct Pattern {
  std::string text;   // lower case
  std::string error;  // not empty: why it is none
};

std::string label_error(std::string_view label) {
  if (label.empty()) return "an empty label";
  if (label.size() > 63) return "a label longer than 63 octets";
  if (label.front() == '-' || label.back() == '-') return "a hyphen at the edge of a label";
  for (const char c : label) {
    if (!is_alnum(c) && c != '-') {
      return std::string("'") + base::printable(std::string_view(&c, 1)) + "' in a name";
    }
  }
  return {};
}

// ["*."] Domain, where Domain is that of RFC 5321 §4.1.2: no trailing dot, no underscore.
Pattern parse_pattern(std::string_view value) {
  if (value.empty()) return {"", "mx is empty"};
  for (const char c : value) {
    // RFC 8461 §3.2: internationalized names are A-labels.
    if (static_cast<unsigned char>(c) > 0x7e) return {"", "mx must be in A-labels (xn--…)"};
  }
  std::string_view name = value.starts_with("*.") ? value.substr(2) : value;
  if (name.size() > 253) return {"", "mx is longer than 253 octets"};
  while (true) {
    const auto dot = name.find('.');
    const std::string why = label_error(name.substr(0, dot));
    if (!why.empty()) {
      return {"", "mx is not a host name, with or without \"*.\" in front: " + why};
    }
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  return {base::to_lower(value), ""};
}

class Parser {
 public:
  base::Result<StsPolicy, std::vector<PolicyError>> parse(std::string_view body) {
    split(body);
    for (std::size_t i = 0; i < policy_.lines.size() && errors_.size() < max_errors; ++i) {
      line_ = static_cast<int>(i) + 1;
      read_line(policy_.lines[i]);
    }
    if (errors_.size() < max_errors) find_missing();
    if (!errors_.empty()) return base::fail(std::move(errors_));
    return std::move(policy_);
  }

 private:
  // LF and CRLF alike, also mixed; the last one is optional. Blank lines at the end are tolerated.
  void split(std::string_view body) {
    while (!body.empty()) {
      const auto end = body.find('\n');
      std::string_view line = body.substr(0, end);
      if (end != std::string_view::npos && line.ends_with('\r')) line.remove_suffix(1);
      policy_.lines.emplace_back(line);
      body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    }
    bool dropped = false;
    while (!policy_.lines.empty() && std::all_of(policy_.lines.back().begin(),
                                                 policy_.lines.back().end(), is_blank)) {
      policy_.lines.pop_back();
      dropped = true;
    }
    if (dropped && !policy_.lines.empty()) policy_.leniencies.push_back("blank lines at the end");
  }

  void error(std::size_t column, std::string text) {
    errors_.push_back({line_, static_cast<int>(column) + 1, std::move(text)});
  }

  void read_line(std::string_view line) {
    std::size_t name_end = 0;
    while (name_end < line.size() && line[name_end] != ':') ++name_end;
    if (!check_name(line, name_end)) return;
    const std::string_view name = line.substr(0, name_end);
    std::size_t begin = name_end + 1;
    while (begin < line.size() && is_blank(line[begin])) ++begin;
    std::size_t end = line.size();
    while (end > begin && is_blank(line[end - 1])) --end;
    field(name, line.substr(begin, end - begin), begin);
  }

  // A field's name and its colon, without white space: 1 to 32 of letters, digits, "_", "-", ".".
  bool check_name(std::string_view line, std::size_t name_end) {
    if (std::all_of(line.begin(), line.end(), is_blank)) {
      error(0, "a blank line");
      return false;
    }
    if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) {
      error(0, "a byte order mark");
      return false;
    }
    for (std::size_t i = 0; i < name_end; ++i) {
      const char c = line[i];
      const bool inner = i > 0 && (c == '_' || c == '-' || c == '.');
      if (is_alnum(c) || inner) continue;
      if (is_blank(c)) {
        error(i, i == 0 ? "white space before a field's name" : "white space before the colon");
      } else {
        error(i, "'" + base::printable(line.substr(i, 1)) + "' in a field's name");
      }
      return false;
    }
    if (name_end == line.size()) {
      error(name_end, "no colon after the field's name");
    } else if (name_end == 0) {
      error(0, "no field's name before the colon");
    } else if (name_end > 32) {
      error(32, "a field's name of more than 32 characters");
    } else {
      return true;
    }
    return false;
  }

  void field(std::string_view name, std::string_view value, std::size_t column) {
    if (name == "mx") return mx(value, column);
    constexpr std::array<std::string_view, 3> once{"version", "mode", "max_age"};
    const auto known = std::find(once.begin(), once.end(), name);
    if (known == once.end()) return extension(value, column);
    bool& seen = seen_[static_cast<std::size_t>(known - once.begin())];
    if (seen) return;  // RFC 8461 §3.2: of duplicates the first counts, the rest is not looked at
    seen = true;
    if (name == "version") {
      if (value != "STSv1") error(column, "version is not STSv1");
    } else if (name == "mode") {
      mode(value, column);
    } else {
      max_age(value, column);
    }
  }

  void mode(std::string_view value, std::size_t column) {
    for (const StsMode mode : {StsMode::enforce, StsMode::testing, StsMode::none}) {
      if (value != to_string(mode)) continue;
      policy_.mode = mode;
      mode_known_ = true;
      return;
    }
    error(column, "mode is not enforce, testing or none");
  }

  void max_age(std::string_view value, std::size_t column) {
    if (value.empty() || value.size() > 10 || !std::all_of(value.begin(), value.end(), is_digit)) {
      return error(column, "max_age is not 1 to 10 digits");
    }
    long long seconds = 0;
    for (const char c : value) seconds = seconds * 10 + (c - '0');
    // RFC 8461 §3.2 names a maximum that its grammar exceeds; erratum 7282. Clamped here.
    if (seconds > base::limits::sts_max_age) {
      policy_.leniencies.push_back("max_age " + std::string(value) + " taken as " +
                                   std::to_string(base::limits::sts_max_age));
      seconds = base::limits::sts_max_age;
    }
    policy_.max_age = std::chrono::seconds(seconds);
  }

  void mx(std::string_view value, std::size_t column) {
    mx_seen_ = true;
    Pattern pattern = parse_pattern(value);
    if (!pattern.error.empty()) return error(column, std::move(pattern.error));
    policy_.mx.push_back(std::move(pattern.text));
  }

  // RFC 8461 §3.2: an unknown field is ignored, if it is a field at all.
  void extension(std::string_view value, std::size_t column) {
    if (value.empty()) return error(column, "an empty value");
    const std::size_t bad = bad_value_octet(value);
    if (bad != std::string_view::npos) error(column + bad, "a control character or no UTF-8");
  }

  void find_missing() {
    line_ = 0;
    if (!seen_[0]) errors_.push_back({0, 0, "there is no version"});
    if (!seen_[1]) errors_.push_back({0, 0, "there is no mode"});
    if (!seen_[2]) errors_.push_back({0, 0, "there is no max_age"});
    if (mode_known_ && policy_.mode != StsMode::none && !mx_seen_) {
      errors_.push_back({0, 0, "there is no mx, which mode " +
                                   std::string(to_string(policy_.mode)) + " needs"});
    }
  }

  StsPolicy policy_;
  std::vector<PolicyError> errors_;
  int line_ = 0;
  std::array<bool, 3> seen_{};  // version, mode, max_age
  bool mode_known_ = false;
  bool mx_seen_ = false;
};

}  // namespace

base::Result<StsPolicy, std::vector<PolicyError>> parse_sts_policy(std::string_view body) {
  if (body.empty()) {
    std::vector<PolicyError> errors;
    errors.push_back({0, 0, "the policy is empty"});
    return base::fail(std::move(errors));
  }
  return Parser().parse(body);
}

}  // namespace policy
