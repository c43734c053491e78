#include "policy/own_mx.h"

#include <algorithm>

#include "policy/plan_words.h"

namespace policy {

std::optional<MxHost> cut_at_own(std::vector<MxHost>& hosts,
                                 const std::function<bool(const MxHost&)>& is_own) {
  std::optional<MxHost> own;
  for (const MxHost& host : hosts) {
    if ((!own || host.preference < own->preference) && is_own(host)) own = host;
  }
  if (own) {
    std::erase_if(hosts, [&](const MxHost& host) { return host.preference >= own->preference; });
  }
  return own;
}

smtp::Reply own_mx_reply(const base::Domain& domain, const MxHost& own) {
  return words::no_route("the best MX host of " + domain.str() + " is this machine itself, " +
                         own.host.str() + ": its MTA must take that mail as its own, or know "
                         "another way for it");
}

}  // namespace policy
