// Where a connection was going before the firewall redirected it to us (nftables `redirect`,
// iptables REDIRECT): SO_ORIGINAL_DST and its IPv6 form, out of the connection tracking of the
// kernel. Says only what was dialled; whether to go there is decided by policy/dialled. Called by
// proxy/session.
#pragma once

#include <span>

#include "base/result.h"
#include "config/config.h"

namespace proxy {

// A sockaddr_in or sockaddr_in6 as the kernel wrote it; an IPv4-mapped address is the IPv4 address.
// nullopt: too short, another family.
std::optional<config::Tcp> read_sockaddr(std::span<const std::uint8_t> octets);

// Of an accepted TCP connection. An error says what is wrong with the redirecting rule: nothing is
// known of the connection, or it came to the listener's own address, so that to go on would be to
// connect to ourselves.
base::Result<config::Tcp, base::Error> original_destination(int fd);
// The same, once the kernel was asked: `original` nullopt where it knows nothing.
base::Result<config::Tcp, base::Error> original_destination(
    const std::optional<config::Tcp>& original, const config::Tcp& local);

}  // namespace proxy
