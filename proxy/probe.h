// probe(): one STARTTLS handshake with a domain's hosts, without any mail, to renew what was last
// seen of them (proxy/seen_hosts.h). Host by host in MX order until one meets its plan, every
// address of a host until it does, in twenty connections at most; that a host fails is noted only
// where all its addresses were tried. The same connection limits, refused addresses, remembered
// failures and judge() as a delivery's; logged as sessions that are not counted, so no TLS-RPT
// report has them. Decides nothing. Used by proxy/outlook on its worker's thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "policy/survey.h"
#include "proxy/channel.h"
#include "proxy/worker.h"

namespace proxy {

enum class Probed {
  fine,         // a host met its plan
  failing,      // some reached a verdict, and none met it
  not_reached,  // no host could be asked: that says nothing of the policy
};

// `survey` refers to the settings of `snapshot`, and whatever else it refers to must live as long.
asio::awaitable<Probed> probe(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                              base::Domain domain, std::shared_ptr<const policy::Survey> survey,
                              SteadyTime deadline);

}  // namespace proxy
