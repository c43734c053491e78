// The channel under TLS with peers that keep to the protocol and never come to the point.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/channel.h"
#include "tests/unit/proxy/run.h"

namespace asio = boost::asio;
using proxy::Channel;
using namespace std::chrono_literals;

namespace {

constexpr int updates = 100;  // all of them fit into the buffer of a socket pair

struct ContextFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextFree>;

Context server_context() {
  Context context(SSL_CTX_new(TLS_server_method()));
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

// Shakes hands and sends nothing but key updates, then one octet.
void flood(int descriptor, std::promise<bool> sent) {
  const Context context = server_context();
  const proxy::SslPtr ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), descriptor);
  bool good = SSL_accept(ssl.get()) == 1;
  for (int i = 0; good && i < updates; ++i) {
    good = SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
           SSL_do_handshake(ssl.get()) == 1;
  }
  good = good && SSL_write(ssl.get(), "x", 1) == 1;
  sent.set_value(good);
}

// Shakes hands, says `text` in one record, and goes away, with or without close_notify.
void say(int descriptor, std::string text, bool goodbye) {
  const Context context = server_context();
  const proxy::SslPtr ssl(SSL_new(context.get()));
  SSL_set_fd(ssl.get(), descriptor);
  if (SSL_accept(ssl.get()) == 1) {
    SSL_write(ssl.get(), text.data(), static_cast<int>(text.size()));
    if (goodbye) SSL_shutdown(ssl.get());
  }
  ::shutdown(descriptor, SHUT_WR);
}

// A channel under TLS, with what a server has said to it still unread.
struct Told {
  std::array<int, 2> ends{};
  asio::io_context io{1};
  std::unique_ptr<Channel> channel;

  Told(std::string text, bool goodbye);
  ~Told();
};

asio::awaitable<void> shake(Channel& channel, proxy::SslPtr ssl, bool& shaken,
                            Channel::Next next = Channel::Next::any) {
  auto done = co_await channel.handshake(std::move(ssl), next);
  shaken = static_cast<bool>(done);
}

asio::awaitable<void> fill(Channel& channel, std::string& got, bool& over,
                           std::size_t limit = 65536) {
  auto filled = co_await channel.fill(limit);
  if (filled) got = std::string(channel.buffered());
  over = true;
}

asio::awaitable<void> read_all(Channel& channel, std::string& got, std::size_t limit,
                               std::optional<proxy::IoError>& error) {
  for (;;) {
    auto filled = co_await channel.fill(limit, limit);
    if (!filled) {
      error = filled.error();
      co_return;
    }
    got += channel.buffered();
    channel.consume(channel.buffered().size());
  }
}

Told::Told(std::string text, bool goodbye) {
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  Channel::Socket socket(io);
  socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
  channel = std::make_unique<Channel>(std::move(socket));
  channel->set_deadline(std::chrono::steady_clock::now() + 60s);
  std::thread server(say, ends[1], std::move(text), goodbye);
  const Context context(SSL_CTX_new(TLS_client_method()));
  proxy::SslPtr ssl(SSL_new(context.get()));
  SSL_set_connect_state(ssl.get());
  bool shaken = false;
  run_to_end(io, shake(*channel, std::move(ssl), shaken));
  server.join();
  REQUIRE(shaken);
}

Told::~Told() {
  channel->close();  // says goodbye, so before the other end goes
  channel.reset();
  ::close(ends[1]);
}

// A server under TLS whose socket keeps what was sent with one call apart from the next.
struct Listener {
  std::array<int, 2> ends{};
  asio::io_context io{1};
  std::unique_ptr<Channel> channel;
  Context context;
  proxy::SslPtr ssl;
  std::vector<std::size_t> pieces;  // octets of each
  std::string said;                 // by the client, under TLS
  int result = 0;                   // of SSL_accept(), then of SSL_read()
  bool goodbye = false;

  // `shared`: another's, whose sessions it resumes.
  explicit Listener(SSL_CTX* shared = nullptr) {
    if (!shared) context = server_context();
    ssl.reset(SSL_new(shared ? shared : context.get()));
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends.data()) == 0);
    Channel::Socket socket(io);
    socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
    channel = std::make_unique<Channel>(std::move(socket));
    channel->set_deadline(std::chrono::steady_clock::now() + 60s);
    SSL_set_accept_state(ssl.get());
    SSL_set_num_tickets(ssl.get(), 0);
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  }
  ~Listener() {
    channel.reset();
    ::close(ends[1]);
  }
  // Takes what has come, piece by piece, and answers what TLS answers.
  void turn() {
    std::array<char, 65536> octets;
    for (;;) {
      const ssize_t got = ::recv(ends[1], octets.data(), octets.size(), MSG_DONTWAIT);
      if (got <= 0) return;
      pieces.push_back(static_cast<std::size_t>(got));
      BIO_write(SSL_get_rbio(ssl.get()), octets.data(), static_cast<int>(got));
      result = SSL_do_handshake(ssl.get());
      for (char text[256]; result == 1;) {
        const int n = SSL_read(ssl.get(), text, sizeof text);
        if (n <= 0) break;
        said.append(text, static_cast<std::size_t>(n));
      }
      goodbye = (SSL_get_shutdown(ssl.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
      const int waiting = BIO_read(SSL_get_wbio(ssl.get()), octets.data(), octets.size());
      if (waiting > 0) {
        REQUIRE(::send(ends[1], octets.data(), static_cast<std::size_t>(waiting), MSG_NOSIGNAL) ==
                waiting);
      }
    }
  }
  // Both sides in turn, until `over`.
  void talk(const bool& over) {
    for (int i = 0; i < 1000 && !over; ++i) {
      io.restart();
      io.poll();
      turn();
    }
    REQUIRE(over);
  }
  // The client's handshake; whether it ended well.
  bool shake(Channel::Next next, bool trusting = true, int most = TLS1_3_VERSION,
             SSL_SESSION* session = nullptr) {
    const Context client(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(client.get(), most);
    proxy::SslPtr own(SSL_new(client.get()));
    SSL_set_connect_state(own.get());
    if (session) SSL_set_session(own.get(), session);
    if (!trusting) SSL_set_verify(own.get(), SSL_VERIFY_PEER, nullptr);
    bool shaken = false, over = false;
    asio::co_spawn(io, ::shake(*channel, std::move(own), shaken, next),
                   [&over](std::exception_ptr) { over = true; });
    talk(over);
    return shaken;
  }
  void write(std::string_view text) {
    bool over = false;
    asio::co_spawn(io, channel->write(text),
                   [&over](std::exception_ptr, proxy::IoResult<void>) { over = true; });
    talk(over);
  }
};

}  // namespace

TEST_CASE("the last flight of a client that speaks next goes out with its first words") {
  Listener server;
  REQUIRE(server.shake(Channel::Next::write));
  CHECK(server.pieces.size() == 1);  // the ClientHello
  CHECK(server.result != 1);
  server.write("EHLO here\r\n");
  CHECK(server.pieces.size() == 2);
  CHECK(server.result == 1);
  CHECK(server.said == "EHLO here\r\n");
  server.write("MAIL\r\n");
  CHECK(server.pieces.size() == 3);
  SECTION("and its last words with close_notify") {
    server.channel->say_and_close("QUIT\r\n");
    server.turn();
    CHECK(server.pieces.size() == 4);
    CHECK(server.said == "EHLO here\r\nMAIL\r\nQUIT\r\n");
    CHECK(server.goodbye);
  }
}

TEST_CASE("without a word to come the last flight goes out at once") {
  Listener server;
  REQUIRE(server.shake(Channel::Next::any));
  server.turn();
  CHECK(server.pieces.size() == 2);
  CHECK(server.result == 1);
}

TEST_CASE("RFC 5246 §7.3: a full handshake of TLS 1.2 ends with the server, nothing is left") {
  Listener server;
  REQUIRE(server.shake(Channel::Next::write, true, TLS1_2_VERSION));
  CHECK(server.result == 1);
  const std::size_t before = server.pieces.size();
  server.write("EHLO here\r\n");
  CHECK(server.pieces.size() == before + 1);
  CHECK(server.said == "EHLO here\r\n");
}

TEST_CASE("RFC 5246 §7.3: a resumed one ends with the client, which has something to say") {
  Listener first;
  REQUIRE(first.shake(Channel::Next::write, true, TLS1_2_VERSION));
  SSL_SESSION* const session = SSL_get1_session(first.channel->ssl());
  Listener server(first.context.get());
  REQUIRE(server.shake(Channel::Next::write, true, TLS1_2_VERSION, session));
  SSL_SESSION_free(session);
  CHECK(server.pieces.size() == 1);
  CHECK(server.result != 1);
  server.write("EHLO here\r\n");
  CHECK(server.pieces.size() == 2);
  CHECK(SSL_session_reused(server.ssl.get()) == 1);
  CHECK(server.said == "EHLO here\r\n");
}

TEST_CASE("who resets a connection sends no more, whoever has the descriptor then") {
  Listener server;
  REQUIRE(server.shake(Channel::Next::write));
  const int number = server.ends[0];
  server.channel->abort();
  std::array<int, 2> others{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, others.data()) == 0);
  const int taken = others[0] == number ? number : ::dup2(others[0], number);
  REQUIRE(taken == number);
  std::string got;
  bool over = false;
  asio::co_spawn(server.io, fill(*server.channel, got, over), asio::detached);
  server.channel->close();
  server.talk(over);
  char octet = 0;
  CHECK(::recv(others[1], &octet, 1, MSG_DONTWAIT) == -1);
  if (others[0] != number) ::close(number);
  ::close(others[0]);
  ::close(others[1]);
}

TEST_CASE("who waits after all, or closes, has sent its last flight") {
  Listener server;
  REQUIRE(server.shake(Channel::Next::write));
  CHECK(server.result != 1);
  SECTION("waits") {
    std::string got;
    bool over = false;
    asio::co_spawn(server.io, fill(*server.channel, got, over), asio::detached);
    for (int i = 0; i < 10; ++i) {
      server.io.poll();
      server.turn();
    }
    CHECK(server.result == 1);
    CHECK_FALSE(over);
    server.channel->cancel();
    server.talk(over);
  }
  SECTION("waits without reading") {
    bool over = false;
    asio::co_spawn(server.io, server.channel->wait_readable(),
                   [&over](std::exception_ptr) { over = true; });
    for (int i = 0; i < 10; ++i) {
      server.io.poll();
      server.turn();
    }
    CHECK(server.result == 1);
    server.channel->cancel();
    server.talk(over);
  }
  SECTION("asks to be told") {
    server.channel->when_readable([] {});
    server.turn();
    CHECK(server.result == 1);
  }
  SECTION("closes") {
    server.channel->close();
    server.turn();
    CHECK(server.result == 1);
    CHECK(server.goodbye);
  }
  SECTION("says goodbye") {
    server.channel->say_and_close("QUIT\r\n");
    server.turn();
    CHECK(server.pieces.size() == 2);
    CHECK(server.said == "QUIT\r\n");
    CHECK(server.goodbye);
  }
}

TEST_CASE("RFC 8446 §6.2: a client that refuses the server says why, whoever was to speak next") {
  const auto next = GENERATE(Channel::Next::any, Channel::Next::write);
  Listener server;
  CHECK_FALSE(server.shake(next, false));
  server.turn();
  CHECK(server.result != 1);
  CHECK(ERR_GET_REASON(ERR_get_error()) == SSL_R_TLSV1_ALERT_UNKNOWN_CA);
  ERR_clear_error();
}

TEST_CASE("RFC 8446 §6.1: under TLS the end is told with close_notify and without") {
  const bool goodbye = GENERATE(true, false);
  Told peer("250 fine\r\n", goodbye);
  std::string got;
  std::optional<proxy::IoError> error;
  run_to_end(peer.io, read_all(*peer.channel, got, 4096, error));
  CHECK(got == "250 fine\r\n");
  REQUIRE(error);
  CHECK(error->kind == proxy::IoError::Kind::closed);
}

TEST_CASE("what TLS has read and nobody took is input that waits") {
  Told peer("abcdefgh", true);
  CHECK(peer.channel->has_pending_input());
  std::string got;
  bool over = false;
  run_to_end(peer.io, fill(*peer.channel, got, over, 3));  // five stay in the record
  CHECK(got == "abc");
  peer.channel->consume(3);
  CHECK(peer.channel->has_pending_input());
  std::optional<proxy::IoError> error;
  run_to_end(peer.io, read_all(*peer.channel, got, 2, error));
  CHECK(got == "abcdefgh");
}

TEST_CASE("what TLS holds is known and taken without waiting, to the end") {
  const bool goodbye = GENERATE(true, false);
  Told peer("abcdefgh", goodbye);
  auto got = peer.channel->fill_now(3);
  REQUIRE(got.has_value());
  CHECK(*got == 3);
  CHECK(peer.channel->holds_input());  // five of them, and of these no arrival will tell
  peer.channel->consume(3);
  got = peer.channel->fill_now(64);
  REQUIRE(got.has_value());
  CHECK(peer.channel->buffered() == "defgh");
  peer.channel->consume(5);
  got = peer.channel->fill_now(64);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().kind == proxy::IoError::Kind::closed);
}

TEST_CASE("records larger than the first room arrive whole and in order") {
  std::string text;
  for (int i = 0; text.size() < 16000; ++i) text += std::to_string(i) + ",";
  Told peer(text, true);
  std::string got;
  std::optional<proxy::IoError> error;
  run_to_end(peer.io, read_all(*peer.channel, got, 65536, error));
  CHECK(got == text);
}

TEST_CASE("RFC 8446 §4.6.3: key updates without end leave the thread to others") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  asio::io_context io{1};
  Channel::Socket socket(io);
  socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
  Channel channel(std::move(socket));
  channel.set_deadline(std::chrono::steady_clock::now() + 60s);

  std::promise<bool> promise;
  std::future<bool> sent = promise.get_future();
  std::thread server(flood, ends[1], std::move(promise));
  const Context context(SSL_CTX_new(TLS_client_method()));
  proxy::SslPtr ssl(SSL_new(context.get()));
  SSL_set_connect_state(ssl.get());
  bool shaken = false;
  run_to_end(io, shake(channel, std::move(ssl), shaken));
  REQUIRE(shaken);
  REQUIRE(sent.get());  // all of it lies in the socket's buffer now
  server.join();

  std::string got;
  bool over = false;
  int turns = 0;  // of somebody else on the same thread
  std::function<void()> other = [&] {
    if (over) return;
    ++turns;
    asio::post(io, other);
  };
  asio::post(io, other);
  run_to_end(io, fill(channel, got, over));
  CHECK(got == "x");
  CHECK(turns > updates / 2);
  channel.close();  // says goodbye, so before the other end goes
  ::close(ends[1]);
}
