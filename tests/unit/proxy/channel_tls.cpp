// The channel under TLS with peers that keep to the protocol and never come to the point.
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

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

asio::awaitable<void> shake(Channel& channel, proxy::SslPtr ssl, bool& shaken) {
  auto done = co_await channel.handshake(std::move(ssl));
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

}  // namespace

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
