// Connections to MXs without an MX: cleartext over a pair of sockets whose other end says nothing.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "proxy/pool.h"
#include "tests/unit/policy/plan_support.h"

namespace pool_test {

namespace asio = boost::asio;

class Peers {
 public:
  ~Peers() {
    for (const int fd : ends_) ::close(fd);
  }
  std::unique_ptr<proxy::MxLink> link(asio::io_context& io, const std::string& terms,
                                      proxy::MxSlots::Slot slot = {}, const base::Ip& ip = {}) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("socketpair");
    ends_.push_back(ends[1]);
    proxy::Channel::Socket socket(io, asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
    auto wire = std::make_unique<proxy::SmtpWire>(std::move(socket));
    proxy::MxPeer peer;
    peer.ip = ip;
    auto session = std::make_unique<proxy::MxSession>(std::move(wire), std::move(peer),
                                                      std::move(slot));
    const policy::Verdict verdict = plan_test::Setup().judged(plan_test::no_starttls());
    return std::make_unique<proxy::MxLink>(
        proxy::MxLink{std::move(session), *plan_test::authorized(verdict), terms, std::nullopt});
  }
  // The peer of the n-th, counted from 0, sees its end.
  bool ended(std::size_t n) const {
    char octets[64];
    ssize_t got = 0;
    do {
      got = ::recv(ends_.at(n), octets, sizeof octets, MSG_DONTWAIT);
    } while (got > 0);
    return got == 0;
  }

 private:
  std::vector<int> ends_;
};

}  // namespace pool_test
