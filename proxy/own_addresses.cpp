#include "proxy/own_addresses.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

namespace proxy {

namespace {

constexpr std::chrono::minutes between_looks{1};

std::optional<base::Ip> ip_of(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &v4.sin_addr, octets.size());
    return base::Ip::v4(octets);
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &v6.sin6_addr, octets.size());
    return base::Ip::v6(octets);
  }
  return std::nullopt;
}

}  // namespace

bool OwnAddresses::has(const base::Ip& ip, Time now) {
  if (now >= next_look_) {
    addresses_ = source_();
    next_look_ = now + between_looks;
  }
  return addresses_.contains(ip.unmapped());
}

std::set<base::Ip> OwnAddresses::from_interfaces() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, freeifaddrs);
  std::set<base::Ip> addresses;
  for (const ifaddrs* one = list.get(); one != nullptr; one = one->ifa_next) {
    if ((one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    if (const auto ip = ip_of(one->ifa_addr)) addresses.insert(*ip);
  }
  return addresses;
}

}  // namespace proxy
