// The MTA-STS policy parser: a policy it takes has what its mode needs, is within bounds, and says
// the same when its lines are read again; what it refuses has errors with places in the input.
// policy::lint finds an error in what the parser refuses, and in nothing else.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "policy/sts.h"
#include "policy/sts_lint.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto parsed = policy::parse_sts_policy(body);
  const auto findings = policy::lint(body);
  must(policy::has_error(findings) == !parsed && findings.size() <= 120);
  for (const auto& finding : findings) must(!finding.text.empty() && finding.column >= 0);
  if (!parsed) {
    const auto errors = parsed.error();
    must(!errors.empty() && errors.size() <= 60);
    for (const auto& error : errors) must(!error.str().empty() && error.line >= 0);
    return 0;
  }
  must(parsed->max_age.count() >= 0 && parsed->max_age.count() <= 31557600);
  must(parsed->mode == policy::StsMode::none || !parsed->mx.empty());
  std::string again;
  for (const std::string& line : parsed->lines) {
    must(line.find('\n') == std::string::npos);
    again.append(line).push_back('\n');
  }
  const auto second = policy::parse_sts_policy(again);
  must(second.has_value());
  must(second->mode == parsed->mode && second->mx == parsed->mx);
  must(second->max_age == parsed->max_age && second->lines == parsed->lines);
  const auto host = base::Domain::parse("mail.example.com");
  must(host.has_value());
  (void)parsed->matching_pattern(*host);
  return 0;
}
