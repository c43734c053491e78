#include "policy/plan_entries.h"

#include <algorithm>

namespace policy {

tlsrpt::SessionResult failed_result(tlsrpt::Policy policy, tlsrpt::ResultType type,
                                    std::string_view reason) {
  tlsrpt::SessionResult result{std::move(policy), false, {}};
  result.failures.push_back({type, std::string(reason)});
  return result;
}

tlsrpt::Policy no_policy(const base::Domain& domain) {
  return {tlsrpt::PolicyType::no_policy_found, domain.str(), {}, {}};
}
tlsrpt::Policy sts_unfetched(const base::Domain& domain) {
  return {tlsrpt::PolicyType::sts, domain.str(), {}, {}};
}
tlsrpt::Policy sts_policy(const base::Domain& domain, const StsPolicy& policy) {
  return {tlsrpt::PolicyType::sts, domain.str(), policy.lines, policy.mx};
}
tlsrpt::Policy tlsa_policy(const base::Domain& base, const std::vector<dane::Tlsa>& records) {
  tlsrpt::Policy policy{tlsrpt::PolicyType::tlsa, base.str(), {}, {}};
  for (const dane::Tlsa& record : records) policy.strings.push_back(record.str());
  std::ranges::sort(policy.strings);  // RPT-4.5-c: a stable key
  return policy;
}

}  // namespace policy
