// Channel: its buffer, and what fills it.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "proxy/channel.h"
#include "proxy/channel_errors.h"

namespace proxy {

namespace {

constexpr int most_silent_records = 16;  // tickets and key updates of a peer that says nothing

// Room for a body, which sessions want for moments, one after another: kept for the next one.
constexpr std::size_t spare_octets = 16384;
thread_local std::unique_ptr<char[]> spare;

std::unique_ptr<char[]> room_of(std::size_t octets) {
  if (octets == spare_octets && spare) return std::move(spare);
  return std::unique_ptr<char[]>(new char[octets]);
}
void give_back(std::unique_ptr<char[]> room, std::size_t octets) {
  if (octets == spare_octets && !spare) spare = std::move(room);
}

// Whether a record was begun and not read to its end. Before 3.0.14 OpenSSL itself frees the
// buffers of one all the same (CVE-2024-4741).
bool holds_records(SSL* ssl) {
  return SSL_has_pending(ssl) == 1 || std::string_view(SSL_rstate_string(ssl)) == "RB";
}

}  // namespace

std::string_view Channel::buffered() const { return {buffer_.get() + start_, end_ - start_}; }

void Channel::consume(std::size_t octets) {
  start_ += octets;
  if (start_ >= end_) start_ = end_ = 0;
}

bool Channel::make_room(std::size_t limit, std::size_t room) {
  if (filled_ && end_ == 0 && capacity_ < limit) {  // A body: larger reads from now on.
    const std::size_t wanted = std::min(limit, capacity_ * 4);
    buffer_ = room_of(wanted);
    capacity_ = wanted;
    filled_ = false;
    return true;
  }
  if (end_ - start_ >= limit) return false;
  if (end_ == 0 && capacity_ < std::min(limit, room)) {
    buffer_ = room_of(std::min(limit, room));
    capacity_ = std::min(limit, room);
    return true;
  }
  if (end_ < capacity_) return true;
  if (start_ > 0) {
    std::memmove(buffer_.get(), buffer_.get() + start_, end_ - start_);
    end_ -= start_;
    start_ = 0;
    return true;
  }
  const std::size_t wanted = std::min(limit, capacity_ * 4);
  std::unique_ptr<char[]> larger = room_of(wanted);
  std::memcpy(larger.get(), buffer_.get(), end_);
  buffer_ = std::move(larger);
  capacity_ = wanted;
  return true;
}

std::span<char> Channel::free_room(std::size_t limit) {
  return {buffer_.get() + end_, std::min(capacity_ - end_, limit - (end_ - start_))};
}

// The reactor waits and reads at once. To wait for readiness alone would cost it a system call for
// each wait, and the one that found nothing before.
asio::awaitable<IoResult<std::size_t>> Channel::receive(std::span<char> room) {
  if (auto refused = not_to_wait()) {
    // At its deadline a channel still gives what is there.
    const ssize_t there = refused->kind != IoError::Kind::timeout
                              ? -1
                              : ::recv(socket_.native_handle(), room.data(), room.size(), 0);
    if (there > 0) co_return static_cast<std::size_t>(there);
    co_return base::fail(std::move(*refused));
  }
  arm();
  waiting_ = true;
  boost::system::error_code error;
  const auto into = asio::buffer(room.data(), room.size());
  auto token = asio::redirect_error(asio::use_awaitable, error);
  const std::size_t got = co_await socket_.async_receive(into, std::move(token));
  co_return received(error, got);
}

IoResult<std::size_t> Channel::received(const boost::system::error_code& error,
                                        std::size_t octets) {
  waiting_ = false;
  // What was read counts, whatever else has come meanwhile.
  if (!error) return octets;
  if (error == asio::error::eof) return base::fail(closed());
  if (error == asio::error::operation_aborted) return base::fail(after_wait(error));
  return base::fail(error_of(error.value()));
}

asio::awaitable<IoResult<void>> Channel::satisfy(Want want) {
  if (want == Want::write) {
    auto ready = co_await wait(want);
    co_return ready;
  }
  if (!tls_output_.is_empty()) {
    auto sent = co_await flush();
    if (!sent) co_return sent;
  }
  if (!tls_input_.empty()) {
    // A record that was no data: a peer with ever more of them leaves the thread to others.
    if (auto refused = not_to_wait()) co_return base::fail(std::move(*refused));
    co_await asio::post(socket_.get_executor(), asio::use_awaitable);
    co_return IoResult<void>();
  }
  auto got = co_await receive(tls_input_.room());
  if (got) {
    tls_input_.received(*got);
  } else if (got.error().kind == IoError::Kind::closed && socket_.is_open()) {
    tls_input_.end();  // Whether it may end here is for TLS to say.
  } else {
    co_return base::fail(std::move(got.error()));
  }
  co_return IoResult<void>();
}

asio::awaitable<IoResult<std::size_t>> Channel::fill(std::size_t limit, std::size_t room) {
  if (!make_room(limit, room)) {
    co_return base::fail(too_much());
  }
  const std::span<char> free = free_room(limit);
  IoResult<std::size_t> got = std::size_t{0};
  if (!ssl_ && !filled_) {
    got = co_await receive(free);
  } else {
    for (;;) {
      Want want = Want::read;
      got = try_read(free.data(), free.size(), want);
      if (!got || *got > 0) break;
      if (!ssl_) {
        got = co_await receive(free);
        break;
      }
      auto satisfied = co_await satisfy(want);
      if (!satisfied) co_return base::fail(std::move(satisfied.error()));
    }
  }
  if (!got) co_return got;
  filled_ = *got == free.size();
  end_ += *got;
  co_return got;
}

template <class Handler>
struct Channel::Filling {
  Channel& channel;
  const std::function<bool()>& more;
  std::size_t limit;
  std::size_t room;
  Handler done;
  std::size_t asked = 0;

  void operator()(const boost::system::error_code& error, std::size_t octets) {
    auto got = channel.received(error, octets);
    if (!got) return done(IoResult<void>(base::fail(std::move(got.error()))));
    channel.end_ += octets;
    channel.filled_ = octets == asked;
    bool again = false;
    try {
      again = more();
    } catch (const std::exception& thrown) {
      // Whoever waits for `done` must learn of the end.
      IoError failed{IoError::Kind::cancelled, thrown.what()};
      return done(IoResult<void>(base::fail(std::move(failed))));
    }
    if (again) return next();
    done(IoResult<void>());
  }

  void next() {
    if (channel.cancelled_) {
      return done(IoResult<void>(base::fail(channel.after_wait({}))));
    }
    if (!channel.make_room(limit, room)) {
      return done(IoResult<void>(base::fail(too_much())));
    }
    channel.arm();  // A deadline that has passed rings at once.
    channel.waiting_ = true;
    const std::span<char> into = channel.free_room(limit);
    asked = into.size();
    auto& socket = channel.socket_;
    socket.async_receive(asio::buffer(into.data(), asked), std::move(*this));
  }
};

asio::awaitable<IoResult<void>> Channel::fill_while(std::size_t limit, std::size_t room,
                                                    const std::function<bool()>& more) {
  if (auto refused = not_to_wait()) co_return base::fail(std::move(*refused));
  auto start = [&](auto&& done) {
    Filling<std::decay_t<decltype(done)>>{*this, more, limit, room, std::move(done)}.next();
  };
  auto filled = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(IoResult<void>)>(
      start, asio::use_awaitable);
  co_return filled;
}

IoResult<std::size_t> Channel::fill_now(std::size_t limit) {
  if (cancelled_) return base::fail(IoError{IoError::Kind::cancelled, "cancelled"});
  if (!make_room(limit, 1024)) {
    return base::fail(too_much());
  }
  const std::size_t room = free_room(limit).size();
  for (int records = 0; records < most_silent_records; ++records) {
    Want want = Want::read;
    auto got = try_read(buffer_.get() + end_, room, want);
    if (!got || *got > 0) {
      if (got) end_ += *got;
      filled_ = got && *got == room;
      return got;
    }
    if (!ssl_ || want == Want::write) return got;
    if (!tls_input_.empty()) continue;
    const std::span<char> into = tls_input_.room();
    const ssize_t more = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (more > 0) {
      tls_input_.received(static_cast<std::size_t>(more));
    } else if (more == 0) {
      tls_input_.end();
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return got;
    } else if (errno != EINTR) {
      return base::fail(error_of(errno));
    }
  }
  return std::size_t{0};
}

void Channel::when_readable(std::function<void()> then) {
  if (watched_ || !socket_.is_open()) return;
  (void)tls_output_.flush();  // what the peer may be waiting for
  watched_ = true;
  socket_.async_wait(Socket::wait_read, [self = self_, then = std::move(then)](
                                            const boost::system::error_code&) {
    if (*self == nullptr) return;
    (*self)->watched_ = false;
    then();
  });
}

bool Channel::holds_input() const {
  return ssl_ && (SSL_pending(ssl_.get()) > 0 || !tls_input_.empty());
}

asio::awaitable<IoResult<Channel::Line>> Channel::read_line(std::size_t limit) {
  std::size_t searched = 0;
  for (;;) {
    const std::string_view have = buffered();
    const std::size_t end = have.find('\n', searched);
    if (end != std::string_view::npos && end <= limit) {
      const bool crlf = end > 0 && have[end - 1] == '\r';
      Line line;
      line.text.assign(have.substr(0, crlf ? end - 1 : end));
      line.crlf = crlf;
      consume(end + 1);
      co_return line;
    }
    searched = have.size();
    if (searched > limit) {
      co_return base::fail(IoError{IoError::Kind::limit, "line too long"});
    }
    auto got = co_await fill(std::max(limit + 2, searched + 1));
    if (!got) co_return base::fail(std::move(got.error()));
  }
}

void Channel::release_buffer(std::size_t kept) {
  if (ssl_) {
    tls_input_.release();
    if (!holds_records(ssl_.get())) SSL_free_buffers(ssl_.get());
  }
  if (start_ != end_ || capacity_ <= kept) return;
  give_back(std::move(buffer_), capacity_);
  capacity_ = start_ = end_ = 0;
  filled_ = false;
}

asio::awaitable<void> Channel::wait_readable() {
  if (!tls_output_.is_empty()) {
    auto sent = co_await flush();
    if (!sent) co_return;
  }
  auto ready = co_await wait(Want::read);
  (void)ready;
}

bool Channel::has_pending_input() {
  if (!socket_.is_open()) return true;
  if (start_ != end_) return true;
  char octet = 0;
  if (ssl_) {
    if (SSL_pending(ssl_.get()) > 0) return true;
    // Session tickets may be waiting: reading them is no input of the peer's. One record a turn.
    for (int records = 0; records < most_silent_records; ++records) {
      if (tls_input_.empty()) {
        const std::span<char> room = tls_input_.room();
        const ssize_t more =
            ::recv(socket_.native_handle(), room.data(), room.size(), MSG_DONTWAIT);
        if (more < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (more <= 0) return true;
        tls_input_.received(static_cast<std::size_t>(more));
      }
      ERR_clear_error();
      const int n = SSL_peek(ssl_.get(), &octet, 1);
      if (n > 0) return true;
      const int why = SSL_get_error(ssl_.get(), n);
      ERR_clear_error();
      if (why != SSL_ERROR_WANT_READ) return true;
    }
    return true;
  }
  const ssize_t n = ::recv(socket_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT);
  return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

}  // namespace proxy
