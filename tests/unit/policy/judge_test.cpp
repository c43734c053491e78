// judge(): the words of its replies and reasons, and evidence that no honest shell would bring.
#include "plan_support.h"

using namespace policy;
namespace pt = plan_test;

namespace {

const Denied& must_deny(const Verdict& verdict) {
  REQUIRE(pt::denied(verdict));
  return *pt::denied(verdict);
}

}  // namespace

TEST_CASE("a refusal by MTA-STS names policy, id, mode, MX, domain and reason") {
  pt::Setup setup;
  TlsSession bad = pt::session(ChainState::expired);
  bad.pkix.chain_error = "certificate has expired (depth 0)";
  const Verdict verdict = setup.with(pt::sts(StsMode::enforce)).judged(bad);
  CHECK(pt::text(must_deny(verdict).reply) ==
        "the MTA-STS policy of example.com (id 20260101, enforce) is not met by the certificate, "
        "MX mx.example.com of example.com: certificate has expired (depth 0)");
  CHECK(verdict.reason == "certificate has expired (depth 0)");
  CHECK(verdict.result == tlsrpt::ResultType::certificate_expired);
}

TEST_CASE("a refusal by DANE names the TLSA base domain, MX and reason") {
  pt::Setup setup;
  const Verdict verdict = setup.with(pt::usable("real.example.net")).judged(pt::session());
  CHECK(pt::text(must_deny(verdict).reply) ==
        "the TLSA records (DANE) of real.example.net do not match the certificate, "
        "MX mx.example.com of example.com: dane-no-match");
}

TEST_CASE("a refusal by the operator says that it is this server's own") {
  Rule rule;
  rule.require = Require::encrypted;
  const Verdict verdict = pt::Setup().with(rule).judged(pt::no_starttls());
  CHECK(pt::text(must_deny(verdict).reply) ==
        "this server's own requirement for example.com is TLS, "
        "MX mx.example.com of example.com: STARTTLS is not offered");
}

TEST_CASE("DANE without evidence is a failure, not a pass") {
  pt::Setup setup;
  TlsSession blind = pt::session();
  blind.dane.reset();
  const Verdict verdict = setup.with(pt::usable()).judged(blind);
  CHECK(must_deny(verdict).by == PolicyKind::tlsa);
}

TEST_CASE("a match with a record that was not to be used is no match") {
  pt::Setup setup;
  const auto other = pt::tlsa(3, 1, 0x77);
  const Verdict verdict = setup.with(pt::usable()).judged(pt::matching(pt::session(), other));
  CHECK(must_deny(verdict).by == PolicyKind::tlsa);
}

TEST_CASE("a match claimed where all records are unusable authenticates nobody") {
  pt::Setup setup;
  const Verdict verdict =
      setup.with(pt::unusable())
          .judged(pt::matching(pt::session(ChainState::untrusted), pt::tlsa(1)));
  REQUIRE(pt::authorized(verdict));
  CHECK(pt::authorized(verdict)->peer_auth() == PeerAuth::none);
}

TEST_CASE("RFC 8461 §4.2: the common name never counts") {
  pt::Setup setup;
  TlsSession bare = pt::session(ChainState::trusted, {});
  bare.pkix.common_name = "mx.example.com";
  const Verdict verdict = setup.with(pt::sts(StsMode::enforce)).judged(bare);
  must_deny(verdict);
  CHECK(verdict.result == tlsrpt::ResultType::certificate_host_mismatch);
  CHECK(verdict.reason == "certificate names no host, not for mx.example.com");
}

TEST_CASE("an anonymous session has no key to match a pin with") {
  Rule rule;
  rule.spki_sha256 = {""};
  TlsSession anonymous = pt::session(ChainState::unknown, {});
  anonymous.spki_sha256.clear();
  anonymous.cert_sha256.clear();
  must_deny(pt::Setup().with(rule).judged(anonymous));
}

TEST_CASE("the reconnect in cleartext is not counted again, nor lets a demand slip") {
  pt::Setup setup;
  const Verdict clear = setup.judged(pt::no_starttls(), true);
  REQUIRE(pt::authorized(clear));
  CHECK(clear.results.empty());
  CHECK_FALSE(clear.result);
  const Verdict denied = setup.with(pt::usable()).judged(pt::no_starttls(), true);
  must_deny(denied);
  CHECK(denied.results.empty());
}

TEST_CASE("the line's result speaks of the policy that gave the requirement") {
  pt::Setup setup;
  setup.with(pt::usable()).with(pt::sts(StsMode::enforce));
  const Verdict verdict = setup.judged(pt::matching(pt::session(ChainState::untrusted)));
  REQUIRE(pt::authorized(verdict));
  CHECK_FALSE(verdict.result);  // the line is DANE's
  CHECK(pt::summary(verdict.results) ==
        std::vector<std::string>{"tlsa ok", "sts certificate-not-trusted"});
}

TEST_CASE("a failed refresh is told beside a good session, which stays a success") {
  pt::Setup setup;
  auto state = std::get<StsActive>(pt::sts(StsMode::enforce));
  state.refresh_failure = pt::fetch_failure();
  const Verdict verdict = setup.with(state).judged(pt::session());
  REQUIRE(pt::authorized(verdict));
  REQUIRE(verdict.results.size() == 1);
  CHECK(verdict.results[0].success);
  REQUIRE(verdict.results[0].failures.size() == 1);
  CHECK(verdict.results[0].failures[0].reason == "HTTP status 503");
  CHECK_FALSE(verdict.result);
}

TEST_CASE("all TLSA records unusable: the reason says so and why") {
  const Verdict verdict = pt::Setup().with(pt::unusable()).judged(pt::session());
  REQUIRE(verdict.results.size() == 1);
  REQUIRE(verdict.results[0].failures.size() == 1);
  CHECK(verdict.results[0].failures[0].reason == "all-unusable: usage 1 is not for SMTP");
  CHECK(verdict.result == tlsrpt::ResultType::tlsa_invalid);
}

TEST_CASE("words of the log") {
  CHECK(to_string(PeerAuth::dane_ee) == "dane-ee");
  CHECK(to_string(PeerAuth::dane_ta) == "dane-ta");
  CHECK(to_string(PeerAuth::pkix) == "pkix");
  CHECK(to_string(PeerAuth::pin) == "pin");
  CHECK(to_string(PeerAuth::none) == "none");
  CHECK(to_string(Protection::authenticated) == "authenticated");
  CHECK(to_string(Protection::encrypted) == "encrypted");
  CHECK(to_string(Protection::cleartext) == "cleartext");
  CHECK(to_string(PolicyKind::tlsa) == "tlsa");
  CHECK(to_string(PolicyKind::sts) == "sts");
  CHECK(to_string(PolicyKind::operator_rule) == "operator");
  CHECK(to_string(PolicyKind::none) == "no-policy-found");
}
