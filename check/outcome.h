// What a delivery would come to with these facts, plans and handshakes: the hosts in MX order, the
// addresses of each in turn, the first that meets its plan; or the reply that the MTA would get.
// Pure; the verdicts are judge()'s, the choice of words is proxy/walk_failure's, both as for a
// message. What a running daemon remembers of hosts that failed lately is not known here.
#pragma once

#include "check/report.h"
#include "check/seen.h"

namespace check {

struct Decided {
  Outcome outcome;
  bool by_sts = false;  // a policy had its part in it: it would be asked for again
};

// `connected`: handshakes were made; otherwise the plan alone speaks.
Decided decide(const base::Domain& domain, const Gathered& gathered, bool connected);

// What one address came to, by itself. Not for one without evidence.
policy::Verdict verdict_of(const base::Domain& domain, const policy::HostPlan& host,
                           const policy::Try& terms, const SeenAddress& seen);

}  // namespace check
