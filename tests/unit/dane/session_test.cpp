// Handshakes between two OpenSSL ends in memory: the evidence of a resumed session is that of the
// full one, and nothing a peer presents makes the handshake itself fail.
#include <openssl/err.h>

#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"

using namespace certs;

namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Session = std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)>;
using Ssl = std::unique_ptr<SSL, decltype(&SSL_free)>;

struct Server {
  Context context{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
  Server(const Issued& leaf, const Issued& issuer) {
    SSL_CTX_use_certificate(context.get(), leaf.cert.get());
    SSL_CTX_use_PrivateKey(context.get(), leaf.key.get());
    SSL_CTX_add1_chain_cert(context.get(), issuer.cert.get());
  }
};

struct Client {
  Context context{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  explicit Client(int version) {
    dane::leave_verification_to_evidence(context.get());
    SSL_CTX_set_max_proto_version(context.get(), version);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT);
  }
};

struct Ends {
  Ssl client;
  Ssl server;
  // Both handshakes, and then one octet from the server, behind which its tickets have come.
  bool meet() {
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    if (!SSL_is_init_finished(client.get()) || !SSL_is_init_finished(server.get())) return false;
    char octet = 'x';
    return SSL_write(server.get(), &octet, 1) == 1 && SSL_read(client.get(), &octet, 1) == 1;
  }
};

Ends ends(const Server& server, const Client& client, SSL_SESSION* resumed = nullptr) {
  Ends made{{SSL_new(client.context.get()), SSL_free}, {SSL_new(server.context.get()), SSL_free}};
  BIO* one = nullptr;
  BIO* other = nullptr;
  BIO_new_bio_pair(&one, 0, &other, 0);
  SSL_set_bio(made.client.get(), one, one);
  SSL_set_bio(made.server.get(), other, other);
  SSL_set_connect_state(made.client.get());
  SSL_set_accept_state(made.server.get());
  if (resumed) SSL_set_session(made.client.get(), resumed);
  return made;
}

}  // namespace

TEST_CASE("a resumed session has the evidence of the full one, in TLS 1.2 and 1.3") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued leaf = make({.cn = "mx", .dns = {"mx.example.com"}}, &root);
  const Server server(leaf, root);
  const auto ids = names({"mx.example.com"});
  X509_STORE* const store = X509_STORE_new();
  X509_STORE_add_cert(store, root.cert.get());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    const Client client(version);
    Session session(nullptr, SSL_SESSION_free);
    for (const bool resumed : {false, true, true}) {
      Ends pair = ends(server, client, session.get());
      REQUIRE(pair.meet());
      REQUIRE(SSL_version(pair.client.get()) == version);
      REQUIRE((SSL_session_reused(pair.client.get()) == 1) == resumed);
      session.reset(SSL_get1_session(pair.client.get()));
      const auto sent = dane::PeerChain::of(pair.client.get());
      REQUIRE(sent.size() == 2);
      CHECK(identity_of(sent).dns_ids == std::vector<std::string>{"mx.example.com"});
      const auto ee = std::vector{tlsa(3, 1, 1, leaf)};
      const auto ta = std::vector{tlsa(2, 0, 1, root)};
      const auto wrong = std::vector{tlsa(3, 1, 1, root)};
      CHECK(evaluate_dane(sent, ee, ids, terms).matched == ee.front());
      CHECK(evaluate_dane(sent, ta, ids, terms).matched == ta.front());
      CHECK_FALSE(evaluate_dane(sent, wrong, ids, terms).matched);
      CHECK(evaluate_pkix(sent, store, terms).chain == dane::ChainState::trusted);
      // What was good when the session was made is judged by today's date.
      const dane::VerifyTerms later{now + std::chrono::days{200}, 2};
      CHECK(evaluate_pkix(sent, store, later).chain == dane::ChainState::expired);
      SSL_shutdown(pair.client.get());
    }
  }
  X509_STORE_free(store);
}

TEST_CASE("the handshake takes any chain: the evidence speaks") {
  const Issued leaf = make({.cn = "x", .to = std::chrono::days{-50}, .usage = "clientAuth"});
  const Issued stranger = make({.cn = "stranger", .ca = true});
  const Server server(leaf, stranger);
  Ends pair = ends(server, Client(TLS1_3_VERSION));
  REQUIRE(pair.meet());
  const auto sent = dane::PeerChain::of(pair.client.get());
  CHECK_FALSE(evaluate_dane(sent, std::vector{tlsa(2, 1, 1, stranger)},
                            names({"mx.example.com"}), terms)
                  .matched);
  CHECK(evaluate_dane(sent, std::vector{tlsa(3, 1, 2, leaf)}, {}, terms).matched);
}

TEST_CASE("without a certificate there is no chain, and no evidence") {
  Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_cipher_list(context.get(), "aNULL:@SECLEVEL=0");
  const Issued unused = make({.cn = "x"});
  Server server(unused, unused);
  server.context = std::move(context);
  Client client(TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(client.context.get(), "aNULL:@SECLEVEL=0");
  Ends pair = ends(server, client);
  REQUIRE(pair.meet());
  const auto sent = dane::PeerChain::of(pair.client.get());
  CHECK(sent.empty());
  CHECK(dane::identity_of(sent).spki_sha256.empty());
  CHECK_FALSE(evaluate_dane(sent, std::vector{tlsa(3, 1, 1, unused)},
                            names({"mx.example.com"}), terms)
                  .matched);
}
