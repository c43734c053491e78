#include "config/nearest.h"

#include <algorithm>
#include <vector>

#include "base/encode.h"
#include "config/schema.h"

namespace config {

namespace {

// Names longer than this are no slips of the pen; the distance need not be exact.
constexpr std::size_t longest = 128;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, longest);
  b = b.substr(0, longest);
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

namespace {

constexpr std::size_t far = static_cast<std::size_t>(-1);
// In half edits: another section's key loses against one of this section that is as near or one
// edit farther, since most know where they are.
constexpr std::size_t elsewhere = 3;
constexpr std::size_t slips_elsewhere = 2;
constexpr std::size_t shortest_elsewhere = 3;  // "x" is no "mx"
constexpr std::size_t same_beginning = 4;  // "policies", "policy"
constexpr std::size_t keys_listed = 12;

std::string plain(std::string_view name) {
  std::string out = base::to_lower(name);
  std::ranges::replace(out, '-', '_');
  return out;
}

// "token" in "token_file", "rule" in "policy.rule".
bool has_word(std::string_view name, std::string_view word) {
  const auto parts = [](char c) { return c == '_' || c == '.'; };
  for (std::size_t at = name.find(word); at != std::string_view::npos;
       at = name.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || parts(name[at - 1])) && (end == name.size() || parts(name[end]))) return true;
  }
  return false;
}

// In half edits; far: nobody would mean that one.
std::size_t by_letters(std::string_view written, std::string_view known, std::size_t most) {
  if (written.size() > longest) return far;  // no slip of the pen
  const std::size_t allowed = std::min(most, std::max<std::size_t>(1, written.size() / 3));
  if (written.size() > known.size() + allowed || known.size() > written.size() + allowed) {
    return far;
  }
  const std::size_t edits = edit_distance(written, known);
  return edits <= allowed ? 2 * edits : far;
}

std::size_t distance_of(std::string_view written, std::string_view known) {
  const std::size_t letters = by_letters(written, known, longest);
  if (written.empty()) return letters;
  if (has_word(known, written)) return std::min<std::size_t>(letters, 2);
  return has_word(written, known) ? std::min<std::size_t>(letters, 3) : letters;
}

std::string header(const Section& section) {
  std::string out = section.is_list() ? "[[" : "[";
  out += section.name;
  out += section.is_list() ? "]]" : "]";
  return out;
}

class Nearest {
 public:
  void look_at(std::size_t distance, std::string name) {
    if (distance == far || distance > least_) return;
    if (distance < least_) names_.clear();
    least_ = distance;
    names_.push_back(std::move(name));
  }
  std::vector<std::string> names() { return std::move(names_); }

 private:
  std::size_t least_ = far;
  std::vector<std::string> names_;
};

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += names[i];
  }
  return out;
}

// " is X" or "s are X, Y and Z".
std::string hint(const char* what, const std::vector<std::string>& names) {
  std::string out = "; the nearest known ";
  out += what;
  out += names.size() == 1 ? " is " : "s are ";
  return out + listed(names);
}

std::vector<std::string> quoted(std::vector<std::string> names) {
  for (std::string& name : names) {
    name.insert(0, 1, '"');
    name += '"';
  }
  return names;
}

}  // namespace

std::vector<std::string> nearest_keys(std::string_view section, std::string_view key) {
  const std::string written = plain(key);
  Nearest nearest;
  for (const Section& one : schema()) {
    const bool here = one.name == section;
    for (const Key& known : one.keys) {
      if (here) {
        nearest.look_at(distance_of(written, known.name), std::string(known.name));
        continue;
      }
      if (written != known.name && written.size() < shortest_elsewhere) continue;
      const std::size_t distance = by_letters(written, known.name, slips_elsewhere);
      if (distance == far) continue;
      std::string name(one.name);
      name += '.';
      name += known.name;
      nearest.look_at(distance + elsewhere, std::move(name));
    }
  }
  return nearest.names();
}

std::vector<std::string> nearest_sections(std::string_view name) {
  const std::string written = plain(name);
  Nearest nearest;
  for (const Section& one : schema()) {
    const std::string_view known = one.name;
    const std::string_view last = known.substr(known.rfind('.') + 1);
    std::size_t distance = distance_of(written, known);
    if (distance_of(written, last) != far) {
      distance = std::min(distance, distance_of(written, last) + 1);
    }
    // "logging", "policies"
    const auto begins = static_cast<std::size_t>(
        std::ranges::mismatch(written, known).in1 - written.begin());
    const bool whole = begins == known.size();
    if (whole || (begins >= same_beginning && last == known)) {
      distance = std::min<std::size_t>(distance, whole ? 4 : 5);
    }
    nearest.look_at(distance, header(one));
  }
  return nearest.names();
}

std::string key_hint(std::string_view section, std::string_view key) {
  const std::vector<std::string> nearest = nearest_keys(section, key);
  if (!nearest.empty()) return hint("key", quoted(nearest));
  const Section* here = find_section(section);
  if (!here) return "; a key stands in a section, under its [header]";
  std::vector<std::string> all;
  for (const Key& one : here->keys) all.emplace_back(one.name);
  const bool many = all.size() > keys_listed;
  std::string out = many ? "; sternpost config defaults shows those of " : "; ";
  out += header(*here);
  if (many) return out;
  out += " has ";
  return out + listed(quoted(std::move(all)));
}

std::string section_hint(std::string_view name) {
  const std::vector<std::string> nearest = nearest_sections(name);
  if (!nearest.empty()) return hint("section", nearest);
  std::vector<std::string> all;
  for (const Section& one : schema()) all.push_back(header(one));
  std::string out = "; the sections are ";
  return out + listed(all);
}

}  // namespace config
