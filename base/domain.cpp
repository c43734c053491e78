#include "base/domain.h"

#include <idn2.h>

#include <memory>

#include "base/encode.h"

namespace base {
namespace {

constexpr std::size_t max_label = 63;
constexpr std::size_t max_name = 253;
// A name of 253 octets never comes from more UTF-8 than this.
constexpr std::size_t max_input = 1024;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return c >= 'a' && c <= 'z'; }

// RFC 6531 §3.2, RFC 5891 §5: U-labels to A-labels, without the transitional mappings.
Result<std::string, Error> to_a_labels(std::string_view text) {
  char* out = nullptr;
  const int rc = idn2_to_ascii_8z(std::string(text).c_str(), &out,
                                  IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<char, void (*)(void*)> owner(out, idn2_free);
  if (rc != IDN2_OK) {
    return fail(std::string("not an internationalized name: ") + idn2_strerror(rc));
  }
  return Result<std::string, Error>{boost::system::in_place_value, out};
}

Result<void, Error> check_labels(std::string_view name) {
  while (true) {
    const std::size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    if (label.empty()) return fail("empty label");
    if (label.size() > max_label) return fail("label over 63 octets");
    if (dot == std::string_view::npos) return {};
    name.remove_prefix(dot + 1);
  }
}

}  // namespace

Result<Domain, Error> Domain::parse(std::string_view text) {
  if (text.empty()) return fail("empty name");
  if (text.size() > max_input) return fail("name too long");
  if (text.find('\0') != std::string_view::npos) return fail("character not allowed in a name");

  std::string name;
  if (is_ascii(text)) {
    name = to_lower(text);
  } else {
    auto converted = to_a_labels(text);
    if (!converted) return fail(converted.error());
    name = to_lower(*converted);
  }
  if (name.ends_with('.')) name.pop_back();
  if (name.empty()) return fail("empty name");
  if (name.size() > max_name) return fail("name over 253 octets");

  bool only_digits = true;
  for (const char c : name) {
    if (c == '.' || is_digit(c)) continue;
    if (!is_letter(c) && c != '-' && c != '_') return fail("character not allowed in a name");
    only_digits = false;
  }
  if (only_digits) return fail("a number, not a name");
  if (auto labels = check_labels(name); !labels) return fail(labels.error());
  return Domain(std::move(name));
}

bool Domain::is_ldh() const {
  char before = '.';
  for (const char c : name_) {
    if (c == '_') return false;
    if (before == '.' && c == '-') return false;
    if (before == '-' && c == '.') return false;
    before = c;
  }
  return before != '-';
}

bool Domain::is_below(const Domain& parent) const {
  const std::string_view name = name_;
  return name.size() > parent.name_.size() + 1 && name.ends_with(parent.name_) &&
         name[name.size() - parent.name_.size() - 1] == '.';
}

bool matches_pattern(std::string_view pattern, const Domain& name) {
  if (!pattern.starts_with("*.")) return !pattern.empty() && pattern == name.view();
  const std::string_view suffix = pattern.substr(1);  // ".name"
  const std::size_t dot = name.view().find('.');
  return suffix.size() > 1 && dot != std::string_view::npos && name.view().substr(dot) == suffix;
}

}  // namespace base
