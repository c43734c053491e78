#include "proxy/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "tests/unit/proxy/run.h"

namespace asio = boost::asio;
using proxy::Channel;
using proxy::IoError;
using namespace std::chrono_literals;

namespace {

// A channel that is filled while it is told to, and the other end of its socket.
struct Filled {
  asio::io_context io{1};
  int other = -1;
  std::unique_ptr<Channel> channel;
  std::vector<std::string> seen;
  std::size_t wanted = 1000;  // fills
  std::optional<IoError> error;
  bool ended = false;

  Filled() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    other = ends[1];
    Channel::Socket socket(io);
    socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
    channel = std::make_unique<Channel>(std::move(socket));
  }
  ~Filled() {
    channel.reset();
    if (other >= 0) ::close(other);
  }
  void say(std::string_view text) {
    REQUIRE(::write(other, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    turn();
  }
  void turn() {
    io.restart();
    io.poll();
  }
  void begin(std::size_t limit = 100, std::size_t consumed = 100) {
    const auto more = [this, consumed] {
      seen.emplace_back(channel->buffered());
      channel->consume(std::min(consumed, channel->buffered().size()));
      return seen.size() < wanted;
    };
    asio::co_spawn(io, fill(*this, limit, more), asio::detached);
    turn();
  }
  static asio::awaitable<void> fill(Filled& at, std::size_t limit, std::function<bool()> more) {
    auto filled = co_await at.channel->fill_while(limit, 16, more);
    if (!filled) at.error = filled.error();
    at.ended = true;
  }
};

}  // namespace

TEST_CASE("a channel is filled while more is wanted, and no longer") {
  Filled at;
  at.wanted = 3;
  at.begin();
  CHECK(at.seen.empty());
  at.say("one");
  at.say("two");
  CHECK(at.seen == std::vector<std::string>{"one", "two"});
  CHECK_FALSE(at.ended);
  at.say("three");
  CHECK(at.seen.size() == 3);
  CHECK(at.ended);
  CHECK_FALSE(at.error);
  at.say("four");  // for who reads next
  CHECK(at.seen.size() == 3);
  const auto rest = at.channel->fill_now(100);
  REQUIRE(rest.has_value());
  CHECK(*rest == 4);
}

TEST_CASE("more than the room there was comes in turn, and nothing is lost") {
  Filled at;
  at.begin(4096, 4096);
  std::string all;
  for (int n = 0; n < 300; ++n) all += std::to_string(n) + ",";
  at.say(all);
  at.turn();
  std::string got;
  for (const std::string& one : at.seen) got += one;
  CHECK(got == all);
  CHECK(at.seen.size() > 1);
  CHECK_FALSE(at.ended);
}

TEST_CASE("what is not consumed is there the next time, up to the limit") {
  Filled at;
  at.begin(8, 0);
  at.say("abc");
  at.say("def");
  CHECK(at.seen == std::vector<std::string>{"abc", "abcdef"});
  at.say("ghi");
  REQUIRE(at.error);
  CHECK(at.error->kind == IoError::Kind::limit);
  CHECK(at.channel->buffered() == "abcdefgh");
}

TEST_CASE("filling ends with the peer, with a deadline, when it is cancelled") {
  Filled at;
  SECTION("the end, behind what came before it") {
    at.begin();
    REQUIRE(::write(at.other, "last", 4) == 4);
    ::close(at.other);
    at.other = -1;
    at.turn();
    at.turn();
    CHECK(at.seen == std::vector<std::string>{"last"});
    REQUIRE(at.error);
    CHECK(at.error->kind == IoError::Kind::closed);
  }
  SECTION("a deadline that was set before") {
    at.channel->set_deadline(std::chrono::steady_clock::now() + 20ms);
    at.begin();
    at.io.restart();
    at.io.run();
    REQUIRE(at.error);
    CHECK(at.error->kind == IoError::Kind::timeout);
  }
  SECTION("a deadline that `more` moved nearer") {
    at.channel->set_deadline(std::chrono::steady_clock::now() + 1h);
    const auto more = [&at] {
      at.channel->set_deadline(std::chrono::steady_clock::now() + 10ms);
      return true;
    };
    asio::co_spawn(at.io, Filled::fill(at, 100, more), asio::detached);
    at.turn();
    at.say("x");
    at.io.restart();
    at.io.run();
    REQUIRE(at.error);
    CHECK(at.error->kind == IoError::Kind::timeout);
  }
  SECTION("cancelled, while it waits and by `more`") {
    at.begin();
    at.channel->cancel();
    at.turn();
    REQUIRE(at.error);
    CHECK(at.error->kind == IoError::Kind::cancelled);
    Filled by_more;
    const auto more = [&by_more] {
      by_more.channel->cancel();
      return true;
    };
    asio::co_spawn(by_more.io, Filled::fill(by_more, 100, more), asio::detached);
    by_more.turn();
    by_more.say("x");
    REQUIRE(by_more.error);
    CHECK(by_more.error->kind == IoError::Kind::cancelled);
  }
  SECTION("its io_context, in the midst of it") {
    at.begin();
    CHECK_FALSE(at.ended);
  }
}
