// RFC 7672 §3 (authentication), §6 (mandatory DANE), §8.1 (SNI), as decided by plan and judge.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;

TEST_CASE("RFC 7672 §3.1.1: DANE-EE: neither names nor dates nor the issuer count") {
  pt::Setup setup;
  setup.with(pt::usable());
  for (const ChainState chain : {ChainState::expired, ChainState::not_yet_valid,
                                 ChainState::untrusted, ChainState::unknown}) {
    const Verdict verdict =
        setup.judged(pt::matching(pt::session(chain, {"unrelated.example.net"})));
    REQUIRE(pt::authorized(verdict));
    CHECK(pt::authorized(verdict)->peer_auth() == PeerAuth::dane_ee);
    CHECK(pt::authorized(verdict)->protection() == Protection::authenticated);
  }
}

TEST_CASE("RFC 7672 §3.2: no fallback to PKIX: a good certificate that matches no TLSA fails") {
  const Verdict verdict = pt::Setup().with(pt::usable()).judged(pt::session());
  REQUIRE(pt::denied(verdict));
  CHECK(pt::code(pt::denied(verdict)->reply) == "451 4.7.5");
}

TEST_CASE("RFC 7672 §3.2.2: the reference identifiers are handed to the handshake") {
  const Try tried = pt::Setup().with(pt::usable("real.example.net", {pt::tlsa(2, 0)})).tried();
  REQUIRE(tried.tlsa);
  CHECK(tried.tlsa->reference_ids ==
        std::vector{pt::name("real.example.net"), pt::name("example.com")});
}

TEST_CASE("RFC 7672 §6: mandatory DANE: without usable TLSA or behind an insecure MX: delay") {
  Rule rule;
  rule.require = Require::dane;
  const Excluded none = pt::Setup().with(rule).excluded();
  CHECK(pt::code(none.reply) == "451 4.7.5");
  CHECK(none.result == tlsrpt::ResultType::dane_required);
  const Excluded unusable = pt::Setup().with(rule).with(pt::unusable()).excluded();
  CHECK(unusable.result == tlsrpt::ResultType::dane_required);
  const Refused refused = pt::Setup().with(rule).with(pt::usable()).insecure().refused();
  CHECK(pt::code(refused.reply) == "451 4.7.5");
  CHECK(refused.result == tlsrpt::ResultType::dane_required);
}

TEST_CASE("RFC 7672 §8.1: SNI is the TLSA base domain") {
  CHECK(pt::Setup().with(pt::usable("real.example.net")).tried().sni ==
        pt::name("real.example.net"));
  CHECK(pt::Setup().with(pt::unusable("real.example.net")).tried().sni ==
        pt::name("real.example.net"));
  pt::Setup both;
  both.with(pt::usable("real.example.net")).with(pt::sts(StsMode::enforce)).with(Combine::both);
  CHECK(both.tried().sni == pt::name("real.example.net"));
  REQUIRE(pkix_of(both.tried().requirement));
  CHECK(pkix_of(both.tried().requirement)->name == pt::name("mx.example.com"));
}
