// Messages whose sizes and dots lie at the borders of the pieces that go to the MX: small ones wait
// to go out with their dot, larger ones go in pieces of 16 KiB. What arrives is, octet for octet,
// what the client sent; and what the MX says in between counts.
#include <catch2/catch.hpp>
#include <random>

#include "session_world.h"

namespace {

using session_world::Acceptor;
using session_world::Line;
using session_world::PlainResolver;
using session_world::Relay;

constexpr std::size_t piece = 16384;
using Random = std::mt19937;

// One MX; takes each message, or says something else to its DATA.
class Mx {
 public:
  Mx() : thread_([this] { serve(); }) {}
  ~Mx() {
    acceptor_.close();
    thread_.join();
  }
  std::uint16_t port() const { return acceptor_.port(); }
  // Behind its 354, before anything else.
  void at_once(std::string text) {
    const std::lock_guard held(lock_);
    at_once_ = std::move(text);
  }
  std::string last() const {
    const std::lock_guard held(lock_);
    return last_;
  }
  int dots() const { return dots_; }

 private:
  void serve() {
    while (auto line = acceptor_.accept()) converse(*line);
  }
  void converse(Line& line) {
    line.send("220 mx.test ESMTP\r\n");
    while (const auto command = line.read()) {
      if (*command == "DATA") {
        if (!take(line)) return;
      } else if (*command == "QUIT") {
        line.send("221 2.0.0 bye\r\n");
        return;
      } else {
        line.send("250 2.0.0 ok\r\n");
      }
    }
  }
  bool take(Line& line) {
    std::string early;
    {
      const std::lock_guard held(lock_);
      early = at_once_;
    }
    line.send("354 go on\r\n" + early);
    std::string message;
    for (;;) {
      const auto got = line.read();
      if (!got) return false;
      if (*got == ".") break;
      message += *got + "\r\n";
    }
    ++dots_;
    const std::lock_guard held(lock_);
    last_ = std::move(message);
    return line.send("250 2.0.0 queued\r\n");
  }
  Acceptor acceptor_{"127.0.0.1", 0};
  mutable std::mutex lock_;
  std::string at_once_;
  std::string last_;
  std::atomic<int> dots_{0};
  std::thread thread_;
};

struct World {
  Mx mx;
  PlainResolver resolver;
  std::unique_ptr<Relay> relay;
  std::optional<Line> client;

  explicit World(bool received = false) {
    auto config = session_world::test_config(config::Protocol::Smtp, mx.port());
    config.outbound.add_received = received;
    resolver.add("recv.example", "127.0.0.1");
    relay = std::make_unique<Relay>(std::make_shared<const config::Config>(config), resolver);
    client.emplace(Line::connect(relay->port()));
    REQUIRE(client->read_reply()->code == 220);
    command("EHLO client.test", 250);
  }
  void command(const std::string& line, int code) {
    REQUIRE(client->send(line + "\r\n"));
    const auto reply = client->read_reply();
    REQUIRE(reply);
    REQUIRE(reply->code == code);
  }
  void begin() {
    command("MAIL FROM:<a@client.test>", 250);
    command("RCPT TO:<b@recv.example>", 250);
    command("DATA", 354);
  }
  // Behind the dot. In pieces of the client's own.
  int send(const std::string& wire, Random& random) {
    begin();
    const std::string all = wire + ".\r\n";
    std::string_view left = all;
    while (!left.empty()) {
      std::size_t size = left.size();
      if (random() % 2 == 0) size = 1 + random() % size;
      REQUIRE(client->send(std::string(left.substr(0, size))));
      left.remove_prefix(size);
    }
    const auto reply = client->read_reply();
    REQUIRE(reply);
    return reply->code;
  }
};

// So many octets, dots stuffed; a line of nothing but a dot begins at `dot`, where that is within.
std::string wire_of(std::size_t size, std::size_t dot, Random& random) {
  std::string out;
  while (out.size() < size) {
    if (out.size() == dot) {
      out += "..\r\n";
      continue;
    }
    const std::size_t to = dot > out.size() && dot <= size ? dot : size;
    std::size_t line = std::min<std::size_t>(to - out.size(), 2 + random() % 90);
    if (to - out.size() - line == 1) ++line;  // no room for its CRLF
    const std::string stuffed = line > 5 && random() % 4 == 0 ? "..x" : "";
    out += stuffed + std::string(line - 2 - stuffed.size(), 'y') + "\r\n";
  }
  return out;
}

}  // namespace

TEST_CASE("RFC 5321 §4.5.2: messages of every size around a piece arrive octet for octet") {
  World world;
  Random random(11);
  std::vector<std::size_t> sizes{0, 2, 3, 4, 5, 100};
  for (const std::size_t border : {piece, 2 * piece, 4 * piece}) {
    for (std::size_t size = border - 5; size <= border + 4; ++size) sizes.push_back(size);
  }
  for (const std::size_t size : sizes) {
    const std::string wire = wire_of(size, size + 1, random);
    REQUIRE(wire.size() == size);
    INFO(size << " octets");
    CHECK(world.send(wire, random) == 250);
    CHECK(world.mx.last() == wire);
  }
  CHECK(world.mx.dots() == static_cast<int>(sizes.size()));
}

TEST_CASE("RFC 5321 §4.5.2: a line of a dot at and across a piece's border ends nothing") {
  World world;
  Random random(12);
  for (const std::size_t border : {piece, 2 * piece}) {
    for (std::size_t dot = border - 6; dot <= border + 2; ++dot) {
      for (const std::size_t size : {dot + 4, dot + 4 + 300}) {
        const std::string wire = wire_of(size, dot, random);
        REQUIRE(wire.substr(dot, 4) == "..\r\n");
        INFO("a dot at " << dot << " of " << size);
        CHECK(world.send(wire, random) == 250);
        CHECK(world.mx.last() == wire);
      }
    }
  }
}

TEST_CASE("with a Received field in front, too") {
  World world(true);
  Random random(13);
  for (std::size_t size = piece - 400; size <= piece + 10; size += 13) {
    const std::string wire = wire_of(size, size + 1, random);
    CHECK(world.send(wire, random) == 250);
    const std::string got = world.mx.last();
    CHECK(got.starts_with("Received: from client.test"));
    CHECK(got.ends_with("\r\n" + wire));
  }
}

TEST_CASE("RFC 5321 §3.3: an MX that refuses before it has the message never gets its dot") {
  World world;
  Random random(14);
  world.mx.at_once("552 5.2.2 mailbox full\r\n");
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, piece}) {
    CHECK(world.send(wire_of(size, size + 1, random), random) == 552);
  }
  world.mx.at_once("421 4.3.2 going down\r\n");
  CHECK(world.send("x\r\n", random) == 451);
  world.mx.at_once("250 2.0.0 taken already\r\n");  // What was not asked counts for nothing.
  CHECK(world.send("x\r\n", random) == 451);
  CHECK(world.mx.dots() == 0);
  world.mx.at_once("");
  CHECK(world.send("x\r\n", random) == 250);
  CHECK(world.mx.dots() == 1);
}

TEST_CASE("a client that goes before its dot leaves nothing with the MX, held or not") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, piece, 3 * piece}) {
    World world;
    Random random(15);
    world.begin();
    REQUIRE(world.client->send(wire_of(size, size + 1, random) + "."));
    world.client->close();
    CHECK(world.relay->wait_idle());
    CHECK(world.mx.dots() == 0);
  }
}
