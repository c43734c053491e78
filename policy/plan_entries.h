// The policies that plan() names to TLS-RPT (RFC 8460 §4.5): how each is quoted, and a result that
// fails without a session. Inside plan*.cpp only.
#pragma once

#include <string_view>
#include <vector>

#include "base/domain.h"
#include "dane/tlsa.h"
#include "policy/sts.h"
#include "tlsrpt/result.h"

namespace policy {

tlsrpt::Policy no_policy(const base::Domain& domain);
// RFC 8460 §4.4: what there is of a policy that could not be fetched is its domain.
tlsrpt::Policy sts_unfetched(const base::Domain& domain);
tlsrpt::Policy sts_policy(const base::Domain& domain, const StsPolicy& policy);
// `base`: the TLSA base domain; the host itself where none was found.
tlsrpt::Policy tlsa_policy(const base::Domain& base, const std::vector<dane::Tlsa>& records);

tlsrpt::SessionResult failed_result(tlsrpt::Policy policy, tlsrpt::ResultType type,
                                    std::string_view reason);

}  // namespace policy
