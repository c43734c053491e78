// lint: everything that is wrong or doubtful about an MTA-STS policy file (RFC 8461 §3.2), at once
// and with its place: errors are those for which this program as a sender refuses the file
// (policy/sts_parse), warnings what other senders may refuse or what its author hardly meant. Pure.
// Not responsible for whether the MX hosts exist. Called by `policy lint`, `policy generate` and
// whoever judges the operator's own domain.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace policy {

enum class LintSeverity : std::uint8_t { error, warning };
std::string_view to_string(LintSeverity severity);

struct LintFinding {
  int line = 0;    // 1-based; 0: of the file as a whole, as something missing is
  int column = 0;  // 1-based, octets
  LintSeverity severity = LintSeverity::error;
  std::string text;
  bool operator==(const LintFinding&) const = default;
};

// In the order of the file, those of the whole file last; a hundred or so at most. `text`: the
// policy file's octets. Without an error among them the file is a policy.
std::vector<LintFinding> lint(std::string_view text);

bool has_error(const std::vector<LintFinding>& findings);

}  // namespace policy
