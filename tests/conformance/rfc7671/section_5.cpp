#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"

using namespace certs;

namespace {

dane::DaneEvidence evaluate(const dane::PeerChain& sent, const std::vector<dane::Tlsa>& records,
                            std::initializer_list<const char*> ids = {"mx.example.com"}) {
  return evaluate_dane(sent, records, names(ids), terms);
}

const Spec mx{.cn = "mx", .dns = {"mx.example.com"}};

}  // namespace

TEST_CASE("RFC 7671 §5.1: DANE-EE(3) ignores both dates of the certificate") {
  const Issued expired = make({.cn = "x", .dns = {"mx.example.com"}, .to = std::chrono::days{-1}});
  CHECK(evaluate(chain({expired}), {tlsa(3, 1, 1, expired)}).matched);
  const Issued early = make({.cn = "x", .dns = {"mx.example.com"}, .from = std::chrono::days{1}});
  CHECK(evaluate(chain({early}), {tlsa(3, 0, 2, early)}).matched);
}

TEST_CASE("RFC 7671 §5.1: DANE-EE(3) ignores names, issuer and extended key usage") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued leaf = make({.cn = "c", .dns = {"other.example"}, .usage = "clientAuth"}, &root);
  CHECK(evaluate(chain({leaf}), {tlsa(3, 1, 1, leaf)}).matched);
  CHECK(evaluate(chain({leaf}), {tlsa(3, 1, 1, leaf)}, {}).matched);
}

TEST_CASE("RFC 7671 §5.1: with selector SPKI(1) a renewed certificate on the same key matches") {
  const Issued old = make(mx);
  const Issued renewed = make(mx, nullptr, old.key);
  CHECK(evaluate(chain({renewed}), {tlsa(3, 1, 1, old)}).matched);
  CHECK_FALSE(evaluate(chain({renewed}), {tlsa(3, 0, 1, old)}).matched);
}

TEST_CASE("RFC 7671 §5.2: under DANE-TA(2) an expired leaf is refused as expired") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued leaf =
      make({.cn = "x", .dns = {"mx.example.com"}, .to = std::chrono::days{-1}}, &root);
  const auto evidence = evaluate(chain({leaf, root}), {tlsa(2, 0, 1, root)});
  CHECK_FALSE(evidence.matched);
  CHECK(evidence.expired);
  CHECK_FALSE(evidence.untrusted);
  const Issued early =
      make({.cn = "x", .dns = {"mx.example.com"}, .from = std::chrono::days{1}}, &root);
  CHECK(evaluate(chain({early, root}), {tlsa(2, 1, 1, root)}).expired);
}

TEST_CASE("RFC 7671 §5.2: a leaf that the anchor did not sign is refused") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued impostor = make({.cn = "root", .ca = true});
  const Issued leaf = make(mx, &impostor);
  const auto evidence = evaluate(chain({leaf, root}), {tlsa(2, 0, 1, root)});
  CHECK_FALSE(evidence.matched);
}

TEST_CASE("RFC 7671 §5.2.1: a digest matches only an anchor that the server sends") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued leaf = make(mx, &root);
  for (const unsigned selector : {0U, 1U}) {
    for (const unsigned mtype : {1U, 2U}) {
      CHECK_FALSE(evaluate(chain({leaf}), {tlsa(2, selector, mtype, root)}).matched);
      CHECK(evaluate(chain({leaf, root}), {tlsa(2, selector, mtype, root)}).matched);
    }
  }
}

TEST_CASE("RFC 7671 §5.2.2: a full certificate 2 0 0 verifies a chain without it") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued middle = make({.cn = "middle", .ca = true}, &root);
  const Issued leaf = make(mx, &middle);
  CHECK(evaluate(chain({leaf, middle}), {tlsa(2, 0, 0, root)}).matched);
  CHECK(evaluate(chain({leaf}), {tlsa(2, 0, 0, middle)}).matched);
  CHECK_FALSE(evaluate(chain({leaf}), {tlsa(2, 0, 0, root)}).matched);
}

TEST_CASE("RFC 7671 §5.2.3: a bare key 2 1 0 that signed the topmost certificate is an anchor") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued middle = make({.cn = "middle", .ca = true}, &root);
  const Issued leaf = make(mx, &middle);
  CHECK(evaluate(chain({leaf, middle}), {tlsa(2, 1, 0, root)}).matched);
  CHECK(evaluate(chain({leaf}), {tlsa(2, 1, 0, middle)}).matched);
  CHECK_FALSE(evaluate(chain({leaf}), {tlsa(2, 1, 0, root)}).matched);
  const Issued expired =
      make({.cn = "x", .dns = {"mx.example.com"}, .to = std::chrono::days{-1}}, &middle);
  CHECK(evaluate(chain({expired}), {tlsa(2, 1, 0, middle)}).expired);
  CHECK(evaluate(chain({leaf}), {tlsa(2, 1, 0, middle)}, {"other.example"}).name_mismatch);
}

TEST_CASE("RFC 7671 §5.2: the anchor's name constraints are honoured") {
  const Issued root =
      make({.cn = "root", .ca = true, .constraints = "permitted;DNS:example.net"});
  const Issued leaf = make(mx, &root);
  const auto evidence = evaluate(chain({leaf, root}), {tlsa(2, 0, 1, root)});
  CHECK_FALSE(evidence.matched);
  CHECK(evidence.untrusted);
}

TEST_CASE("RFC 7671 §5.2: an anchor that may not issue is none") {
  const Issued notca = make({.cn = "not a CA"});
  const Issued leaf = make(mx, &notca);
  CHECK_FALSE(evaluate(chain({leaf, notca}), {tlsa(2, 0, 1, notca)}).matched);
}

TEST_CASE("RFC 7671 §5.2: an anchor past its own dates anchors nothing, sent or from the DNS") {
  const Issued root = make({.cn = "root", .ca = true, .to = std::chrono::days{-1}});
  const Issued leaf = make(mx, &root);
  for (const auto& evidence : {evaluate(chain({leaf, root}), {tlsa(2, 0, 1, root)}),
                               evaluate(chain({leaf}), {tlsa(2, 0, 0, root)})}) {
    CHECK_FALSE(evidence.matched);
    CHECK(evidence.expired);
  }
  // A bare key has no dates.
  CHECK(evaluate(chain({leaf}), {tlsa(2, 1, 0, root)}).matched);
}

TEST_CASE("RFC 7671 §5.2: the order of the certificates sent does not matter, strangers neither") {
  const Issued root = make({.cn = "root", .ca = true});
  const Issued middle = make({.cn = "middle", .ca = true}, &root);
  const Issued leaf = make(mx, &middle);
  const Issued stranger = make({.cn = "stranger", .ca = true});
  CHECK(evaluate(chain({leaf, root, stranger, middle}), {tlsa(2, 1, 1, root)}).matched);
  // A certificate that matches and issued nothing of the path is no anchor of it.
  CHECK_FALSE(evaluate(chain({leaf, middle, root, stranger}), {tlsa(2, 0, 1, stranger)}).matched);
}

TEST_CASE("RFC 7671 §5.2: the path ends at the anchor; what is above it is not looked at") {
  const Issued root = make({.cn = "root", .ca = true, .to = std::chrono::days{-1}});
  const Issued middle = make({.cn = "middle", .ca = true}, &root);
  const Issued leaf = make(mx, &middle);
  CHECK(evaluate(chain({leaf, middle, root}), {tlsa(2, 0, 1, middle)}).matched);
  CHECK(evaluate(chain({leaf, middle, root}), {tlsa(2, 1, 2, middle)}).matched);
}
