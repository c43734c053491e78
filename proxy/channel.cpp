#include "proxy/channel.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

#include "proxy/channel_errors.h"

namespace proxy {

void SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

Channel::Channel(Socket socket)
    : socket_(std::move(socket)),
      timer_(socket_.get_executor()),
      self_(std::make_shared<Channel*>(this)) {
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  const int on = 1;  // Fails harmlessly on a Unix socket.
  ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Channel::~Channel() {
  *self_ = nullptr;
  if (socket_.is_open()) close();
}

void Channel::set_deadline(SteadyTime deadline) {
  deadline_ = deadline;
  if (waiting_) arm();
}

void Channel::arm() {
  if (deadline_ >= armed_ || deadline_ == SteadyTime::max()) return;
  armed_ = deadline_;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (error || *self == nullptr) return;  // Re-armed earlier, or gone.
    Channel& channel = **self;
    channel.armed_ = SteadyTime::max();
    if (!channel.waiting_) return;
    if (std::chrono::steady_clock::now() >= channel.deadline_) {
      boost::system::error_code ignored;
      channel.socket_.cancel(ignored);
    } else {
      channel.arm();
    }
  });
}

std::optional<IoError> Channel::not_to_wait() const {
  if (cancelled_) return IoError{IoError::Kind::cancelled, "cancelled"};
  if (!socket_.is_open()) return closed();
  if (std::chrono::steady_clock::now() >= deadline_) {
    return IoError{IoError::Kind::timeout, "timed out"};
  }
  return std::nullopt;
}

IoError Channel::after_wait(const boost::system::error_code& error) const {
  if (cancelled_) return IoError{IoError::Kind::cancelled, "cancelled"};
  if (error == asio::error::operation_aborted &&
      std::chrono::steady_clock::now() >= deadline_) {
    return IoError{IoError::Kind::timeout, "timed out"};
  }
  return IoError{IoError::Kind::cancelled, error.message()};
}

asio::awaitable<IoResult<void>> Channel::wait(Want want) {
  if (auto refused = not_to_wait()) co_return base::fail(std::move(*refused));
  arm();
  waiting_ = true;
  boost::system::error_code error;
  const auto which = want == Want::read ? Socket::wait_read : Socket::wait_write;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await socket_.async_wait(which, std::move(token));
  waiting_ = false;
  if (error || cancelled_) co_return base::fail(after_wait(error));
  co_return IoResult<void>();
}

IoResult<std::size_t> Channel::tls_outcome(int result, Want& want) {
  const int why = SSL_get_error(ssl_.get(), result);
  switch (why) {
    case SSL_ERROR_WANT_READ:
      want = Want::read;
      return std::size_t{0};
    case SSL_ERROR_WANT_WRITE:
      want = Want::write;
      return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      return base::fail(closed());
    case SSL_ERROR_SYSCALL: {
      const int number = errno;
      ERR_clear_error();
      return base::fail(number == 0 ? closed() : error_of(number));
    }
    default: {
      const unsigned long code = ERR_peek_error();
      if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        return base::fail(closed());
      }
      char text[256];
      ERR_error_string_n(code, text, sizeof text);
      const char* reason = ERR_reason_error_string(code);
      IoError error{IoError::Kind::tls, reason ? reason : text};
      ERR_clear_error();
      return base::fail(std::move(error));
    }
  }
}

IoResult<std::size_t> Channel::try_read(char* to, std::size_t size, Want& want) {
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int n = SSL_read(ssl_.get(), to, static_cast<int>(std::min<std::size_t>(size, 1 << 30)));
    if (n > 0) return static_cast<std::size_t>(n);
    return tls_outcome(n, want);
  }
  for (;;) {
    const ssize_t n = ::recv(socket_.native_handle(), to, size, 0);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) return base::fail(closed());
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      want = Want::read;
      return std::size_t{0};
    }
    return base::fail(error_of(errno));
  }
}

IoResult<std::size_t> Channel::try_write(const char* from, std::size_t size, Want& want) {
  if (ssl_) {
    ERR_clear_error();
    errno = 0;
    const int n =
        SSL_write(ssl_.get(), from, static_cast<int>(std::min<std::size_t>(size, 1 << 30)));
    if (n > 0) return static_cast<std::size_t>(n);
    return tls_outcome(n, want);
  }
  for (;;) {
    const ssize_t n = ::send(socket_.native_handle(), from, size, MSG_NOSIGNAL);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      want = Want::write;
      return std::size_t{0};
    }
    return base::fail(error_of(errno));
  }
}

IoResult<std::size_t> Channel::write_now(std::string_view octets) {
  if (!socket_.is_open()) return base::fail(closed());
  Want want = Want::write;
  return try_write(octets.data(), octets.size(), want);
}

asio::awaitable<IoResult<void>> Channel::write(std::string_view octets) {
  while (!octets.empty()) {
    if (!socket_.is_open()) co_return base::fail(closed());
    Want want = Want::write;
    auto sent = try_write(octets.data(), octets.size(), want);
    if (!sent) co_return base::fail(std::move(sent.error()));
    if (*sent > 0) {
      octets.remove_prefix(*sent);
      continue;
    }
    auto ready = co_await satisfy(want);
    if (!ready) co_return ready;
  }
  co_return IoResult<void>();
}

asio::awaitable<IoResult<void>> Channel::write(std::string_view first, std::string_view second) {
  if (!ssl_ && !first.empty() && !second.empty()) {
    // One segment where the socket takes it all.
    iovec parts[2] = {{const_cast<char*>(first.data()), first.size()},
                      {const_cast<char*>(second.data()), second.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    if (n > 0) {
      const std::size_t sent = static_cast<std::size_t>(n);
      const std::size_t of_first = std::min(sent, first.size());
      first.remove_prefix(of_first);
      second.remove_prefix(sent - of_first);
    }
  }
  if (!first.empty()) {
    auto written = co_await write(first);
    if (!written) co_return written;
  }
  auto written = co_await write(second);
  co_return written;
}

asio::awaitable<IoResult<void>> Channel::flush() {
  for (;;) {
    if (!socket_.is_open()) co_return base::fail(closed());
    if (tls_output_.flush()) break;
    if (errno != EAGAIN && errno != EWOULDBLOCK) co_return base::fail(error_of(errno));
    auto ready = co_await wait(Want::write);
    if (!ready) co_return ready;
  }
  co_return IoResult<void>();
}

asio::awaitable<IoResult<void>> Channel::handshake(SslPtr ssl, Next next) {
  if (start_ != end_) {
    co_return base::fail(IoError{
        IoError::Kind::tls, "octets in cleartext came behind the STARTTLS exchange (injection)"});
  }
  release_buffer();
  ssl_ = std::move(ssl);
  BIO* const input = tls_input_.make_bio();
  BIO* const output = tls_output_.make_bio(socket_.native_handle());
  SSL_set0_rbio(ssl_.get(), input);
  SSL_set0_wbio(ssl_.get(), output);
  if (input == nullptr || output == nullptr) {
    co_return base::fail(IoError{IoError::Kind::tls, "no memory"});
  }
  SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Else a peer that sends key updates or tickets without end would keep SSL_read() from returning,
  // and with it this thread and every deadline on it.
  SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);
  for (;;) {
    ERR_clear_error();
    errno = 0;
    if (next == Next::write) tls_output_.hold();
    const int n = SSL_do_handshake(ssl_.get());
    tls_output_.let_go();
    if (n == 1) co_return IoResult<void>();
    Want want = Want::read;
    auto outcome = tls_outcome(n, want);
    if (!outcome) {
      (void)tls_output_.flush();  // an alert that says why
      SSL_set_quiet_shutdown(ssl_.get(), 1);
      co_return base::fail(std::move(outcome.error()));
    }
    auto ready = co_await satisfy(want);
    if (!ready) {
      SSL_set_quiet_shutdown(ssl_.get(), 1);
      co_return ready;
    }
  }
}

void Channel::cancel() {
  cancelled_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

void Channel::close() {
  if (!socket_.is_open()) return;
  if (ssl_ && SSL_is_init_finished(ssl_.get()) && SSL_get_quiet_shutdown(ssl_.get()) == 0) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    (void)tls_output_.flush();
  }
  tls_output_.drop();
  boost::system::error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
}

void Channel::say_and_close(std::string_view octets) {
  if (!socket_.is_open()) return;
  Want want = Want::write;
  tls_output_.hold();  // close_notify goes with it
  auto ignored = try_write(octets.data(), octets.size(), want);
  (void)ignored;
  tls_output_.let_go();
  close();
}

void Channel::abort() {
  if (!socket_.is_open()) return;
  if (ssl_) SSL_set_quiet_shutdown(ssl_.get(), 1);
  const linger hard{1, 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  tls_output_.drop();
  boost::system::error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
}

bool Channel::is_open() const { return socket_.is_open(); }

}  // namespace proxy
