// Ip and Network: addresses of both families as values, without any I/O library. Text follows
// RFC 5952 (IPv6) and dotted decimal; IPv4-mapped IPv6 counts as IPv4 in every comparison with a
// network. Used for client limits, private destinations, MX addresses and the logs.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace base {

class Ip {
 public:
  static Ip v4(std::array<std::uint8_t, 4> octets);
  static Ip v6(std::array<std::uint8_t, 16> octets);
  // "192.0.2.1" or "2001:db8::1"; no brackets, no zone, no port.
  static Result<Ip, Error> parse(std::string_view text);

  bool is_v4() const { return v4_; }
  bool is_v6() const { return !v4_; }
  // 4 or 16 octets in network order.
  std::span<const std::uint8_t> octets() const { return {octets_.data(), v4_ ? 4U : 16U}; }
  // IPv4-mapped IPv6 (::ffff:0:0/96) as the IPv4 address it stands for; others as they are.
  Ip unmapped() const;
  std::string str() const;
  // RFC 5321 §4.1.3: "[192.0.2.1]" or "[IPv6:2001:db8::1]".
  std::string literal() const;

  auto operator<=>(const Ip&) const = default;

 private:
  bool v4_ = true;
  std::array<std::uint8_t, 16> octets_{};
};

class Network {
 public:
  // "10.0.0.0/8", "::1/128", or an address alone for just that one. Host bits must be zero.
  static Result<Network, Error> parse(std::string_view text);
  bool contains(const Ip& ip) const;
  std::string str() const;
  bool operator==(const Network&) const = default;

 private:
  Ip base_;
  int bits_ = 0;
};

bool any_contains(std::span<const Network> networks, const Ip& ip);

// Loopback, private, link-local, CGNAT, ULA, NAT64, multicast, unspecified, broadcast, reserved:
// addresses that no MX or policy host on the internet has. NAT64 and IPv4-mapped count whatever
// they embed.
bool is_private_destination(const Ip& ip);

}  // namespace base

template <>
struct std::hash<base::Ip> {
  std::size_t operator()(const base::Ip& ip) const noexcept {
    std::size_t h = 1469598103934665603ULL;
    for (auto o : ip.octets()) h = (h ^ o) * 1099511628211ULL;
    return h;
  }
};
