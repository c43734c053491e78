#include "proxy/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds shortage_pause{200};
constexpr std::chrono::milliseconds full_pause{60000};  // Woken earlier by session_ended().
constexpr int accepts_at_once = 64;
constexpr rlim_t descriptor_reserve = 1024;  // Half of them where there are few.

Peer peer_of(const sockaddr_storage& storage) {
  Peer peer;
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    std::array<std::uint8_t, 4> octets{};
    std::memcpy(octets.data(), &in.sin_addr, octets.size());
    peer.ip = base::Ip::v4(octets);
    peer.port = ntohs(in.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, &storage, sizeof in);
    std::array<std::uint8_t, 16> octets{};
    std::memcpy(octets.data(), &in.sin6_addr, octets.size());
    peer.ip = base::Ip::v6(octets).unmapped();
    peer.port = ntohs(in.sin6_port);
  }
  return peer;
}

}  // namespace

std::string Peer::str() const {
  if (!ip) return "the Unix socket";
  const std::string host = ip->is_v4() ? ip->str() : "[" + ip->str() + "]";
  return host + ":" + std::to_string(port);
}

Listener::Listener(asio::io_context& home, ListenSocket socket, std::uint32_t max_sessions,
                   Handover handover)
    : home_(home),
      socket_(std::move(socket)),
      watched_(home, ::dup(socket_->fd())),
      wake_(home),
      max_sessions_(max_sessions),
      handover_(std::move(handover)) {
  // A socket from systemd may be blocking.
  boost::system::error_code ignored;
  watched_.native_non_blocking(true, ignored);
}

void Listener::start() { asio::co_spawn(home_, run(shared_from_this()), asio::detached); }

void Listener::stop() {
  stopped_ = true;
  boost::system::error_code ignored;
  watched_.close(ignored);
  wake_.cancel();
  socket_.reset();
}

void Listener::set_max_sessions(std::uint32_t max_sessions) {
  max_sessions_ = max_sessions;
  wake_.cancel();
}

void Listener::session_ended() {
  if (sessions_.fetch_sub(1) >= max_sessions_.load()) {
    asio::post(home_, [self = shared_from_this()] { self->wake_.cancel(); });
  }
}

asio::awaitable<void> Listener::run(std::shared_ptr<Listener> self) {
  try {
    co_await self->accept_loop();
  } catch (const std::exception& error) {
    base::log_error("", std::string("listener stopped by an internal error: ") + error.what());
  }
}

asio::awaitable<void> Listener::accept_loop() {
  while (!stopped_) {
    if (sessions_ >= max_sessions_) {
      co_await pause(full_pause);
      continue;
    }
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await watched_.async_wait(asio::posix::stream_descriptor::wait_read, std::move(token));
    for (int i = 0; i < accepts_at_once && !stopped_ && sessions_ < max_sessions_; ++i) {
      const Outcome outcome = accept_one();
      if (outcome == Outcome::none) break;
      if (outcome == Outcome::later) {
        co_await pause(shortage_pause);
        break;
      }
    }
  }
}

// Whether a connection taken now leaves enough of them: the kernel gives out the lowest number.
bool Listener::descriptors_left() const {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
  const Descriptor next(::fcntl(socket_->fd(), F_DUPFD_CLOEXEC, 0));
  if (next.get() < 0) return false;
  const rlim_t reserve = std::min<rlim_t>(limit.rlim_cur / 2, descriptor_reserve);
  return static_cast<rlim_t>(next.get()) < limit.rlim_cur - reserve;
}

Listener::Outcome Listener::run_short(int number) {
  if (!short_told_) {
    base::log_warn("", std::string("not accepting for the moment: ") + std::strerror(number));
  }
  short_told_ = true;
  return Outcome::later;
}

Listener::Outcome Listener::accept_one() {
  if (!descriptors_left()) return run_short(EMFILE);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  Descriptor connection(::accept4(watched_.native_handle(), reinterpret_cast<sockaddr*>(&storage),
                                  &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (connection.get() >= 0) {
    short_told_ = false;
    ++sessions_;
    handover_(std::move(connection), peer_of(storage));
    return Outcome::accepted;
  }
  switch (errno) {
    case EAGAIN:
      return Outcome::none;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return run_short(errno);
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
      base::log_error("", std::string("accept: ") + std::strerror(errno));
      return Outcome::later;
    default:
      return Outcome::gone;  // accept(2): the connection's own error; the next one may be fine.
  }
}

asio::awaitable<void> Listener::pause(std::chrono::milliseconds time) {
  wake_.expires_after(time);
  // Looked at after the timer is set: a session that ends now either is seen here or cancels it.
  boost::system::error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await wake_.async_wait(std::move(token));
}

}  // namespace proxy
