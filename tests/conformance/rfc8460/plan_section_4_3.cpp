// RFC 8460 §4.3: the result type of each failure, and the entries that a session counts in.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;
using Lines = std::vector<std::string>;

TEST_CASE("RFC 8460 §4.3.1: the types of negotiation failures") {
  pt::Setup setup;
  setup.with(pt::sts(StsMode::testing));
  const auto told = [&setup](const Evidence& evidence) {
    return pt::summary(setup.judged(evidence).results);
  };
  CHECK(told(pt::no_starttls()) == Lines{"sts starttls-not-supported"});
  CHECK(told(pt::session(ChainState::trusted, {"x.example"})) ==
        Lines{"sts certificate-host-mismatch"});
  CHECK(told(pt::session(ChainState::expired)) == Lines{"sts certificate-expired"});
  CHECK(told(pt::session(ChainState::untrusted)) == Lines{"sts certificate-not-trusted"});
  CHECK(told(pt::no_handshake()) == Lines{"sts validation-failure"});
}

TEST_CASE("RFC 8460 §4.3.2.1: usage 3 has no expiry; usage 2 has") {
  TlsSession expired = pt::session();
  expired.dane->expired = true;
  const auto told = [&expired](const dane::Tlsa& record) {
    return pt::summary(
        pt::Setup().with(pt::usable("mx.example.com", {record})).judged(expired).results);
  };
  CHECK(told(pt::tlsa(3)) == Lines{"tlsa validation-failure"});
  CHECK(told(pt::tlsa(2, 0)) == Lines{"tlsa certificate-expired"});
}

TEST_CASE("RFC 8460 §4.3.2.2: a policy that could not be had") {
  pt::Setup setup;
  for (const auto type : {tlsrpt::ResultType::sts_policy_fetch_error,
                          tlsrpt::ResultType::sts_policy_invalid,
                          tlsrpt::ResultType::sts_webpki_invalid}) {
    setup.with(StsUnavailable{"1", {type, "reason"}});
    const Verdict verdict = setup.judged(pt::session());
    REQUIRE(verdict.results.size() == 1);
    CHECK_FALSE(verdict.results[0].success);
    CHECK(verdict.results[0].failures[0].type == type);
    CHECK(verdict.results[0].policy.type == tlsrpt::PolicyType::sts);
    CHECK(verdict.results[0].policy.strings.empty());
  }
}

TEST_CASE("RFC 8460 §4.4: a session under two policies counts in each, judged by itself") {
  pt::Setup setup;
  setup.with(pt::usable()).with(pt::sts(StsMode::enforce));
  CHECK(pt::summary(setup.judged(pt::matching(pt::session())).results) ==
        Lines{"tlsa ok", "sts ok"});
  CHECK(pt::summary(setup.judged(pt::session()).results) ==
        Lines{"tlsa validation-failure", "sts ok"});
  CHECK(pt::summary(setup.judged(pt::no_starttls()).results) ==
        Lines{"tlsa starttls-not-supported", "sts starttls-not-supported"});
}
