#include "policy/sts_lint.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/domain.h"
#include "base/encode.h"
#include "base/limits.h"
#include "policy/sts.h"

namespace policy {

namespace {

constexpr std::size_t max_warnings = 50;
constexpr std::size_t common_body_limit = 65536;  // RFC 8461 §3.3 suggests 64 kilobytes
constexpr long long day = 86400;
constexpr long long week = 7 * day;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Line {
  int number = 0;
  std::string_view text;  // without its end
  bool ended = false;
  bool crlf = false;
};

struct Field {
  int line = 0;
  std::string_view name;
  std::string_view value;
  int column = 0;  // of the value
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    Line line{number, text.substr(0, end), end != std::string_view::npos, false};
    if (line.ended && line.text.ends_with('\r')) {
      line.text.remove_suffix(1);
      line.crlf = true;
    }
    lines.push_back(line);
    text.remove_prefix(line.ended ? end + 1 : text.size());
  }
  return lines;
}

// Whether one of the two becomes the other by one octet more, less, or other.
bool is_near(std::string_view a, std::string_view b) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > 1) return false;
  const auto [at, other] = std::mismatch(a.begin(), a.end(), b.begin());
  const std::string_view rest_a(at, a.end());
  const std::string_view rest_b(other, b.end());
  if (rest_b.empty()) return true;
  return a.size() == b.size() ? rest_a.substr(1) == rest_b.substr(1) : rest_a == rest_b.substr(1);
}

class Linter {
 public:
  explicit Linter(std::string_view text) : text_(text), lines_(lines_of(text)) {}

  std::vector<LintFinding> run() {
    const auto parsed = parse_sts_policy(text_);
    if (!parsed) {
      // Named: error() is a value.
      const std::vector<PolicyError> errors = parsed.error();
      for (const PolicyError& error : errors) {
        found_.push_back({error.line, error.column, LintSeverity::error, error.text});
      }
    }
    line_ends();
    blank_end();
    for (const Line& line : lines_) read(line);
    known_once();
    patterns();
    ages();
    if (text_.size() > common_body_limit) {
      warn(0, 0, "the file has over 64 KiB, at which senders may stop (RFC 8461 §3.3)");
    }
    std::ranges::stable_sort(found_, {}, [](const LintFinding& one) {
      return std::pair(one.line == 0 ? INT32_MAX : one.line, one.column);
    });
    return std::move(found_);
  }

 private:
  void warn(int line, int column, std::string text) {
    if (++warnings_ > max_warnings) return;
    found_.push_back({line, column, LintSeverity::warning, std::move(text)});
  }
  bool refused(int line) const {
    return std::ranges::any_of(found_, [line](const LintFinding& one) {
      return one.line == line && one.severity == LintSeverity::error;
    });
  }

  // The prose of RFC 8461 §3.2 says CRLF, its grammar LF or CRLF (erratum 6253).
  void line_ends() {
    const auto is_lf = [](const Line& line) { return line.ended && !line.crlf; };
    const auto is_crlf = [](const Line& line) { return line.crlf; };
    const auto lf = std::ranges::find_if(lines_, is_lf);
    if (lf == lines_.end()) return;
    const bool mixed = std::ranges::any_of(lines_, is_crlf);
    warn(lf->number, static_cast<int>(lf->text.size()) + 1,
         mixed ? "this line ends in LF alone, others in CRLF: let all end in CRLF"
               : "the lines end in LF alone; the text of RFC 8461 §3.2 asks for CRLF, and not "
                 "every sender takes both");
  }

  void blank_end() {
    const auto is_empty = [](const Line& line) {
      return std::ranges::all_of(line.text, is_blank);
    };
    std::size_t first = lines_.size();
    while (first > 0 && is_empty(lines_[first - 1])) --first;
    if (first == lines_.size() || first == 0) return;
    warn(lines_[first].number, 1, "blank lines at the end, for which other senders may refuse "
                                  "the file");
    lines_.resize(first);
  }

  void read(const Line& line) {
    const std::size_t colon = line.text.find(':');
    if (colon == std::string_view::npos) return;
    std::size_t begin = colon + 1;
    while (begin < line.text.size() && is_blank(line.text[begin])) ++begin;
    std::size_t end = line.text.size();
    while (end > begin && is_blank(line.text[end - 1])) --end;
    const Field field{line.number, line.text.substr(0, colon),
                      line.text.substr(begin, end - begin), static_cast<int>(begin) + 1};
    if (field.name == "mx") {
      mx_.push_back(field);
    } else if (std::ranges::find(once, field.name) != once.end()) {
      fields_[std::string(field.name)].push_back(field);
    } else if (!refused(line.number)) {
      unknown(field);
    }
  }

  void unknown(const Field& field) {
    std::string text = "a field that RFC 8461 does not know, which senders pass over";
    const std::string lower = base::to_lower(field.name);
    for (const std::string_view known : {"version", "mode", "mx", "max_age"}) {
      if (lower == known || is_near(lower, known)) {
        text += ": is \"" + std::string(known) + "\" meant?";
        break;
      }
    }
    warn(field.line, 1, std::move(text));
  }

  // RFC 8461 §3.2: of each field but mx the first counts.
  void known_once() {
    for (const auto& [name, fields] : fields_) {
      for (std::size_t i = 1; i < fields.size(); ++i) {
        warn(fields[i].line, 1,
             "a second " + name + ", which is passed over: the one in line " +
                 std::to_string(fields[0].line) + " counts" +
                 (fields[i].value == fields[0].value ? "" : ", though this one differs"));
      }
    }
  }

  std::string_view value_of(const char* name) const {
    const auto found = fields_.find(name);
    return found == fields_.end() ? std::string_view() : found->second.front().value;
  }

  void patterns() {
    if (value_of("mode") == "none" && !mx_.empty()) {
      warn(mx_.front().line, 1, "mode none needs no mx: its patterns are not looked at");
    }
    std::map<std::string, int> seen;  // to the line
    for (const Field& field : mx_) {
      if (refused(field.line)) continue;
      const std::string pattern = base::to_lower(field.value);
      const auto [at, fresh] = seen.emplace(pattern, field.line);
      if (!fresh) {
        warn(field.line, field.column, "the same pattern as in line " +
                                           std::to_string(at->second));
        continue;
      }
      one_pattern(field, pattern);
    }
    for (const Field& field : mx_) {
      const auto host = base::Domain::parse(field.value);
      if (!host || field.value.starts_with("*.")) continue;
      const std::string_view name = host->view();
      const std::size_t dot = name.find('.');
      if (dot == std::string_view::npos) continue;
      const auto wide = seen.find("*" + std::string(name.substr(dot)));
      if (wide == seen.end()) continue;
      warn(field.line, field.column, "already admitted by the pattern in line " +
                                         std::to_string(wide->second));
    }
  }

  // What the grammar takes and no MX host, or any stranger's, can match.
  void one_pattern(const Field& field, std::string_view pattern) {
    const bool wild = pattern.starts_with("*.");
    const std::string_view name = wild ? pattern.substr(2) : pattern;
    const std::size_t last = name.rfind('.');
    const std::string_view top = last == std::string_view::npos ? name : name.substr(last + 1);
    if (std::ranges::all_of(top, is_digit)) {
      warn(field.line, field.column,
           "cannot match: an MX is a host name, never an address or a number");
    } else if (last == std::string_view::npos && wild) {
      warn(field.line, field.column,
           "admits every host right below \"" + std::string(name) + "\", whoever owns it");
    } else if (last == std::string_view::npos) {
      warn(field.line, field.column, "cannot match: a name of one label is hardly an MX; write "
                                     "the full name, such as " +
                                         std::string(name) + ".example.com");
    } else if (!base::Domain::parse(name)) {
      warn(field.line, field.column, "cannot match: no host can have such a name");
    }
  }

  void ages() {
    const auto found = fields_.find("max_age");
    if (found == fields_.end()) return;
    const Field& field = found->second.front();
    if (refused(field.line) || field.value.size() > 10) return;
    long long seconds = 0;
    for (const char c : field.value) seconds = seconds * 10 + (c - '0');
    const std::string_view mode = value_of("mode");
    if (seconds > base::limits::sts_max_age) {
      warn(field.line, field.column, "over 31557600, the most that RFC 8461 §3.2 allows; taken "
                                     "for 31557600 here, refused elsewhere perhaps");
    } else if (mode == "enforce" && seconds < week) {
      warn(field.line, field.column,
           "a short max_age: an attacker need only wait that long; RFC 8461 §3.2 expects weeks, "
           "in seconds (1209600 are two)");
    } else if (mode == "testing" && seconds < day) {
      warn(field.line, field.column,
           "a max_age of less than a day: senders that fetch once a day see it rarely");
    }
  }

  static constexpr std::array<std::string_view, 3> once{"version", "mode", "max_age"};
  std::string_view text_;
  std::vector<Line> lines_;
  std::vector<LintFinding> found_;
  std::map<std::string, std::vector<Field>> fields_;  // of `once`, by name
  std::vector<Field> mx_;
  std::size_t warnings_ = 0;
};

}  // namespace

std::string_view to_string(LintSeverity severity) {
  return severity == LintSeverity::error ? "error" : "warning";
}

std::vector<LintFinding> lint(std::string_view text) { return Linter(text).run(); }

bool has_error(const std::vector<LintFinding>& findings) {
  return std::ranges::any_of(
      findings, [](const LintFinding& one) { return one.severity == LintSeverity::error; });
}

}  // namespace policy
