#include "policy/sts_restore.h"

#include <algorithm>

namespace policy {

base::Result<StsEntry, base::Error> entry_of(store::PolicyRow row) {
  auto policy = parse_sts_policy(row.body);
  if (!policy) {
    const std::vector<PolicyError> errors = policy.error();
    std::string text = "the stored policy cannot be read: " + errors.front().str();
    if (errors.size() > 1) text += " (and " + std::to_string(errors.size() - 1) + " more)";
    return base::fail(std::move(text));
  }
  StsEntry entry;
  entry.policy = std::move(*policy);
  entry.id = std::move(row.id);
  entry.fetched = row.fetched;
  entry.expires = std::min(row.expires, row.fetched + entry.policy.max_age);
  entry.txt_checked = row.txt_checked;
  entry.refresh_failures = row.refresh_failures;
  return entry;
}

}  // namespace policy
