// handshake(): one STARTTLS handshake with one address of an MX, by the relay's own connection and
// TLS client, and EHLO under it; sends no mail. Collects what a delivery would and, besides, what
// explains it. Decides nothing. Called by check/inquiry.
#pragma once

#include <boost/asio/awaitable.hpp>

#include "check/seen.h"
#include "proxy/channel.h"
#include "proxy/tls_client.h"

namespace check {

// What a handshake is limited to, for those who look at all that a host has.
struct Only {
  std::optional<proxy::KeyType> key = std::nullopt;  // no certificate of another type
  bool old_versions = false;                         // TLS 1.0 and 1.1, as no delivery does
};

// `plan`, `config` and `seen` live until it ends, at `deadline` at the latest.
boost::asio::awaitable<void> handshake(proxy::Worker& worker, const config::Config& config,
                                       const policy::Try& plan, proxy::SteadyTime deadline,
                                       SeenAddress& seen, Only only = Only());

}  // namespace check
