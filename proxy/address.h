// base::Ip to and from Asio's addresses, and an endpoint that a generic socket can connect to.
#pragma once

#include <algorithm>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/ip.h"

namespace proxy {

inline boost::asio::ip::address to_asio(const base::Ip& ip) {
  if (ip.is_v4()) {
    boost::asio::ip::address_v4::bytes_type octets{};
    std::ranges::copy(ip.octets(), octets.begin());
    return boost::asio::ip::address_v4(octets);
  }
  boost::asio::ip::address_v6::bytes_type octets{};
  std::ranges::copy(ip.octets(), octets.begin());
  return boost::asio::ip::address_v6(octets);
}

inline base::Ip from_asio(const boost::asio::ip::address& address) {
  if (address.is_v4()) return base::Ip::v4(address.to_v4().to_bytes());
  return base::Ip::v6(address.to_v6().to_bytes());
}

inline boost::asio::generic::stream_protocol::endpoint endpoint_of(const base::Ip& ip,
                                                                   std::uint16_t port) {
  return boost::asio::ip::tcp::endpoint(to_asio(ip), port);
}

}  // namespace proxy
