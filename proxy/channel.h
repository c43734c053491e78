// Channel: one non-blocking stream socket (TCP or Unix), in cleartext or under TLS, with a bounded
// read buffer and one lazily re-armed deadline. TLS writes to the socket itself (proxy/tls_output),
// so no octet of a message is copied on the way out; what arrives goes through proxy/tls_input.
// Lives on one thread. It knows nothing of SMTP; the session (towards the MTA) and
// proxy/mx_connection (towards an MX) speak over it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "proxy/tls_input.h"
#include "proxy/tls_output.h"

struct ssl_st;

namespace proxy {

namespace asio = boost::asio;
using Executor = asio::any_io_executor;
using SteadyTime = std::chrono::steady_clock::time_point;

struct IoError {
  enum class Kind { closed, timeout, reset, tls, limit, cancelled };
  Kind kind = Kind::closed;
  std::string text;  // in words: "connection reset by peer"
};
template <class T>
using IoResult = base::Result<T, IoError>;

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
using SslPtr = std::unique_ptr<ssl_st, SslFree>;

class Channel {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  // Takes an open, connected socket and makes it non-blocking (TCP_NODELAY where it is TCP).
  explicit Channel(Socket socket);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Every operation ends with IoError timeout once this moment has passed; it stands until the
  // next call. Cheap: the timer is re-armed only when it must ring earlier.
  void set_deadline(SteadyTime deadline);
  SteadyTime deadline() const { return deadline_; }

  // ---- reading: octets that have arrived and were not consumed yet.
  std::string_view buffered() const;
  void consume(std::size_t octets);
  // Reads once more behind what is buffered, up to `limit` octets in the buffer altogether
  // (IoError limit when it is full). Returns the number of new octets, never 0. An empty buffer
  // is given `room` octets, more only once those were not enough.
  asio::awaitable<IoResult<std::size_t>> fill(std::size_t limit = 65536,
                                              std::size_t room = 1024);
  // fill() again and again for as long as `more`, called behind each, says so: IoError, or that it
  // said no. In cleartext only. Nothing is resumed between two fills, which is what questions that
  // are answered at once, by the hundred thousand, would spend most on.
  asio::awaitable<IoResult<void>> fill_while(std::size_t limit, std::size_t room,
                                             const std::function<bool()>& more);
  // One line without its end, consumed; LF ends it, a CR before is taken off and `crlf` says so.
  // IoError limit: over `limit` octets without an end.
  struct Line {
    std::string text;
    bool crlf = true;
  };
  asio::awaitable<IoResult<Line>> read_line(std::size_t limit);
  // Frees the buffers when they are empty and larger than `kept` octets; those of TLS when empty.
  void release_buffer(std::size_t kept = 0);
  // The same without waiting: 0 where nothing has come.
  IoResult<std::size_t> fill_now(std::size_t limit);
  // Calls `then` when the peer sends something or closes, or the waits are cancelled. One call at a
  // time: while one is to come this does nothing. It stays to come over reads of other kinds.
  void when_readable(std::function<void()> then);
  // Whether something came that no further arrival will tell of: more of TLS than was read.
  bool holds_input() const;
  // Waits until the peer sends something or closes, without reading; for idle connections.
  asio::awaitable<void> wait_readable();
  // For a connection that should be silent: whether the peer sent or closed.
  bool has_pending_input();

  // ---- writing: all of it, or an error.
  asio::awaitable<IoResult<void>> write(std::string_view octets);
  asio::awaitable<IoResult<void>> write(std::string_view first, std::string_view second);
  // As many as can be sent at once, perhaps none: what is left is for write(). No coroutine, for
  // short answers by the hundred thousand.
  IoResult<std::size_t> write_now(std::string_view octets);

  // ---- TLS. `ssl` is set up by the caller (client or server state); the channel binds it to the
  // socket and owns it from then on. Buffered plaintext is an error: IoError tls, nothing started
  // (response or command injection, CVE-2011-0411). `Next::write`, of a client that is the next to
  // speak: the last flight goes out in one segment with what is written next, at the latest when
  // the channel waits for the peer or closes.
  enum class Next { any, write };
  asio::awaitable<IoResult<void>> handshake(SslPtr ssl, Next next = Next::any);
  ssl_st* ssl() const { return ssl_.get(); }
  bool is_tls() const { return ssl_ != nullptr; }

  // Ends every operation under way with IoError cancelled, from the same thread.
  void cancel();
  // Sends close_notify if TLS, without waiting, and closes.
  void close();
  // Sends a last word if it can be sent at once, then closes.
  void say_and_close(std::string_view octets);
  // Closes with RST where the platform can: the peer must not take what it has for complete.
  void abort();
  bool is_open() const;
  Socket& socket() { return socket_; }
  Executor executor() { return socket_.get_executor(); }

 private:
  enum class Want { read, write };
  template <class Handler>
  struct Filling;
  std::span<char> free_room(std::size_t limit);
  IoResult<std::size_t> received(const boost::system::error_code& error, std::size_t octets);
  asio::awaitable<IoResult<void>> wait(Want want);
  // What arrives next, at least one octet.
  asio::awaitable<IoResult<std::size_t>> receive(std::span<char> room);
  // So that TLS can go on: what it waits for has arrived, or can be sent.
  asio::awaitable<IoResult<void>> satisfy(Want want);
  // What TLS has kept goes out.
  asio::awaitable<IoResult<void>> flush();
  std::optional<IoError> not_to_wait() const;
  IoError after_wait(const boost::system::error_code& error) const;
  void arm();
  IoResult<std::size_t> tls_outcome(int result, Want& want);
  bool make_room(std::size_t limit, std::size_t room);
  // One attempt: octets moved, or 0 with `want` set, or an error.
  IoResult<std::size_t> try_read(char* to, std::size_t size, Want& want);
  IoResult<std::size_t> try_write(const char* from, std::size_t size, Want& want);

  Socket socket_;
  TlsInput tls_input_;
  TlsOutput tls_output_;
  SslPtr ssl_;  // reads from and writes to those above
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t start_ = 0;  // of what is not consumed
  std::size_t end_ = 0;
  bool filled_ = false;    // the last read took all the room there was: more is to come
  asio::steady_timer timer_;
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime armed_ = SteadyTime::max();
  std::shared_ptr<Channel*> self_;  // null once destroyed: the timer's handler looks there
  bool waiting_ = false;
  bool watched_ = false;  // when_readable() has a call to make
  bool cancelled_ = false;
};

}  // namespace proxy
