// RFC 7672 §2: when a server may be used and what it must prove.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;

TEST_CASE("RFC 7672 §2.1.2: an error in the MX look-up delays the message") {
  pt::Setup setup;
  for (const bool bogus : {false, true}) {
    setup.facts.mx = MxFailed{"MX example.com", bogus};
    CHECK(setup.refused().reply.is_transient());
  }
}

TEST_CASE("RFC 7672 §2.1.2: a server whose TLSA look-up failed is not connected to") {
  for (const bool bogus : {false, true}) {
    const Excluded out = pt::Setup().with(pt::dane_failed(bogus)).excluded();
    CHECK(pt::code(out.reply) == "451 4.7.5");
    CHECK(out.result == tlsrpt::ResultType::dnssec_invalid);
  }
}

TEST_CASE("RFC 7672 §2.1.2: with several MXs one that fails leaves the others") {
  pt::Setup setup;
  setup.facts.mx = MxList{{{pt::name("a.example.com"), 1}, {pt::name("b.example.com"), 2}}, {}};
  setup.host.host = pt::name("a.example.com");
  setup.host.dane = pt::dane_failed();
  CHECK(std::holds_alternative<Excluded>(setup.plan().decision));
  setup.host.host = pt::name("b.example.com");
  setup.host.dane = pt::no_dane();
  CHECK(std::holds_alternative<Try>(setup.plan().decision));
}

TEST_CASE("RFC 7672 §2.2: usable records: authenticated TLS or nothing") {
  pt::Setup setup;
  setup.with(pt::usable());
  CHECK(pt::authorized(setup.judged(pt::matching(pt::session()))));
  CHECK(pt::denied(setup.judged(pt::session())));
  CHECK(pt::denied(setup.judged(pt::no_starttls())));
  CHECK(pt::denied(setup.judged(pt::no_handshake())));
}

TEST_CASE("RFC 7672 §2.2: secure records, none usable: TLS unauthenticated, never cleartext") {
  pt::Setup setup;
  setup.with(pt::unusable());
  CHECK(pt::authorized(setup.judged(pt::session(ChainState::untrusted, {}))));
  CHECK(pt::denied(setup.judged(pt::no_starttls())));
  CHECK(pt::denied(setup.judged(pt::no_handshake())));
}

TEST_CASE("RFC 7672 §2.2: no secure records: opportunistic, cleartext after a failed handshake") {
  pt::Setup setup;
  CHECK(pt::authorized(setup.judged(pt::session(ChainState::untrusted))));
  CHECK(pt::authorized(setup.judged(pt::no_starttls())));
  CHECK(pt::retries(setup.judged(pt::no_handshake())));
}

TEST_CASE("RFC 7672 §2.2.1: hosts by preference; TLSA at a worse one pre-empts nothing") {
  pt::Setup setup;
  setup.facts.mx = MxList{{{pt::name("dane.example.com"), 20}, {pt::name("plain.example.com"), 10}},
                          {}};
  setup.host.host = pt::name("dane.example.com");
  setup.with(pt::usable("dane.example.com"));
  CHECK(setup.accepted().hosts.front().host.str() == "plain.example.com");
}

TEST_CASE("RFC 7672 §2.2.1: TLSA is per MX host") {
  pt::Setup setup;
  setup.with(pt::usable());
  CHECK(to_string(setup.tried().requirement) == "dane");
  setup.host.host = pt::name("mx2.example.com");
  setup.with(pt::no_dane());
  CHECK(to_string(setup.tried().requirement) == "opportunistic");
}

TEST_CASE("RFC 7672 §2.2.1: DANE behind an insecure MX is not secure delivery to the domain") {
  pt::Setup setup;
  const Verdict verdict =
      setup.insecure().with(pt::usable()).judged(pt::matching(pt::session(ChainState::untrusted)));
  REQUIRE(pt::authorized(verdict));
  CHECK(pt::authorized(verdict)->protection() == Protection::encrypted);
}

TEST_CASE("RFC 7672 §2.2.2: a host without address is unreachable") {
  pt::Setup setup;
  setup.host.addresses.clear();
  setup.host.no_address_proven = true;
  CHECK(std::holds_alternative<Excluded>(setup.plan().decision));
}
