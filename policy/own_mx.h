// Where this machine is itself an MX host of the recipient domain (RFC 5321 §5.1): mail goes to
// better hosts alone, or it would come back, and go round until its hops are too many. Pure: who
// "this machine" is, the caller says. Called by proxy/walk.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "policy/facts.h"
#include "smtp/reply.h"

namespace policy {

// Leaves in `hosts` those of a better preference than the best of this machine's own, which it
// returns; nullopt: none is its own, and `hosts` is as it was.
std::optional<MxHost> cut_at_own(std::vector<MxHost>& hosts,
                                 const std::function<bool(const MxHost&)>& is_own);

// 451 4.4.4: no host is better than this machine. A passing reply: the records or the MTA's idea of
// its own domains can be mended while the mail waits.
smtp::Reply own_mx_reply(const base::Domain& domain, const MxHost& own);

}  // namespace policy
