// gather_all: the facts of a domain and of all its hosts, for those who ask without a message. The
// same look-ups, caches and MTA-STS engine as a delivery's; decides nothing. Used by the policy
// map and the milter, on the thread of `worker`.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

#include "base/domain.h"
#include "base/result.h"
#include "policy/survey.h"
#include "proxy/channel.h"
#include "proxy/gather.h"
#include "proxy/worker.h"

namespace proxy {

// The error says what is not known yet and why; the look-ups go on for the next one who asks. A
// host that is not known by `deadline` is one whose look-ups failed: a dead backup's DNS must not
// keep the answer about the others.
asio::awaitable<base::Result<policy::GatheredFacts, base::Error>> gather_all(
    Worker& worker, std::shared_ptr<const Snapshot> snapshot, base::Domain domain,
    SteadyTime deadline);

// What the operator says of the domain today.
policy::Operator operator_today(const base::Clock& clock, const policy::Settings& settings,
                                const base::Domain& domain);

// The look-ups for one host.
Gather::HostQuery host_query(const config::Config& config, dane::HostOrigin origin,
                             const base::Domain& host, bool ignore_dnssec);

}  // namespace proxy
