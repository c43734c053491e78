// What becomes of the address that an MTA dialled, where a transparent listener knows it: the MTA's
// own DNS said that this is an MX, and ours says what the domain promises. Where it promises
// nothing the dialled address is used; where a policy applies the address counts only if it belongs
// to an approved host, so no policy is weaker for a wrong answer to the MTA, and no mail waits for
// a right one that differs from ours. Pure, like plan.h, on whose plans it works. Called by
// proxy/walk and nobody else.
#pragma once

#include <optional>
#include <span>
#include <variant>

#include "policy/plan.h"

namespace policy {

struct ToDialledHost {     // the dialled address belongs to this host: it alone, at this address
  std::size_t index = 0;   // in the order of `hosts`
};
struct ToDialledAddress {  // no host of the domain's has it, and nothing is promised
  Try plan;
};
struct ToHosts {};         // the domain's hosts in their order, as if nothing had been dialled
using DialledRoute = std::variant<ToDialledHost, ToDialledAddress, ToHosts>;

// Whether mail may go to this host and it has the dialled address: then nothing else matters.
bool is_approved_at(const HostPlan& host, const base::Ip& dialled);

// `hosts`: the plans in the order in which they would be tried; nullopt: what holds for that host
// could not be found out in time. May end behind the first that is_approved_at().
DialledRoute route_dialled(const Settings& settings, const DomainPlan& domain,
                           std::span<const std::optional<HostPlan>> hosts,
                           const base::Ip& dialled);
// The second walk of observe mode: as if nothing were published, which here means the dialled
// address. As the host that has it where there is one: what keeps it out that is no policy's doing
// holds there too.
DialledRoute route_unprotected(const Settings& settings, const DomainPlan& domain,
                               std::span<const std::optional<HostPlan>> hosts,
                               const base::Ip& dialled);

// As plan_domain(), but that a domain without MX hosts in our DNS is not refused where no policy
// applies to it: the MTA has an address for it (a route of its own, or other DNS), which is used.
// Where one applies the refusal is a passing one.
// A null MX is the domain's own word, and is refused.
std::variant<Refused, DomainPlan> plan_dialled_domain(const Settings& settings, const Operator& op,
                                                      const DomainFacts& facts);

// Mail to user@[192.0.2.1]: the address at which plan_literal()'s plan is to be tried.
base::Ip route_dialled_literal(const Try& plan, const base::Ip& literal, const base::Ip& dialled);

}  // namespace policy
