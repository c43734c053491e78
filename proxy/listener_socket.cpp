#include "proxy/listener_socket.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace proxy {

namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

base::Error error_at(const config::Address& address, const std::string& what) {
  return {config::text_of(address) + ": " + what};
}
base::Error errno_at(const config::Address& address) {
  return error_at(address, std::strerror(errno));
}

SocketAddress tcp_address(const config::Tcp& tcp) {
  SocketAddress out;
  const auto octets = tcp.address.octets();
  if (tcp.address.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(tcp.port);
    std::memcpy(&in.sin_addr, octets.data(), octets.size());
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(tcp.port);
    std::memcpy(&in.sin6_addr, octets.data(), octets.size());
    std::memcpy(&out.storage, &in, sizeof in);
    out.size = sizeof in;
  }
  return out;
}

std::optional<SocketAddress> unix_address(const config::Path& path) {
  sockaddr_un un{};
  un.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.empty() || text.size() >= sizeof un.sun_path) return std::nullopt;
  std::memcpy(un.sun_path, text.c_str(), text.size() + 1);
  SocketAddress out;
  std::memcpy(&out.storage, &un, sizeof un);
  out.size = sizeof un;
  return out;
}

bool is_bound_to(int fd, const config::Address& address) {
  SocketAddress have;
  have.size = sizeof have.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&have.storage), &have.size) != 0) return false;
  if (const auto* tcp = std::get_if<config::Tcp>(&address)) {
    const SocketAddress want = tcp_address(*tcp);
    if (have.storage.ss_family != want.storage.ss_family) return false;
    if (have.storage.ss_family == AF_INET) {
      sockaddr_in a{}, b{};
      std::memcpy(&a, &have.storage, sizeof a);
      std::memcpy(&b, &want.storage, sizeof b);
      return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
    }
    sockaddr_in6 a{}, b{};
    std::memcpy(&a, &have.storage, sizeof a);
    std::memcpy(&b, &want.storage, sizeof b);
    return a.sin6_port == b.sin6_port &&
           std::memcmp(&a.sin6_addr, &b.sin6_addr, sizeof a.sin6_addr) == 0;
  }
  if (have.storage.ss_family != AF_UNIX) return false;
  sockaddr_un un{};
  std::memcpy(&un, &have.storage, sizeof un);
  return std::get<config::Unix>(address).path == config::Path(un.sun_path);
}

// Whether a process answers behind the file of a Unix socket.
bool answers(const SocketAddress& address) {
  const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return true;  // Could not find out: leave the file alone.
  if (connect(probe.get(), address.get(), address.size) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

base::Result<void, base::Error> remove_stale(const config::Address& address,
                                             const config::Path& path,
                                             const SocketAddress& socket_address) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) {
    if (errno == ENOENT) return {};
    return base::fail(errno_at(address));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return base::fail(error_at(address, "there is a file of that name that is no socket"));
  }
  if (answers(socket_address)) {
    return base::fail(error_at(address, "another process answers at this socket"));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return base::fail(errno_at(address));
  return {};
}

base::Result<void, base::Error> set_access(const config::Address& address,
                                           const config::Path& path, std::uint32_t mode,
                                           const std::string& group) {
  if (!group.empty()) {
    errno = 0;
    const ::group* entry = getgrnam(group.c_str());
    if (entry == nullptr) return base::fail(error_at(address, "there is no group " + group));
    if (chown(path.c_str(), static_cast<uid_t>(-1), entry->gr_gid) != 0) {
      return base::fail(error_at(address, "group " + group + ": " + std::strerror(errno)));
    }
  }
  if (chmod(path.c_str(), mode) != 0) return base::fail(errno_at(address));
  return {};
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}
Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}
int Descriptor::release() { return std::exchange(fd_, -1); }

PassedSockets PassedSockets::from_systemd() {
  PassedSockets passed;
  const int count = sd_listen_fds(1);
  for (int i = 0; i < count; ++i) passed.descriptors_.emplace_back(SD_LISTEN_FDS_START + i);
  return passed;
}

std::optional<Descriptor> PassedSockets::take(const config::Address& address) {
  for (auto it = descriptors_.begin(); it != descriptors_.end(); ++it) {
    if (sd_is_socket(it->get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0) continue;
    if (!is_bound_to(it->get(), address)) continue;
    Descriptor found = std::move(*it);
    descriptors_.erase(it);
    return found;
  }
  return std::nullopt;
}

base::Result<ListenSocket, base::Error> ListenSocket::open(const config::Address& address,
                                                           std::optional<config::FileMode> mode,
                                                           const std::string& group,
                                                           PassedSockets& passed) {
  if (auto found = passed.take(address)) {
    return ListenSocket(std::move(*found), true, {});
  }
  const auto* local = std::get_if<config::Unix>(&address);
  SocketAddress where;
  if (local != nullptr) {
    auto made = unix_address(local->path);
    if (!made) return base::fail(error_at(address, "the path is too long for a socket"));
    where = *made;
    auto removed = remove_stale(address, local->path, where);
    if (!removed) return base::fail(removed.error());
  } else {
    where = tcp_address(std::get<config::Tcp>(address));
  }
  const int family = where.storage.ss_family;
  Descriptor fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return base::fail(errno_at(address));
  const int on = 1;
  if (family != AF_UNIX) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  // The file of a Unix socket is born with this mode: nobody connects before mode and group are
  // set.
  if (family == AF_UNIX) fchmod(fd.get(), 0600);
  if (bind(fd.get(), where.get(), where.size) != 0) return base::fail(errno_at(address));
  ListenSocket made(std::move(fd), false, local != nullptr ? local->path : config::Path());
  if (local != nullptr) {
    auto set = set_access(address, local->path, mode ? mode->bits : default_mode, group);
    if (!set) return base::fail(set.error());
  }
  if (::listen(made.fd(), SOMAXCONN) != 0) return base::fail(errno_at(address));
  return made;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      from_systemd_(other.from_systemd_),
      made_(std::exchange(other.made_, config::Path())) {}

ListenSocket::~ListenSocket() {
  if (!made_.empty()) unlink(made_.c_str());
}

std::uint16_t ListenSocket::port() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (getsockname(fd(), reinterpret_cast<sockaddr*>(&storage), &size) != 0) return 0;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return ntohs(in.sin_port);
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof in);
    return ntohs(in.sin6_port);
  }
  return 0;
}

}  // namespace proxy
