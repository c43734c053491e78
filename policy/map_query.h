// A question to the policy map: "MAPNAME KEY", and which domain the key of a TLS policy table asks
// about. Postfix asks with the next hop as it is written (brackets, port, any case, perhaps in
// UTF-8) and then with its parents (".example.com", ".com"); Sendmail with the recipient's domain.
// Pure. Used by proxy/policy_map.
#pragma once

#include <optional>
#include <string_view>

#include "base/domain.h"

namespace policy {

struct MapQuery {
  std::string_view map;
  std::string_view key;
};
// nullopt: no space in it.
std::optional<MapQuery> parse_map_query(std::string_view payload);

// nullopt: no domain that mail is routed to by MX, so that no policy is published for it: a parent
// key, a host in brackets, an address, nonsense. A policy is never looked for at a parent
// (RFC 8461 §3.4).
std::optional<base::Domain> domain_of_map_key(std::string_view key);
// A key that is none of these, but a name beyond ASCII that IDNA2008 does not know: the MTA may
// turn it into A-labels by rules of its own and deliver, so that it is no domain without a policy.
bool is_unknown_name(std::string_view key);

}  // namespace policy
