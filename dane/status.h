// status_of: the whole of RFC 7672 §2 as one pure function. In: the security of each answer on the
// way from the recipient domain to the TLSA records of one host. Out: what DANE says of that host.
// An error is never an absence: LookupFailed and NotApplicable are different types. The caller
// (proxy/gather) makes the look-ups that `tlsa_candidates` names, in its order; policy/plan turns
// the status into a requirement.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/domain.h"
#include "dane/tlsa.h"
#include "dns/answer.h"

namespace dane {

// The address look-ups of one host: a family that is not used (ip_preference ipv4-only) is absent.
// `initial_cname`: the CNAME asked by itself for the host name; made only where an address answer
// came by a CNAME chain and is insecure (RFC 7672 §2.1.3), to learn the first link's state.
struct AddressFacts {
  std::optional<dns::Lookup<base::Ip>> a;
  std::optional<dns::Lookup<base::Ip>> aaaa;
  std::optional<dns::Lookup<std::string>> initial_cname;
};

// How the host became a candidate.
struct HostOrigin {
  base::Domain next_hop;  // the recipient domain, as asked
  std::optional<base::Domain> expanded_next_hop;  // where the MX look-up went through a CNAME
  bool by_mx = true;      // false: implicit MX, the host is the domain itself
  dns::Security mx_security = dns::Security::insecure;  // of the MX answer (or its NODATA)
};

struct NotApplicable {
  std::string reason;
  bool insecure = false;  // the chain to the records is: their zone, or the host's, is not signed
};
struct LookupFailed {
  std::string reason;
  bool bogus = false;  // bogus or indeterminate rather than a server that did not answer
};
// Secure records, none usable: TLS is demanded, authentication is not (RFC 7672 §2.2).
struct Unusable {
  base::Domain base;
  std::vector<Tlsa> records;
  std::string reason;
};
struct Usable {
  base::Domain base;                        // TLSA base domain: SNI and first reference identifier
  std::vector<Tlsa> records;                // after usability and digest agility
  std::vector<Tlsa> published;              // all, for the report
  std::vector<base::Domain> reference_ids;  // RFC 7672 §3.2.2, for usage 2
};
using Status = std::variant<NotApplicable, Unusable, Usable, LookupFailed>;

// Whether the initial CNAME must be asked for by itself before anything can be decided.
bool needs_initial_cname(const AddressFacts& addresses);

// RFC 7672 §2.2.2: names under which to look for `_PORT._tcp.NAME`, in order; or why none.
std::variant<NotApplicable, LookupFailed, std::vector<base::Domain>> tlsa_candidates(
    const base::Domain& host, const AddressFacts& addresses);

struct TlsaLookup {
  base::Domain base;
  dns::Lookup<Tlsa> answer;
};

// `lookups`: one for each candidate in order, ending with the first that is secure with data or
// that failed. A host behind an insecure MX is judged just the same: whether that counts is
// policy/plan's to decide.
Status status_of(const base::Domain& host, const HostOrigin& origin,
                 const AddressFacts& addresses, std::span<const TlsaLookup> lookups);

}  // namespace dane
