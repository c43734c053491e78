// Everything that is wrong with a domain's mail, each by itself, whether or not something else
// would be enough: of the domain, of one MX, of one address. In words for the recipient's
// postmaster. Pure. Used by check/assemble.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "check/report.h"
#include "check/seen.h"

namespace check {

// Whether that answer was there and did not pass validation: no failure that passes by itself.
bool is_bogus(const Gathered& gathered, dns::Type type, const std::string& name);
// What to do for a bogus answer.
std::string sign_anew(const std::string& zone);

// A TLSA record, in its presentation form; one of SHA2-256, as most are, is whole within 80 octets.
std::string shortened(const std::string& record, std::size_t limit = 80);

std::vector<Problem> domain_problems(const base::Domain& domain, const Gathered& gathered,
                                     const Policy& policy);

std::vector<Problem> host_problems(const base::Domain& domain, const Gathered& gathered,
                                   std::size_t host);

// RFC 2181 §10.3, RFC 5321 §5.1: an MX names a host, not an alias. Most senders follow it all the
// same, and so does the relay. `host`: its index; one that an MX record names.
std::optional<Problem> alias_problem(const Gathered& gathered, std::size_t host);

// `terms`: terms_of(the host's plan).
std::vector<Problem> address_problems(const base::Domain& domain, const policy::HostPlan& host,
                                      const policy::Try& terms, const SeenAddress& seen);

// What to mend, each once, what blocks first. Of what does not block, what a policy in testing mode
// will refuse one day.
std::vector<std::string> mends_of(const Report& report);

}  // namespace check
