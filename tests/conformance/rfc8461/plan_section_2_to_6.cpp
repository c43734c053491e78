// RFC 8461 §2, §4, §5, §6: what an MTA-STS policy decides about a host and a session.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;

TEST_CASE("RFC 8461 §2: MTA-STS never overrides a failing DANE validation") {
  for (const Combine combine : {Combine::dane_first, Combine::both, Combine::dane_alone}) {
    pt::Setup setup;
    setup.with(pt::usable()).with(pt::sts(StsMode::enforce)).with(combine);
    const Verdict verdict = setup.judged(pt::session());
    REQUIRE(pt::denied(verdict));
    CHECK(pt::denied(verdict)->by == PolicyKind::tlsa);
  }
}

TEST_CASE("RFC 8461 §4.1: the MX name must match a pattern; a wildcard is one label") {
  const auto listed = [](std::string_view host, std::string_view pattern) {
    pt::Setup setup;
    setup.host.host = pt::name(host);
    setup.with(pt::sts(StsMode::enforce, {std::string(pattern)}));
    return std::holds_alternative<Try>(setup.plan().decision);
  };
  CHECK(listed("mail.example.com", "mail.example.com"));
  CHECK(listed("MAIL.example.com", "mail.example.com"));
  CHECK(listed("mail.example.com.", "mail.example.com"));
  CHECK(listed("mail.example.com", "*.example.com"));
  CHECK_FALSE(listed("example.com", "*.example.com"));
  CHECK_FALSE(listed("a.b.example.com", "*.example.com"));
  CHECK_FALSE(listed("mail.example.org", "mail.example.com"));
}

TEST_CASE("RFC 8461 §4.2: the certificate is matched with the MX name, not with the pattern") {
  pt::Setup setup;
  setup.with(pt::sts(StsMode::enforce, {"*.example.com"}));
  CHECK(pt::authorized(setup.judged(pt::session(ChainState::trusted, {"mx.example.com"}))));
  CHECK(pt::authorized(setup.judged(pt::session(ChainState::trusted, {"*.example.com"}))));
  CHECK(pt::denied(setup.judged(pt::session(ChainState::trusted, {"other.example.com"}))));
  CHECK(pt::denied(setup.judged(pt::session(ChainState::trusted, {"example.com"}))));
  CHECK(pt::denied(setup.judged(pt::session(ChainState::trusted, {"*.mx.example.com"}))));
}

TEST_CASE("RFC 8461 §4.2: expired, not yet valid, self-signed: no") {
  pt::Setup setup;
  setup.with(pt::sts(StsMode::enforce));
  for (const ChainState chain : {ChainState::expired, ChainState::not_yet_valid,
                                 ChainState::untrusted, ChainState::unknown}) {
    const Verdict verdict = setup.judged(pt::session(chain));
    REQUIRE(pt::denied(verdict));
    CHECK(pt::code(pt::denied(verdict)->reply) == "451 4.7.5");
  }
}

TEST_CASE("RFC 8461 §5: enforce: no host that fails, and every failure is transient") {
  pt::Setup setup;
  setup.with(pt::sts(StsMode::enforce));
  for (const Evidence& evidence :
       {Evidence(pt::no_starttls()), Evidence(pt::no_handshake()),
        Evidence(pt::session(ChainState::untrusted))}) {
    const Verdict verdict = setup.judged(evidence);
    REQUIRE(pt::denied(verdict));
    CHECK(pt::denied(verdict)->reply.is_transient());
  }
  setup.with(pt::sts(StsMode::enforce, {"other.example.com"}));
  CHECK(setup.excluded().reply.is_transient());
}

TEST_CASE("RFC 8461 §5: testing: delivered as if nothing failed, and reported") {
  pt::Setup setup;
  setup.with(pt::sts(StsMode::testing, {"other.example.com"}));
  const Verdict clear = setup.judged(pt::no_starttls());
  REQUIRE(pt::authorized(clear));
  CHECK(pt::summary(clear.results) ==
        std::vector<std::string>{"sts validation-failure starttls-not-supported"});
  CHECK(pt::retries(setup.judged(pt::no_handshake())));
  CHECK(pt::authorized(setup.judged(pt::session(ChainState::expired))));
}

TEST_CASE("RFC 8461 §5: none: no active policy, no failure against it") {
  pt::Setup setup;
  const Verdict verdict =
      setup.with(pt::sts(StsMode::none)).judged(pt::session(ChainState::expired));
  REQUIRE(pt::authorized(verdict));
  CHECK(pt::summary(verdict.results) == std::vector<std::string>{"no-policy-found ok"});
}

TEST_CASE("RFC 8461 §8.4: hosts that do not match stay in the list") {
  pt::Setup setup;
  setup.facts.mx = MxList{{{pt::name("bad.example.net"), 1}, {pt::name("mx.example.com"), 2}}, {}};
  setup.with(pt::sts(StsMode::enforce));
  REQUIRE(setup.accepted().hosts.size() == 2);
  CHECK(setup.accepted().hosts.front().host.str() == "bad.example.net");
}

TEST_CASE("RFC 8461 §3.4: an implicit MX must match a pattern like any MX") {
  pt::Setup setup;
  setup.facts.mx = ImplicitMx{};
  setup.host.host = pt::name("example.com");
  setup.with(pt::sts(StsMode::enforce, {"*.example.com"}));
  CHECK(std::holds_alternative<Excluded>(setup.plan().decision));
  setup.with(pt::sts(StsMode::enforce, {"example.com"}));
  CHECK(std::holds_alternative<Try>(setup.plan().decision));
}
