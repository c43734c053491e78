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

asio::awaitable<void> shake(Channel& channel, proxy::SslPtr ssl, bool& shaken) {
  auto done = co_await channel.handshake(std::move(ssl));
  shaken = static_cast<bool>(done);
}

asio::awaitable<void> fill(Channel& channel, std::string& got, bool& over) {
  auto filled = co_await channel.fill();
  if (filled) got = std::string(channel.buffered());
  over = true;
}

}  // namespace

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
