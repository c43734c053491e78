// What is wrong with the evidence of one TLS session, as TLS-RPT names it (RFC 8460 §4.3). Whether
// it matters is judge()'s to decide. Used by judge.cpp, and by check/, which tells all of it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/judge.h"

namespace policy {

using Problem = std::optional<tlsrpt::FailureDetail>;  // nullopt: nothing is wrong

// Whether a DNS-ID of the certificate names it (RFC 9525 §6.3, RFC 8461 §4.2): a wildcard stands
// for one whole label; the common name never counts.
bool certificate_names(const PkixEvidence& pkix, const base::Domain& name);

// Chain, dates and name, in this order.
Problem pkix_problem(const PkixEvidence& pkix, const base::Domain& name);

// RFC 7672 §3: one of `records` that matches is enough; without one no other proof counts. Names
// and dates were looked at for usage 2 alone, before a match was found (§3.1.1, §3.2).
Problem dane_problem(const TlsSession& session, const std::vector<dane::Tlsa>& records);

// `pins`: SHA-256 of the public key, hex.
Problem pin_problem(const TlsSession& session, const std::vector<std::string>& pins);

}  // namespace policy
