// The channel under TLS with a real OpenSSL peer whose octets arrive in pieces of any size, cut at
// each octet, ended and changed at each: what was said arrives, in order and nothing else.
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "proxy/channel.h"

namespace asio = boost::asio;
using proxy::Channel;
using proxy::IoError;
using namespace std::chrono_literals;

namespace {

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextFree>;
using Random = std::mt19937;

std::size_t up_to(Random& random, std::size_t most) {
  return std::uniform_int_distribution<std::size_t>(0, most)(random);
}

Context make_context(bool server, int version) {
  Context context(SSL_CTX_new(TLS_method()));
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
  if (!server) return context;
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX_use_certificate(context.get(), certificate);
  SSL_CTX_use_PrivateKey(context.get(), key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

// Contexts of both sides, made once: a key costs more than a handshake.
SSL_CTX* context_of(bool server, int version) {
  static const std::array<Context, 4> made{
      make_context(false, TLS1_2_VERSION), make_context(true, TLS1_2_VERSION),
      make_context(false, TLS1_3_VERSION), make_context(true, TLS1_3_VERSION)};
  return made[(version == TLS1_3_VERSION ? 2 : 0) + (server ? 1 : 0)].get();
}

// What the peer is: server or client, by one version of TLS.
struct Side {
  bool server = true;
  int version = TLS1_3_VERSION;
};
constexpr std::array<Side, 4> sides{{{true, TLS1_3_VERSION},
                                     {false, TLS1_3_VERSION},
                                     {true, TLS1_2_VERSION},
                                     {false, TLS1_2_VERSION}}};

// A channel, and its peer, whose octets go into the socket by hand.
class World {
 public:
  explicit World(Side side, unsigned seed = 1) : side_(side), random(seed) {
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()) == 0);
    Channel::Socket socket(io_);
    socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends_[0]);
    channel = std::make_unique<Channel>(std::move(socket));
    channel->set_deadline(std::chrono::steady_clock::now() + 60s);
    peer_.reset(SSL_new(context_of(side.server, side.version)));
    SSL_set_bio(peer(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    proxy::SslPtr own(SSL_new(context_of(!side.server, side.version)));
    if (side.server) {
      SSL_set_accept_state(peer());
      SSL_set_connect_state(own.get());
    } else {
      SSL_set_connect_state(peer());
      SSL_set_accept_state(own.get());
    }
    auto work = converse(std::move(own));
    asio::co_spawn(io_, std::move(work), [this](std::exception_ptr thrown) { failed = thrown; });
  }
  ~World() {
    channel->abort();
    settle();
    channel.reset();
    hang_up();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  SSL* peer() { return peer_.get(); }

  // All that can happen without another octet, happens.
  void settle() {
    io_.restart();
    while (io_.poll() > 0) {
    }
    char octets[4096];
    for (;;) {
      const ssize_t n = ends_[1] < 0 ? 0 : ::recv(ends_[1], octets, sizeof octets, 0);
      if (n <= 0) break;
      BIO_write(SSL_get_rbio(peer()), octets, static_cast<int>(n));
    }
  }
  // What the peer wants to send.
  std::string take() {
    char* octets = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(peer()), &octets);
    std::string out(octets, static_cast<std::size_t>(size));
    (void)BIO_reset(SSL_get_wbio(peer()));
    return out;
  }
  void deliver(std::string_view octets) {
    while (!octets.empty()) {
      const ssize_t n = ::send(ends_[1], octets.data(), octets.size(), MSG_NOSIGNAL);
      settle();
      if (n <= 0) return;  // the channel has closed
      octets.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // In pieces that `piece` measures, given what is left.
  void deliver(std::string_view octets, const std::function<std::size_t(std::size_t)>& piece) {
    while (!octets.empty()) {
      const std::size_t size = std::min(octets.size(), piece(octets.size()));
      deliver(octets.substr(0, size));
      octets.remove_prefix(size);
    }
  }
  void end() {
    ::shutdown(ends_[1], SHUT_WR);
    settle();
  }
  void hang_up() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }

  void shake(const std::function<std::size_t(std::size_t)>& piece) {
    for (int turns = 0; turns < 20 && !(shaken && SSL_is_init_finished(peer())); ++turns) {
      settle();
      (void)SSL_do_handshake(peer());
      deliver(take(), piece);
    }
    REQUIRE(shaken);
  }
  void say(std::string_view text) {
    REQUIRE(SSL_write(peer(), text.data(), static_cast<int>(text.size())) ==
            static_cast<int>(text.size()));
    said += text;
  }
  // A key update; asked for, the channel's next write has one, too.
  void update(int kind) {
    if (side_.version != TLS1_3_VERSION) return;
    REQUIRE(SSL_key_update(peer(), kind) == 1);
    REQUIRE(SSL_do_handshake(peer()) == 1);
  }
  void ticket() {
    if (side_.version != TLS1_3_VERSION || !side_.server) return;
    REQUIRE(SSL_new_session_ticket(peer()) == 1);
    REQUIRE(SSL_do_handshake(peer()) == 1);
  }
  // What came of a write of the channel.
  std::string heard() {
    std::string out(100, '\0');
    const int n = SSL_read(peer(), out.data(), static_cast<int>(out.size()));
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
  }
  void answer(std::string text) {
    asio::co_spawn(io_, write(std::move(text)), [](std::exception_ptr) {});
    settle();
  }

  std::unique_ptr<Channel> channel;
  bool shaken = false;
  std::string got;                // of what was said, by the channel
  std::string said;               // by the peer
  std::optional<IoError> error;   // why the channel reads no more
  std::optional<IoError> unsent;  // why it could not write
  std::exception_ptr failed;

 private:
  asio::awaitable<void> converse(proxy::SslPtr own) {
    auto done = co_await channel->handshake(std::move(own));
    if (!done) {
      error = done.error();
      co_return;
    }
    shaken = true;
    for (;;) {
      // As sessions and the pool do it between two reads.
      if (up_to(random, 3) == 0) channel->release_buffer(up_to(random, 1) * 100);
      if (up_to(random, 3) == 0) (void)channel->has_pending_input();
      const std::size_t limit = up_to(random, 1) == 0 ? 8 + up_to(random, 40) : 65536;
      auto filled = co_await channel->fill(limit, 1 + up_to(random, 5000));
      const std::size_t left = filled ? std::min(channel->buffered().size(), up_to(random, 7)) : 0;
      const std::size_t taken = channel->buffered().size() - left;
      got += channel->buffered().substr(0, taken);
      channel->consume(taken);
      if (filled) continue;
      error = filled.error();
      co_return;
    }
  }
  asio::awaitable<void> write(std::string text) {
    auto written = co_await channel->write(text);
    if (!written) unsent = written.error();
  }

  Side side_;
  std::array<int, 2> ends_{-1, -1};
  asio::io_context io_{1};
  proxy::SslPtr peer_;

 public:
  Random random;  // of the channel's reader
};

std::size_t whole(std::size_t left) { return left; }
std::size_t one_octet(std::size_t) { return 1; }

// Small records, records that are no data, and the end; with `goodbye` octets behind it.
std::string script(World& world, std::size_t large = 0) {
  world.ticket();
  for (const char* const text : {"2", "50", "-PIPELINING\r\n", "250 OK\r\n"}) world.say(text);
  world.update(SSL_KEY_UPDATE_NOT_REQUESTED);
  world.update(SSL_KEY_UPDATE_NOT_REQUESTED);
  world.say("354 go on\r\n");
  if (large > 0) world.say(std::string(large, 'x'));
  world.ticket();
  world.update(SSL_KEY_UPDATE_REQUESTED);
  world.say("421 bye\r\n");
  return world.take();
}
std::string goodbye(World& world) {
  SSL_shutdown(world.peer());
  return world.take() + "and this is in no record at all";
}

void all_arrived(World& world) {
  CHECK_FALSE(world.failed);
  CHECK(world.got == world.said);
  REQUIRE(world.error);
  CHECK(world.error->kind == IoError::Kind::closed);
}

}  // namespace

TEST_CASE("RFC 8446 §5.1: octet by octet everything arrives, and nothing behind close_notify") {
  for (const Side side : sides) {
    World world(side);
    world.shake(one_octet);
    world.deliver(script(world), one_octet);
    world.deliver(goodbye(world), one_octet);
    all_arrived(world);
    // The other direction is open still, under new keys where that was asked for.
    world.answer("QUIT\r\n");
    CHECK_FALSE(world.unsent);
    CHECK(world.heard() == "QUIT\r\n");
  }
}

TEST_CASE("TLS in two pieces, cut at each octet") {
  for (const Side side : sides) {
    World world(side);
    world.shake(whole);
    std::size_t size = 0;
    for (std::size_t cut = 0; cut <= size; ++cut) {
      const std::string octets = script(world);
      size = octets.size();
      const std::size_t first = std::min(cut, size);
      world.deliver(std::string_view(octets).substr(0, first));
      world.deliver(std::string_view(octets).substr(first));
      INFO("cut at " << cut << " of " << size);
      REQUIRE_FALSE(world.error);
      REQUIRE(world.got + std::string(world.channel->buffered()) == world.said);
      world.got.clear();
      world.said = world.channel->buffered();
    }
    world.deliver(goodbye(world));
    all_arrived(world);
  }
}

TEST_CASE("RFC 8446 §6.1: close_notify in two pieces, cut at each octet, with octets behind it") {
  for (const Side side : {sides[0], sides[2]}) {
    std::size_t size = 0;
    for (std::size_t cut = 0; cut <= size; ++cut) {
      World world(side, static_cast<unsigned>(cut));
      world.shake(whole);
      world.say("421 bye");
      world.deliver(world.take());
      const std::string octets = goodbye(world);
      size = octets.size();
      const std::size_t first = std::min(cut, size);
      world.deliver(std::string_view(octets).substr(0, first));
      world.deliver(std::string_view(octets).substr(first));
      INFO("cut at " << cut << " of " << size);
      all_arrived(world);
    }
  }
}

TEST_CASE("TLS in pieces of any size, records of all sizes, handshake and data together") {
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Side side = sides[seed % sides.size()];
    World world(side, seed);
    Random random(seed + 1000);
    const auto piece = [&random](std::size_t left) {
      const std::size_t most[] = {1, 6, 40, 1000, 5000, left};
      return 1 + up_to(random, most[up_to(random, 5)]);
    };
    world.shake(piece);
    std::string octets;
    for (int i = 0; i < 4; ++i) octets += script(world, up_to(random, 40000));
    world.deliver(octets + goodbye(world), piece);
    INFO("seed " << seed);
    all_arrived(world);
  }
}

TEST_CASE("RFC 8446 §4.4.4: data that comes in one piece with the handshake's end is not missed") {
  World world({false, TLS1_3_VERSION});  // The client's Finished ends the handshake.
  world.settle();
  (void)SSL_do_handshake(world.peer());
  world.deliver(world.take());
  REQUIRE(SSL_do_handshake(world.peer()) == 1);
  world.say("EHLO client.example\r\n");
  world.deliver(world.take());
  CHECK(world.shaken);
  world.end();
  all_arrived(world);

  World other({true, TLS1_3_VERSION});  // Data behind the server's Finished, before the client's.
  other.settle();
  std::size_t size = 0;
  char octet = 0;
  REQUIRE(SSL_read_early_data(other.peer(), &octet, 1, &size) == SSL_READ_EARLY_DATA_FINISH);
  const std::string early = "220 already\r\n";
  REQUIRE(SSL_write_early_data(other.peer(), early.data(), early.size(), &size) == 1);
  other.said = early;
  other.deliver(other.take());
  CHECK(other.shaken);
  other.end();
  all_arrived(other);
}

TEST_CASE("RFC 8446 §6.1: an end at any octet gives whole records and is told as the end") {
  for (const Side side : sides) {
    std::size_t size = 0;
    for (std::size_t cut = 0; cut <= size; cut += 11) {
      World world(side, static_cast<unsigned>(cut));
      world.shake(whole);
      const std::string octets = script(world);
      size = octets.size();
      world.deliver(std::string_view(octets).substr(0, cut));
      world.end();
      INFO("cut at " << cut << " of " << size);
      CHECK(world.said.starts_with(world.got));
      REQUIRE(world.error);
      CHECK(world.error->kind == IoError::Kind::closed);
    }
  }
}

TEST_CASE("RFC 8446 §5.2: an octet that was changed ends it, and nothing of its record is given") {
  for (const Side side : sides) {
    std::size_t size = 0;
    for (std::size_t at = 0; at <= size; at += 13) {
      World world(side, static_cast<unsigned>(at));
      world.shake(whole);
      std::string octets = script(world);
      size = octets.size() - 1;
      const std::size_t place = std::min(at, size);
      octets[place] = static_cast<char>(octets[place] ^ 0x10);
      world.deliver(octets);
      world.end();
      INFO("changed at " << place << " of " << octets.size());
      CHECK(world.said.starts_with(world.got));
      CHECK(world.got.size() < world.said.size());
      REQUIRE(world.error);
      const auto kind = world.error->kind;  // A length that grew is never reached.
      CHECK((kind == IoError::Kind::tls || kind == IoError::Kind::closed));
    }
  }
}

TEST_CASE("a handshake that ends at any octet is no session") {
  for (const Side side : sides) {
    std::size_t size = 1;
    for (std::size_t cut = 0; cut < size; cut += 11) {
      World world(side);
      world.settle();
      (void)SSL_do_handshake(world.peer());
      const std::string flight = world.take();
      size = flight.size();
      // Signatures are not all of one length.
      world.deliver(std::string_view(flight).substr(0, std::min(cut, size - 1)));
      world.end();
      CHECK_FALSE(world.shaken);
      REQUIRE(world.error);
      CHECK(world.error->kind == IoError::Kind::closed);
    }
  }
}

TEST_CASE("TLS 1.2: who asks for another handshake is told no, and the session goes on") {
  for (const bool server : {true, false}) {
    World world({server, TLS1_2_VERSION});
    world.shake(whole);
    SSL_clear_options(world.peer(), SSL_OP_NO_RENEGOTIATION);
    world.say("before");
    REQUIRE(SSL_renegotiate(world.peer()) == 1);
    (void)SSL_do_handshake(world.peer());
    world.deliver(world.take());
    CHECK(world.got.size() + world.channel->buffered().size() == world.said.size());
    CHECK_FALSE(world.error);
    char octet = 0;
    CHECK(SSL_read(world.peer(), &octet, 1) < 0);  // RFC 5246 §7.2.2: a no_renegotiation alert.
    world.end();
    all_arrived(world);
  }
}

namespace {
volatile std::sig_atomic_t broken_pipes = 0;
void count_broken_pipe(int) { broken_pipes = broken_pipes + 1; }
}  // namespace

TEST_CASE("under TLS a peer that has gone is an error of the write, and no signal") {
  struct sigaction counting {}, before {};
  counting.sa_handler = count_broken_pipe;
  REQUIRE(::sigaction(SIGPIPE, &counting, &before) == 0);
  broken_pipes = 0;
  {
    World world({true, TLS1_3_VERSION});
    world.shake(whole);
    world.hang_up();
    world.answer("EHLO relay.example\r\n");
    REQUIRE(world.unsent);
    CHECK(world.unsent->kind == IoError::Kind::reset);
    world.channel->close();  // with its close_notify
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  CHECK(broken_pipes == 0);
}
