// TlsClient with a server in memory: what is remembered of a chain must never vouch for another
// chain, other authorities or another day. TlsLibrary: a handshake's algorithms, all of them.
#include "proxy/tls_client.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/unit/audit/support.h"
#include "tests/unit/dane/certs.h"

using audit_test::Folder;
using audit_test::HandClock;
using certs::Issued;
using policy::ChainState;
using proxy::TlsClient;
using proxy::TlsLibrary;

namespace {

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Ssl = std::unique_ptr<SSL, decltype(&SSL_free)>;

Context server_of(const Issued& leaf, const Issued* issuer) {
  Context context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);
  REQUIRE(SSL_CTX_use_certificate(context.get(), leaf.cert.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(context.get(), leaf.key.get()) == 1);
  if (issuer) SSL_CTX_add1_chain_cert(context.get(), issuer->cert.get());
  return context;
}

struct World {
  // `trusted` alone is in `tls.ca_file`.
  explicit World(const Issued& trusted, base::WallTime now = certs::now) : clock(now) {
    std::ofstream(file()) << certs::pem(trusted.cert);
    config.tls.ca_file = file();
    auto made = TlsClient::make(config, clock);
    REQUIRE(made.has_value());
    client = *made;
  }
  std::string file() const { return (folder.path() / "ca.pem").string(); }
  // A handshake, and what of it a plan without a policy wants to know.
  policy::TlsSession meet(SSL_CTX* server, const std::string& key = "mx") {
    policy::Try plan;
    plan.requirement = policy::Opportunistic{};
    auto mine = client->prepare(plan, key);
    const Ssl theirs(SSL_new(server), SSL_free);
    BIO* one = nullptr;
    BIO* other = nullptr;
    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(mine.get(), one, one);
    SSL_set_bio(theirs.get(), other, other);
    SSL_set_accept_state(theirs.get());
    for (int i = 0; i < 10; ++i) {
      SSL_do_handshake(mine.get());
      SSL_do_handshake(theirs.get());
    }
    REQUIRE(SSL_is_init_finished(mine.get()));
    char octet = 'x';  // behind it the tickets have come
    REQUIRE(SSL_write(theirs.get(), &octet, 1) == 1);
    REQUIRE(SSL_read(mine.get(), &octet, 1) == 1);
    policy::TlsSession session = client->collect(mine.get(), plan);
    SSL_shutdown(mine.get());
    return session;
  }

  Folder folder;
  HandClock clock;
  config::Config config;
  std::shared_ptr<TlsClient> client;
};

}  // namespace

TEST_CASE("a chain that was verified is trusted again, full or resumed, until it ends") {
  const Issued root = certs::make({.cn = "root", .ca = true});
  const certs::Spec nine_days{
      .cn = "mx", .dns = {"mx.example.com"}, .to = std::chrono::days(9)};
  const Issued leaf = certs::make(nine_days, &root);
  World world(root);
  const Context server = server_of(leaf, &root);
  CHECK(world.meet(server.get()).pkix.chain == ChainState::trusted);
  const auto resumed = world.meet(server.get());
  CHECK(resumed.resumed);
  CHECK(resumed.pkix.chain == ChainState::trusted);
  CHECK(resumed.pkix.dns_ids == std::vector<std::string>{"mx.example.com"});
  CHECK_FALSE(world.meet(server.get(), "another").resumed);
  const auto end = certs::now + std::chrono::days(9);
  world.clock.set(end - std::chrono::seconds(1));
  CHECK(world.meet(server.get()).pkix.chain == ChainState::trusted);
  for (const auto later : {std::chrono::seconds(0), std::chrono::seconds(1)}) {
    world.clock.set(end + later);
    CHECK(world.meet(server.get()).pkix.chain == ChainState::expired);
  }
  // A clock that goes back: what was known holds again, and not before the beginning.
  world.clock.set(certs::now);
  CHECK(world.meet(server.get()).pkix.chain == ChainState::trusted);
  world.clock.set(certs::now - std::chrono::days(101));
  CHECK(world.meet(server.get()).pkix.chain == ChainState::not_yet_valid);
}

TEST_CASE("a CA that ends before the leaf ends what is remembered") {
  const Issued root = certs::make({.cn = "root", .ca = true, .to = std::chrono::days(3)});
  const Issued leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}}, &root);
  World world(root);
  const Context server = server_of(leaf, nullptr);
  CHECK(world.meet(server.get()).pkix.chain == ChainState::trusted);
  world.clock.set(certs::now + std::chrono::days(4));
  CHECK(world.meet(server.get()).pkix.chain == ChainState::expired);
}

TEST_CASE("what one chain proved vouches for no other") {
  const Issued root = certs::make({.cn = "root", .ca = true});
  const Issued stranger = certs::make({.cn = "root", .ca = true});
  const certs::Key key = certs::new_key();
  const certs::Spec spec{.cn = "mx", .dns = {"mx.example.com"}};
  const Issued leaf = certs::make(spec, &root, key);
  World world(root);
  CHECK(world.meet(server_of(leaf, &root).get()).pkix.chain == ChainState::trusted);
  // The same names, the same key and the same issuer by name.
  const Issued forged = certs::make(spec, &stranger, key);
  CHECK(world.meet(server_of(forged, &stranger).get(), "b").pkix.chain == ChainState::untrusted);
  CHECK(world.meet(server_of(forged, &root).get(), "c").pkix.chain == ChainState::untrusted);
  CHECK(world.meet(server_of(leaf, &root).get(), "d").pkix.chain == ChainState::trusted);
  // Other authorities.
  World elsewhere(stranger);
  CHECK(elsewhere.meet(server_of(leaf, &root).get()).pkix.chain == ChainState::untrusted);
}

TEST_CASE("TlsLibrary: the keys of certificates, whatever the type, and all that TLS offers") {
  const auto library = TlsLibrary::take();
  REQUIRE(library);
  const Issued root = certs::make({.cn = "root", .ca = true});
  World world(root);
  const auto bits = [](const char* type, std::size_t size) {
    return certs::Key(EVP_PKEY_Q_keygen(nullptr, nullptr, type, size), EVP_PKEY_free);
  };
  const auto plain = [](const char* type) {
    return certs::Key(EVP_PKEY_Q_keygen(nullptr, nullptr, type), EVP_PKEY_free);
  };
  const auto curve = [](const char* name) { return certs::Key(EVP_EC_gen(name), EVP_PKEY_free); };
  for (const certs::Key& key : {bits("RSA", 2048), curve("P-256"), curve("P-384"),
                                curve("P-521"), plain("ED25519"), plain("ED448")}) {
    const std::string type = EVP_PKEY_get0_type_name(key.get());
    CAPTURE(type, EVP_PKEY_get_bits(key.get()));
    const Issued leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}}, &root, key);
    const auto session = world.meet(server_of(leaf, &root).get(), type);
    CHECK(session.pkix.chain == ChainState::trusted);
  }
  const auto suites = [](ossl_lib_ctx_st* library_context) {
    const Context context(SSL_CTX_new_ex(library_context, nullptr, TLS_client_method()),
                          SSL_CTX_free);
    const Ssl ssl(SSL_new(context.get()), SSL_free);
    std::vector<std::string> names;
    const auto* const all = SSL_get_ciphers(ssl.get());
    for (int i = 0; i < sk_SSL_CIPHER_num(all); ++i) {
      names.emplace_back(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(all, i)));
    }
    for (const char* const group : {"X25519", "P-256", "X448", "P-521", "P-384", "ffdhe2048"}) {
      if (SSL_set1_groups_list(ssl.get(), group) == 1) names.emplace_back(group);
    }
    return names;
  };
  CHECK(suites(library->context()) == suites(nullptr));
}

TEST_CASE("TlsLibrary: suites of TLS 1.2, of every kind, and groups") {
  const Issued root = certs::make({.cn = "root", .ca = true});
  const certs::Key rsa(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}),
                       EVP_PKEY_free);
  const Issued leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}}, &root, rsa);
  World world(root);
  const auto meets = [&](int version, const char* suites, const char* groups) {
    CAPTURE(suites, groups);
    const Context server = server_of(leaf, &root);
    SSL_CTX_set_dh_auto(server.get(), 1);
    REQUIRE(SSL_CTX_set_max_proto_version(server.get(), version) == 1);
    if (*suites) REQUIRE(SSL_CTX_set_cipher_list(server.get(), suites) == 1);
    if (*groups) REQUIRE(SSL_CTX_set1_groups_list(server.get(), groups) == 1);
    const auto session = world.meet(server.get(), std::string(suites) + groups);
    CHECK(session.pkix.chain == ChainState::trusted);
    if (*suites) CHECK(session.cipher == suites);
  };
  for (const char* const suite :
       {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-SHA256",
        "AES128-SHA256", "AES256-GCM-SHA384"}) {
    meets(TLS1_2_VERSION, suite, "");
  }
  for (const char* const group : {"X25519", "P-256", "P-384", "P-521", "X448", "ffdhe3072"}) {
    meets(TLS1_3_VERSION, "", group);
  }
}

TEST_CASE("TlsLibrary: nobody shares one, and one that came back is used again") {
  auto first = TlsLibrary::take();
  auto second = TlsLibrary::take();
  REQUIRE((first && second));
  CHECK(first->context() != second->context());
  const auto* const known = second->context();
  second.reset();
  CHECK(TlsLibrary::take()->context() == known);
}

TEST_CASE("TlsLibrary: there are only so many, and behind them OpenSSL's own context serves") {
  const Issued root = certs::make({.cn = "root", .ca = true});
  const Issued leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}}, &root);
  std::vector<std::shared_ptr<TlsLibrary>> held;
  while (auto one = TlsLibrary::take()) {
    held.push_back(std::move(one));
    REQUIRE(held.size() <= 64);
  }
  CHECK(held.size() > 50);
  World world(root);
  CHECK(world.meet(server_of(leaf, &root).get()).pkix.chain == ChainState::trusted);
  held.clear();
  CHECK(TlsLibrary::take());
}
