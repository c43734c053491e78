#include "proxy/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <optional>

#include "tests/unit/proxy/run.h"

namespace asio = boost::asio;
using proxy::Channel;
using proxy::IoError;
using namespace std::chrono_literals;

namespace {

// A channel and the other end of its socket, as a plain descriptor.
struct Pair {
  asio::io_context io{1};
  int other = -1;
  std::unique_ptr<Channel> channel;
  Pair() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    other = ends[1];
    Channel::Socket socket(io);
    socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
    channel = std::make_unique<Channel>(std::move(socket));
  }
  ~Pair() {
    channel.reset();
    if (other >= 0) ::close(other);
  }
  void say(std::string_view text) {
    REQUIRE(::write(other, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void hang_up() {
    ::close(other);
    other = -1;
  }
};

asio::awaitable<void> lines(Channel& channel, std::vector<Channel::Line>& got,
                            std::optional<IoError>& error, std::size_t limit) {
  for (;;) {
    auto line = co_await channel.read_line(limit);
    if (!line) {
      error = line.error();
      co_return;
    }
    got.push_back(std::move(*line));
  }
}

asio::awaitable<void> fill(Channel& channel, std::optional<IoError>& error,
                           std::size_t limit = 65536) {
  auto got = co_await channel.fill(limit);
  if (!got) error = got.error();
}

asio::awaitable<void> write(Channel& channel, std::string text, std::optional<IoError>& error) {
  auto sent = co_await channel.write(text);
  if (!sent) error = sent.error();
}

asio::awaitable<void> shake(Channel& channel, std::optional<IoError>& error) {
  proxy::SslPtr none;
  auto shaken = co_await channel.handshake(std::move(none));
  if (!shaken) error = shaken.error();
}

}  // namespace

TEST_CASE("lines end at LF; a CR before it is taken off and told") {
  Pair pair;
  pair.say("EHLO a\r\nNOOP\nrest");
  pair.hang_up();
  std::vector<Channel::Line> got;
  std::optional<IoError> error;
  run_to_end(pair.io, lines(*pair.channel, got, error, 100));
  REQUIRE(got.size() == 2);
  CHECK(got[0].text == "EHLO a");
  CHECK(got[0].crlf);
  CHECK(got[1].text == "NOOP");
  CHECK_FALSE(got[1].crlf);
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::closed);
}

TEST_CASE("a line over the limit is an error, not a longer buffer") {
  Pair pair;
  pair.say(std::string(5000, 'x'));
  std::vector<Channel::Line> got;
  std::optional<IoError> error;
  run_to_end(pair.io, lines(*pair.channel, got, error, 512));
  CHECK(got.empty());
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::limit);
}

TEST_CASE("a read ends at its deadline") {
  Pair pair;
  std::optional<IoError> error;
  pair.channel->set_deadline(std::chrono::steady_clock::now() + 20ms);
  run_to_end(pair.io, fill(*pair.channel, error));
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::timeout);
}

TEST_CASE("a deadline that was put off does not end the operation") {
  Pair pair;
  std::optional<IoError> first, second;
  pair.channel->set_deadline(std::chrono::steady_clock::now() + 10ms);
  asio::co_spawn(pair.io, fill(*pair.channel, first), [](std::exception_ptr) {});
  pair.io.run_one_for(1ms);
  pair.channel->set_deadline(std::chrono::steady_clock::now() + 10s);
  asio::steady_timer later(pair.io, 40ms);
  later.async_wait([&](const boost::system::error_code&) { pair.say("x"); });
  pair.io.run();
  CHECK_FALSE(first);
  CHECK(pair.channel->buffered() == "x");
}

TEST_CASE("a read: octets, deadline, the end, cancel, the limit") {
  Pair pair;
  std::optional<IoError> error;
  pair.channel->set_deadline(proxy::SteadyTime::max());
  asio::co_spawn(pair.io, fill(*pair.channel, error), [](std::exception_ptr) {});
  pair.io.run_one_for(1ms);
  pair.say("ab");
  pair.io.run();
  CHECK_FALSE(error);
  CHECK(pair.channel->buffered() == "ab");
  pair.io.restart();
  pair.say("c");
  run_to_end(pair.io, fill(*pair.channel, error));
  CHECK_FALSE(error);
  CHECK(pair.channel->buffered() == "abc");
  run_to_end(pair.io, fill(*pair.channel, error, 3));
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::limit);
  pair.channel->set_deadline(std::chrono::steady_clock::now() + 20ms);
  run_to_end(pair.io, fill(*pair.channel, error));
  CHECK(error->kind == IoError::Kind::timeout);
  pair.channel->set_deadline(proxy::SteadyTime::max());
  asio::co_spawn(pair.io, fill(*pair.channel, error), [](std::exception_ptr) {});
  pair.io.restart();
  pair.io.run_one_for(1ms);
  pair.hang_up();
  pair.io.run();
  CHECK(error->kind == IoError::Kind::closed);
  pair.channel->cancel();
  run_to_end(pair.io, fill(*pair.channel, error));
  CHECK(error->kind == IoError::Kind::cancelled);
}

TEST_CASE("a write that nobody reads ends at its deadline; cancel ends it at once") {
  Pair pair;
  std::optional<IoError> error;
  pair.channel->set_deadline(std::chrono::steady_clock::now() + 20ms);
  run_to_end(pair.io, write(*pair.channel, std::string(10 << 20, 'x'), error));
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::timeout);

  Pair other;
  std::optional<IoError> cancelled;
  asio::co_spawn(other.io, write(*other.channel, std::string(10 << 20, 'x'), cancelled),
                 [](std::exception_ptr) {});
  asio::steady_timer later(other.io, 10ms);
  later.async_wait([&](const boost::system::error_code&) { other.channel->cancel(); });
  other.io.run();
  REQUIRE(cancelled);
  CHECK(cancelled->kind == IoError::Kind::cancelled);
}

TEST_CASE("CVE-2011-0411: a handshake over octets that came in cleartext is refused") {
  Pair pair;
  pair.say("220 go\r\n250 injected\r\n");
  std::optional<IoError> error;
  run_to_end(pair.io, fill(*pair.channel, error));
  pair.channel->consume(8);
  run_to_end(pair.io, shake(*pair.channel, error));
  REQUIRE(error);
  CHECK(error->kind == IoError::Kind::tls);
  CHECK(error->text.find("injection") != std::string::npos);
}

TEST_CASE("an idle connection that speaks or closes is noticed") {
  Pair pair;
  CHECK_FALSE(pair.channel->has_pending_input());
  pair.say("421 bye\r\n");
  CHECK(pair.channel->has_pending_input());
  Pair closed;
  closed.hang_up();
  CHECK(closed.channel->has_pending_input());
}

TEST_CASE("what has come is taken without waiting: octets, the limit, the end, cancelled") {
  Pair pair;
  auto got = pair.channel->fill_now(8);
  REQUIRE(got.has_value());
  CHECK(*got == 0);
  pair.say("abcde");
  got = pair.channel->fill_now(8);
  REQUIRE(got.has_value());
  CHECK(*got == 5);
  pair.say("fghij");
  got = pair.channel->fill_now(8);
  REQUIRE(got.has_value());
  CHECK(*got == 3);
  CHECK(pair.channel->buffered() == "abcdefgh");
  got = pair.channel->fill_now(8);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == IoError::Kind::limit);
  pair.channel->consume(8);
  got = pair.channel->fill_now(8);
  REQUIRE(got.has_value());
  CHECK(pair.channel->buffered() == "ij");
  pair.hang_up();
  got = pair.channel->fill_now(8);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == IoError::Kind::closed);
  pair.channel->cancel();
  got = pair.channel->fill_now(8);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == IoError::Kind::cancelled);
}

TEST_CASE("readiness is told once for each time it was asked for, beside a read and at the end") {
  Pair pair;
  int told = 0;
  const auto count = [&told] { ++told; };
  pair.channel->when_readable(count);
  pair.channel->when_readable(count);  // one is to come: nothing more
  pair.io.poll();
  CHECK(told == 0);
  pair.say("x");
  pair.io.restart();
  pair.io.run();
  CHECK(told == 1);
  pair.channel->when_readable(count);  // nobody has read it
  pair.io.restart();
  pair.io.run();
  CHECK(told == 2);
  const auto taken = pair.channel->fill_now(8);
  REQUIRE(taken.has_value());
  CHECK(*taken == 1);

  SECTION("a read that is begun behind it gets its octets") {
    pair.channel->when_readable(count);
    std::optional<IoError> error;
    asio::co_spawn(pair.io, fill(*pair.channel, error, 8), asio::detached);
    pair.io.restart();
    pair.io.poll();
    pair.say("y");
    pair.io.restart();
    pair.io.run();
    CHECK(told == 3);
    CHECK_FALSE(error);
    CHECK(pair.channel->buffered() == "xy");
  }
  SECTION("the end is told") {
    pair.channel->when_readable(count);
    pair.hang_up();
    pair.io.restart();
    pair.io.run();
    CHECK(told == 3);
  }
  SECTION("cancelling is told") {
    pair.channel->when_readable(count);
    pair.channel->cancel();
    pair.io.restart();
    pair.io.run();
    CHECK(told == 3);
  }
  SECTION("a channel that is gone tells nobody") {
    pair.channel->when_readable(count);
    pair.channel.reset();
    pair.io.restart();
    pair.io.run();
    CHECK(told == 2);
  }
}
