// Listener: accepts the connections of one [[listen]] section and hands each on as a descriptor.
// At max_sessions it stops accepting until one ends; short of descriptors or memory it waits and
// tries again, so that clients queue in the kernel's backlog instead of being refused. Descriptors
// are left for what the sessions need: MX connections, DNS, logs. Lives on the home thread;
// session_ended() alone may be called from any. What is spoken is proxy/session.
#pragma once

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/ip.h"
#include "proxy/listener_socket.h"

namespace proxy {

// Who is at the other end of a connection.
struct Peer {
  std::optional<base::Ip> ip;  // none: a Unix socket, whose mode and group said who may connect
  std::uint16_t port = 0;
  std::string str() const;     // for logs
};

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // Takes over the descriptor; calls session_ended() when the session is over.
  using Handover = std::function<void(Descriptor connection, Peer peer)>;

  Listener(boost::asio::io_context& home, ListenSocket socket, std::uint32_t max_sessions,
           Handover handover);

  void start();
  // No more connections; the socket is closed, its backlog with it.
  void stop();
  void set_max_sessions(std::uint32_t max_sessions);
  void session_ended();

  std::uint32_t sessions() const { return sessions_.load(); }
  std::uint16_t port() const { return socket_ ? socket_->port() : 0; }

 private:
  static boost::asio::awaitable<void> run(std::shared_ptr<Listener> self);
  boost::asio::awaitable<void> accept_loop();
  enum class Outcome { accepted, none, later, gone };
  Outcome accept_one();
  Outcome run_short(int number);
  bool descriptors_left() const;
  boost::asio::awaitable<void> pause(std::chrono::milliseconds time);

  boost::asio::io_context& home_;
  std::optional<ListenSocket> socket_;
  boost::asio::posix::stream_descriptor watched_;  // a duplicate of the socket
  boost::asio::steady_timer wake_;
  std::atomic<std::uint32_t> max_sessions_;
  std::atomic<std::uint32_t> sessions_{0};
  Handover handover_;
  bool stopped_ = false;
  bool short_told_ = false;
};

}  // namespace proxy
