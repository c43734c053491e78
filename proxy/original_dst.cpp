#include "proxy/original_dst.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace proxy {

namespace {

// <linux/netfilter_ipv4.h> and <linux/netfilter_ipv6/ip6_tables.h>, which do not go together with
// <netinet/in.h> everywhere.
constexpr int so_original_dst = 80;
constexpr int ip6t_so_original_dst = 80;

using Octets = std::array<std::uint8_t, sizeof(sockaddr_storage)>;

std::optional<config::Tcp> ask(int fd, int level, int option) {
  Octets octets{};
  // Exactly what the kernel writes: it refuses a buffer that is too short.
  socklen_t size = level == IPPROTO_IP ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (::getsockopt(fd, level, option, octets.data(), &size) != 0) return std::nullopt;
  return read_sockaddr(std::span(octets).first(size));
}

std::optional<config::Tcp> local_end(int fd) {
  Octets octets{};
  socklen_t size = octets.size();
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(octets.data()), &size) != 0) {
    return std::nullopt;
  }
  return read_sockaddr(std::span(octets).first(std::min<std::size_t>(size, octets.size())));
}

std::string text_of(const config::Tcp& tcp) { return config::text_of(config::Address(tcp)); }

}  // namespace

std::optional<config::Tcp> read_sockaddr(std::span<const std::uint8_t> octets) {
  sa_family_t family = AF_UNSPEC;
  if (octets.size() < sizeof family) return std::nullopt;
  std::memcpy(&family, octets.data(), sizeof family);
  config::Tcp tcp;
  if (family == AF_INET && octets.size() >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, octets.data(), sizeof in);
    std::array<std::uint8_t, 4> address{};
    std::memcpy(address.data(), &in.sin_addr, address.size());
    tcp.address = base::Ip::v4(address);
    tcp.port = ntohs(in.sin_port);
    return tcp;
  }
  if (family == AF_INET6 && octets.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 in{};
    std::memcpy(&in, octets.data(), sizeof in);
    std::array<std::uint8_t, 16> address{};
    std::memcpy(address.data(), &in.sin6_addr, address.size());
    tcp.address = base::Ip::v6(address).unmapped();
    tcp.port = ntohs(in.sin6_port);
    return tcp;
  }
  return std::nullopt;
}

base::Result<config::Tcp, base::Error> original_destination(
    const std::optional<config::Tcp>& original, const config::Tcp& local) {
  if (!original) {
    return base::fail("the firewall knows nothing of a connection to " + text_of(local) +
                      ": it was not redirected here, or another program's rule did it");
  }
  if (*original == local) {
    return base::fail("the connection was made to " + text_of(local) +
                      " itself: only the firewall's redirect rule may lead to a transparent "
                      "listener");
  }
  if (original->port == 0) return base::fail("the firewall names no port that was dialled");
  return *original;
}

base::Result<config::Tcp, base::Error> original_destination(int fd) {
  const auto local = local_end(fd);
  if (!local) return base::fail("a transparent listener takes connections over TCP alone");
  // A socket of both families that carries IPv4 is asked as IPv4: its conntrack entry is that.
  const bool v4 = local->address.is_v4();
  const auto original = v4 ? ask(fd, IPPROTO_IP, so_original_dst)
                           : ask(fd, IPPROTO_IPV6, ip6t_so_original_dst);
  return original_destination(original, *local);
}

}  // namespace proxy
