#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace base {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(std::span<const std::uint8_t> octets) {
  return octets.size() == 16 &&
         std::equal(mapped_prefix.begin(), mapped_prefix.end(), octets.begin());
}

bool same_prefix(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  const int rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (a[whole] & mask) == (b[whole] & mask);
}

std::vector<Network> parse_all(std::initializer_list<const char*> texts) {
  std::vector<Network> out;
  for (const char* text : texts) out.push_back(Network::parse(text).value());
  return out;
}

// RFC 6890 and its registries. Documentation and benchmarking prefixes are left out: they lead
// nowhere on the internet, and inside a test network they stand for the internet.
bool is_private_v4(const Ip& ip) {
  static const std::vector<Network> list = parse_all(
      {"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
       "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4"});
  return any_contains(list, ip);
}

// ::/96 holds the unspecified and the loopback address and the IPv4-compatible ones (RFC 4291
// §2.5.5.1); 64:ff9b::/96 and 64:ff9b:1::/48 are NAT64 (RFC 6052, RFC 8215).
bool is_private_v6(const Ip& ip) {
  static const std::vector<Network> list = parse_all(
      {"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "fc00::/7", "fe80::/9", "ff00::/8"});
  return any_contains(list, ip);
}

}  // namespace

Ip Ip::v4(std::array<std::uint8_t, 4> octets) {
  Ip ip;
  std::copy(octets.begin(), octets.end(), ip.octets_.begin());
  return ip;
}

Ip Ip::v6(std::array<std::uint8_t, 16> octets) {
  Ip ip;
  ip.v4_ = false;
  ip.octets_ = octets;
  return ip;
}

Result<Ip, Error> Ip::parse(std::string_view text) {
  // inet_pton reads a C string: what would end it early is refused first.
  if (text.size() > INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) {
    return fail("not an IP address");
  }
  const std::string copy(text);
  std::array<std::uint8_t, 4> four{};
  if (inet_pton(AF_INET, copy.c_str(), four.data()) == 1) return v4(four);
  std::array<std::uint8_t, 16> sixteen{};
  if (inet_pton(AF_INET6, copy.c_str(), sixteen.data()) == 1) return v6(sixteen);
  return fail("not an IP address");
}

Ip Ip::unmapped() const {
  if (v4_ || !is_mapped(octets_)) return *this;
  return v4({octets_[12], octets_[13], octets_[14], octets_[15]});
}

std::string Ip::str() const {
  if (v4_) {
    char text[INET_ADDRSTRLEN];
    char* end = text;
    for (std::size_t i = 0; i < 4; ++i) {
      if (i > 0) *end++ = '.';
      end = std::to_chars(end, text + sizeof text, octets_[i]).ptr;
    }
    return {text, end};
  }
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, octets_.data(), text, sizeof text);
  return text;
}

std::string Ip::literal() const { return (v4_ ? "[" : "[IPv6:") + str() + "]"; }

Result<Network, Error> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  auto ip = Ip::parse(text.substr(0, slash));
  if (!ip) return fail(ip.error());
  const int width = ip->is_v4() ? 32 : 128;
  int bits = width;
  if (slash != std::string_view::npos) {
    const std::string_view number = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bits);
    if (error != std::errc() || end != number.data() + number.size() || bits < 0 || bits > width) {
      return fail("not a prefix length");
    }
  }
  const auto octets = ip->octets();
  for (int bit = bits; bit < width; ++bit) {
    if (octets[static_cast<std::size_t>(bit / 8)] & (0x80 >> (bit % 8))) {
      return fail("host bits are set");
    }
  }
  Network network;
  network.base_ = *ip;
  network.bits_ = bits;
  if (is_mapped(octets) && bits >= 96) {
    network.base_ = ip->unmapped();
    network.bits_ = bits - 96;
  }
  return network;
}

bool Network::contains(const Ip& ip) const {
  const Ip plain = ip.unmapped();
  return plain.is_v4() == base_.is_v4() && same_prefix(plain.octets(), base_.octets(), bits_);
}

std::string Network::str() const { return base_.str() + "/" + std::to_string(bits_); }

bool any_contains(std::span<const Network> networks, const Ip& ip) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.contains(ip); });
}

bool is_private_destination(const Ip& ip) {
  if (ip.is_v4()) return is_private_v4(ip);
  if (is_mapped(ip.octets())) return true;
  const auto o = ip.octets();
  // RFC 3056 §2: 6to4 carries an IPv4 address in octets 2 to 5.
  if (o[0] == 0x20 && o[1] == 0x02) return is_private_v4(Ip::v4({o[2], o[3], o[4], o[5]}));
  return is_private_v6(ip);
}

}  // namespace base
