// Domain: a valid host or mail domain name, always lower-case A-labels without a trailing dot.
// Only Domain::parse makes one, so whoever holds one need not look again (RFC 5890 §2.3.2.1,
// RFC 1035 §2.3.4). Underscores are admitted because MX targets carry them; `is_ldh` says whether
// the name also satisfies RFC 5321 §4.1.2. Address literals are not domains: see base/ip.h.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace base {

class Domain {
 public:
  // `text`: a name, with or without one trailing dot, in ASCII or UTF-8 (converted by IDNA2008,
  // non-transitional, as RFC 6531 §3.2 asks). Fails on an empty name, an empty label, a label over
  // 63 or a name over 253 octets, other characters, a name that is all digits and dots.
  static Result<Domain, Error> parse(std::string_view text);

  const std::string& str() const { return name_; }
  std::string_view view() const { return name_; }
  // Letters, digits and hyphens alone, none at the edge of a label.
  bool is_ldh() const;
  // Whether this is a name below `parent` ("a.b.c" below "c" and "b.c", never below itself).
  bool is_below(const Domain& parent) const;

  auto operator<=>(const Domain&) const = default;

 private:
  explicit Domain(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

// One label "*" in front: a certificate's or a policy's wildcard matches exactly one label, whole
// (RFC 8461 §4.1, RFC 9525 §6.3). `pattern` is "name" or "*.name", lower case.
bool matches_pattern(std::string_view pattern, const Domain& name);

}  // namespace base

template <>
struct std::hash<base::Domain> {
  std::size_t operator()(const base::Domain& domain) const noexcept {
    return std::hash<std::string>()(domain.str());
  }
};
