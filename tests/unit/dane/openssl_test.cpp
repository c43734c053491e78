#include "dane/openssl.h"

#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"

using namespace certs;

namespace {

struct Pki {
  Issued root = make({.cn = "root", .ca = true});
  Issued middle = make({.cn = "middle", .ca = true}, &root);
  Issued leaf = make({.cn = "mx.example.com", .dns = {"mx.example.com"}}, &middle);
  dane::PeerChain sent = chain({leaf, middle, root});
  std::vector<base::Domain> ids = names({"mx.example.com"});

  dane::DaneEvidence dane(std::vector<dane::Tlsa> records) const {
    return evaluate_dane(sent, records, ids, terms);
  }
};

struct Store {
  X509_STORE* store = X509_STORE_new();
  explicit Store(const Issued& root) { X509_STORE_add_cert(store, root.cert.get()); }
  ~Store() { X509_STORE_free(store); }
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
};

}  // namespace

TEST_CASE("every usage, selector and matching type finds its certificate") {
  const Pki pki;
  for (const unsigned selector : {0U, 1U}) {
    for (const unsigned mtype : {0U, 1U, 2U}) {
      CAPTURE(selector, mtype);
      const auto ee = tlsa(3, selector, mtype, pki.leaf);
      CHECK(pki.dane({ee}).matched == ee);
      for (const Issued& anchor : {pki.middle, pki.root}) {
        const auto ta = tlsa(2, selector, mtype, anchor);
        const auto evidence = pki.dane({ta});
        INFO(evidence.error);
        CHECK(evidence.matched == ta);
      }
    }
  }
}

TEST_CASE("a record that names something else matches nothing, and is no trouble of trust") {
  const Pki pki;
  const Issued other = make({.cn = "other", .ca = true});
  for (const unsigned usage : {2U, 3U}) {
    for (const unsigned selector : {0U, 1U}) {
      for (const unsigned mtype : {0U, 1U, 2U}) {
        CAPTURE(usage, selector, mtype);
        const auto evidence = pki.dane({tlsa(usage, selector, mtype, other)});
        CHECK_FALSE(evidence.matched);
        CHECK_FALSE(evidence.error.empty());
        CHECK_FALSE(evidence.name_mismatch);
        CHECK_FALSE(evidence.expired);
      }
    }
  }
}

TEST_CASE("a PKIX record matches nothing even when it is handed in") {
  const Pki pki;
  CHECK_FALSE(pki.dane({tlsa(1, 1, 1, pki.leaf)}).matched);
  CHECK_FALSE(pki.dane({tlsa(0, 0, 1, pki.root)}).matched);
  CHECK_FALSE(pki.dane({tlsa(1, 1, 1, pki.leaf), tlsa(2, 1, 1, pki.leaf)}).matched);
}

TEST_CASE("one digest bit off does not match") {
  const Pki pki;
  for (const unsigned usage : {2U, 3U}) {
    auto record = tlsa(usage, 1, 1, usage == 3 ? pki.leaf : pki.root);
    record.data.back() ^= 1;
    CHECK_FALSE(pki.dane({record}).matched);
  }
}

TEST_CASE("DANE-EE never matches an issuer, DANE-TA never the leaf under an issuer") {
  const Pki pki;
  CHECK_FALSE(pki.dane({tlsa(3, 0, 1, pki.root)}).matched);
  CHECK_FALSE(pki.dane({tlsa(3, 1, 1, pki.middle)}).matched);
  CHECK_FALSE(pki.dane({tlsa(2, 1, 1, pki.leaf)}).matched);
}

TEST_CASE("no certificate and no records are evidence of nothing") {
  const Pki pki;
  CHECK_FALSE(pki.dane({}).matched);
  const auto nobody = evaluate_dane({}, std::vector{tlsa(3, 1, 1, pki.leaf)}, pki.ids, terms);
  CHECK_FALSE(nobody.matched);
  CHECK(nobody.error == "the peer has no certificate");
  CHECK(dane::identity_of({}).cert_sha256.empty());
}

TEST_CASE("records beside each other are alternatives") {
  const Pki pki;
  const Issued other = make({.cn = "other"});
  const auto good = tlsa(2, 0, 1, pki.root);
  CHECK(pki.dane({tlsa(3, 1, 1, other), good, tlsa(2, 1, 2, other)}).matched == good);
  const auto leaf = tlsa(3, 1, 1, pki.leaf);
  CHECK(pki.dane({good, leaf}).matched == leaf);
}

TEST_CASE("what identifies a leaf: digests, DNS-IDs, CN") {
  const Issued leaf = make({.cn = "Old.Example", .dns = {"MX.Example.COM", "*.example.net"}});
  const auto identity = identity_of(chain({leaf}));
  CHECK(identity.cert_sha256.size() == 64);
  CHECK(identity.spki_sha256.size() == 64);
  CHECK(identity.dns_ids == std::vector<std::string>{"mx.example.com", "*.example.net"});
  CHECK(identity.has_dns_id);
  CHECK(identity.common_name == "old.example");
  CHECK(matching_dns_id(identity, names({"mx.example.com"})[0]) == "mx.example.com");
  CHECK(matching_dns_id(identity, names({"a.example.net"})[0]) == "*.example.net");
  CHECK(matching_dns_id(identity, names({"a.b.example.net"})[0]).empty());
  CHECK(matching_dns_id(identity, names({"example.net"})[0]).empty());
  CHECK(matching_dns_id(identity, names({"old.example"})[0]).empty());  // the CN never counts
}

TEST_CASE("PKIX: trusted, expired, not yet valid, untrusted") {
  const Pki pki;
  const Store store(pki.root);
  CHECK(evaluate_pkix(pki.sent, store.store, terms).chain == dane::ChainState::trusted);
  CHECK(evaluate_pkix(pki.sent, store.store, terms).error.empty());
  CHECK(evaluate_pkix(pki.sent, store.store, {now + std::chrono::days{101}, 2}).chain ==
        dane::ChainState::expired);
  CHECK(evaluate_pkix(pki.sent, store.store, {now - std::chrono::days{101}, 2}).chain ==
        dane::ChainState::not_yet_valid);
  const Store strange(make({.cn = "root", .ca = true}));
  const auto evidence = evaluate_pkix(pki.sent, strange.store, terms);
  CHECK(evidence.chain == dane::ChainState::untrusted);
  CHECK_FALSE(evidence.error.empty());
  CHECK(evaluate_pkix({}, store.store, terms).chain == dane::ChainState::untrusted);
}

TEST_CASE("PKIX at any time: what is wrong besides the dates") {
  const Pki pki;
  const Store store(pki.root);
  const dane::VerifyTerms any{now + std::chrono::days{101}, 2, true};
  CHECK(evaluate_pkix(pki.sent, store.store, any).chain == dane::ChainState::trusted);
  const Store strange(make({.cn = "root", .ca = true}));
  CHECK(evaluate_pkix(pki.sent, strange.store, any).chain == dane::ChainState::untrusted);
}

TEST_CASE("the leaf in words: names, dates, key; nothing of a name reaches a terminal as it is") {
  const Pki pki;
  const auto certificate = certificate_of(pki.sent);
  REQUIRE(certificate);
  CHECK(certificate->subject == "CN=mx.example.com");
  CHECK(certificate->issuer == "CN=middle");
  REQUIRE(certificate->not_before);
  REQUIRE(certificate->not_after);
  CHECK(*certificate->not_before < now);
  CHECK(*certificate->not_after > now);
  CHECK(certificate->key.starts_with("EC "));
  CHECK(certificate->chain == 3);
  CHECK_FALSE(dane::certificate_of(dane::PeerChain{}));
  const Issued odd = make({.cn = "a\x1b[31m\xc2\x9b" + std::string(40, 'x')});
  const std::string subject = certificate_of(chain({odd}))->subject;
  for (const char c : subject) CHECK((c >= 0x20 && c < 0x7f));
}

TEST_CASE("PKIX: a missing intermediate, a client's certificate and a non-CA issuer are refused") {
  const Pki pki;
  const Store store(pki.root);
  CHECK(evaluate_pkix(chain({pki.leaf}), store.store, terms).chain ==
        dane::ChainState::untrusted);
  const Issued client = make({.cn = "c", .usage = "clientAuth"}, &pki.root);
  CHECK(evaluate_pkix(chain({client}), store.store, terms).chain == dane::ChainState::untrusted);
  const Issued child = make({.cn = "x", .dns = {"x.example"}}, &pki.leaf);
  CHECK(evaluate_pkix(chain({child, pki.leaf, pki.middle}), store.store, terms).chain ==
        dane::ChainState::untrusted);
}

TEST_CASE("PKIX and DANE-TA hold to the security level: SHA-1 signatures do not verify") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued weak = make({.cn = "x", .dns = {"mx.example.com"}, .digest = EVP_sha1()}, &root);
  const Store store(root);
  CHECK(evaluate_pkix(chain({weak, root}), store.store, terms).chain ==
        dane::ChainState::untrusted);
  const auto ids = names({"mx.example.com"});
  const auto ta = evaluate_dane(chain({weak, root}), std::vector{tlsa(2, 0, 1, root)}, ids, terms);
  CHECK_FALSE(ta.matched);
  CHECK(ta.untrusted);
  // DANE-EE does not look at signatures.
  CHECK(evaluate_dane(chain({weak}), std::vector{tlsa(3, 0, 1, weak)}, ids, terms).matched);
}

TEST_CASE("PEM without a certificate is an error") {
  CHECK_FALSE(dane::PeerChain::from_pem("").has_value());
  CHECK_FALSE(dane::PeerChain::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n").has_value());
}
