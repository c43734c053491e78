// plan(): what the scenarios do not show: fingerprints, the policies named to TLS-RPT, literals,
// flags for the delivery.
#include <algorithm>

#include "plan_support.h"

using namespace policy;
namespace pt = plan_test;

TEST_CASE("fingerprint: the same requirement in another order is the same") {
  const Dane one{{pt::tlsa(3), pt::tlsa(2, 0)}, {pt::name("a.example"), pt::name("b.example")}};
  const Dane two{{pt::tlsa(2, 0), pt::tlsa(3)}, {pt::name("b.example"), pt::name("a.example")}};
  CHECK(fingerprint(one) == fingerprint(two));
  CHECK(fingerprint(Pinned{{"aa", "bb"}, {}, {}}) == fingerprint(Pinned{{"bb", "aa"}, {}, {}}));
}

TEST_CASE("fingerprint: whatever a requirement names tells it from others") {
  const base::Domain mx = pt::name("mx.example.com");
  const Dane dane{{pt::tlsa()}, {mx}};
  const Pkix pkix{mx, {}, {}};
  const std::vector<TlsRequirement> all{
      Opportunistic{},
      Encrypted{},
      dane,
      Dane{{pt::tlsa(3, 1, 0xcd)}, {mx}},
      Dane{{pt::tlsa(3, 0)}, {mx}},
      Dane{{pt::tlsa(2)}, {mx}},
      Dane{{pt::tlsa(2)}, {pt::name("other.example.com")}},
      Dane{{pt::tlsa(2)}, {mx, pt::name("example.com")}},
      Dane{{pt::tlsa(2), pt::tlsa()}, {mx, pt::name("example.com")}},
      pkix,
      Pkix{pt::name("mx2.example.com"), {}, {}},
      Pkix{mx, "/etc/ca.pem", {}},
      Pkix{mx, "", {}},
      Pkix{mx, {}, pt::name("example.com")},
      Pkix{mx, {}, pt::name("example.org")},
      DaneAndPkix{dane, pkix},
      Pinned{{"aa"}, {}, {}},
      Pinned{{"bb"}, {}, {}},
      Pinned{{"aa", "bb"}, {}, {}},
      Pinned{{"aa"}, dane, {}},
      Pinned{{"aa"}, {}, pkix},
      Pinned{{"aa"}, dane, pkix},
  };
  std::vector<std::string> seen;
  for (const TlsRequirement& requirement : all) seen.push_back(fingerprint(requirement));
  std::ranges::sort(seen);
  CHECK(std::ranges::adjacent_find(seen) == seen.end());
}

TEST_CASE("RFC 7672 §3.1.1: DANE-EE alone demands the same of a host for every domain") {
  const base::Domain mx = pt::name("mx.example.com");
  const Dane one{{pt::tlsa()}, {mx, pt::name("example.com")}};
  const Dane two{{pt::tlsa()}, {mx, pt::name("example.org")}};
  CHECK(fingerprint(one) == fingerprint(two));
  CHECK(fingerprint(Pinned{{"aa"}, one, {}}) == fingerprint(Pinned{{"aa"}, two, {}}));
}

TEST_CASE("the parts of a requirement are found wherever they stand") {
  const Dane dane{{pt::tlsa()}, {}};
  const Pkix pkix{pt::name("mx.example.com"), {}, {}};
  CHECK(dane_of(dane));
  CHECK_FALSE(pkix_of(dane));
  CHECK(dane_of(DaneAndPkix{dane, pkix}));
  CHECK(pkix_of(DaneAndPkix{dane, pkix}));
  CHECK(dane_of(Pinned{{"aa"}, dane, {}}));
  CHECK_FALSE(pkix_of(Pinned{{"aa"}, dane, {}}));
  CHECK(pkix_of(Pinned{{"aa"}, {}, pkix}));
  CHECK_FALSE(dane_of(Encrypted{}));
  CHECK(demands_tls(Encrypted{}));
  CHECK_FALSE(demands_tls(Opportunistic{}));
}

TEST_CASE("RFC 8460 §4.5: the tlsa policy names the base domain and the records, sorted") {
  pt::Setup setup;
  setup.with(pt::usable("real.example.net", {pt::tlsa(3, 1, 0xff), pt::tlsa(3, 1, 0x01)}));
  const Try tried = setup.tried();
  REQUIRE(tried.tlsa);
  CHECK(tried.tlsa->policy.type == tlsrpt::PolicyType::tlsa);
  CHECK(tried.tlsa->policy.domain == "real.example.net");
  REQUIRE(tried.tlsa->policy.strings.size() == 2);
  CHECK(tried.tlsa->policy.strings[0] == pt::tlsa(3, 1, 0x01).str());
  CHECK(tried.tlsa->policy.strings[1] == pt::tlsa(3, 1, 0xff).str());
  CHECK(tried.tlsa->policy.mx_hosts.empty());
  CHECK_FALSE(tried.none);
}

TEST_CASE("the tlsa policy quotes what is published, the demand what is usable") {
  pt::Setup setup;
  auto status = std::get<dane::Usable>(pt::usable());
  status.published.push_back(pt::tlsa(1));
  const Try tried = setup.with(status).tried();
  CHECK(tried.tlsa->policy.strings.size() == 2);
  CHECK(tried.tlsa->records.size() == 1);
  REQUIRE(dane_of(tried.requirement));
  CHECK(dane_of(tried.requirement)->records.size() == 1);
  CHECK(dane_of(tried.requirement)->reference_ids == status.reference_ids);
}

TEST_CASE("RFC 8460 §4.5: the sts policy quotes its lines and patterns") {
  pt::Setup setup;
  const auto state = pt::sts(StsMode::enforce, {"*.example.com", "mx2.example.org"});
  const Try tried = setup.with(state).tried();
  REQUIRE(tried.sts);
  CHECK(tried.sts->policy.domain == "example.com");
  CHECK(tried.sts->policy.strings == std::get<StsActive>(state).policy.lines);
  CHECK(tried.sts->policy.mx_hosts == std::vector<std::string>{"*.example.com", "mx2.example.org"});
  CHECK(tried.sts->id == "20260101");
  CHECK(tried.sts->pattern == "*.example.com");
}

TEST_CASE("a policy that could not be fetched is an sts entry with nothing in it") {
  pt::Setup setup;
  const Try tried = setup.with(StsUnavailable{"7", pt::fetch_failure()}).tried();
  REQUIRE(tried.none);
  CHECK(tried.none->policy == tlsrpt::Policy{tlsrpt::PolicyType::sts, "example.com", {}, {}});
  CHECK(tried.none->fetch_failure == pt::fetch_failure());
}

TEST_CASE("no policy: the entry names the recipient domain") {
  const Try tried = pt::Setup().tried();
  REQUIRE(tried.none);
  CHECK(tried.none->policy ==
        tlsrpt::Policy{tlsrpt::PolicyType::no_policy_found, "example.com", {}, {}});
}

TEST_CASE("a TLSA look-up error is reported under the host: no base domain is known") {
  pt::Setup setup;
  const Excluded out = setup.with(pt::dane_failed(true)).excluded();
  REQUIRE(out.results.size() == 1);
  CHECK(out.results[0].policy ==
        tlsrpt::Policy{tlsrpt::PolicyType::tlsa, "mx.example.com", {}, {}});
}

TEST_CASE("MX not listed: the reason is sts-mx-mismatch") {
  pt::Setup setup;
  const Excluded out = setup.with(pt::sts(StsMode::enforce, {"a.example.com"})).excluded();
  REQUIRE(out.results.size() == 1);
  REQUIRE(out.results[0].failures.size() == 1);
  CHECK(out.results[0].failures[0].reason == "sts-mx-mismatch");
}

TEST_CASE("a host proven without address is flagged; one whose look-up failed is not") {
  pt::Setup setup;
  setup.host.addresses.clear();
  setup.host.no_address_proven = true;
  CHECK(setup.excluded().no_address);
  setup.host.no_address_proven = false;
  CHECK_FALSE(setup.excluded().no_address);
  setup.host.address_error = "A mx.example.com: SERVFAIL";
  setup.host.no_address_proven = true;
  CHECK_FALSE(setup.excluded().no_address);
  CHECK(pt::code(setup.excluded().reply) == "451 4.4.3");
  CHECK(pt::code(no_address_reply(setup.facts.domain)) == "550 5.4.4");
}

TEST_CASE("a family that failed does not keep the other from being used where DANE is no matter") {
  pt::Setup setup;
  setup.host.address_error = "AAAA mx.example.com: SERVFAIL";
  CHECK(std::holds_alternative<Try>(setup.plan().decision));
  setup.with(pt::dane_failed());
  CHECK(setup.excluded().by_policy);
}

TEST_CASE("the domain's own kind and mode, for lines before any host is known") {
  Rule rule;
  Exception exception;
  const auto check = [](const pt::Setup& setup, PolicyKind kind, std::string_view mode) {
    const DomainPlan plan = setup.accepted();
    CHECK(plan.kind == kind);
    CHECK(plan.policy_mode == mode);
  };
  check(pt::Setup(), PolicyKind::none, "");
  check(pt::Setup().with(pt::sts(StsMode::none)), PolicyKind::none, "none");
  check(pt::Setup().with(pt::sts(StsMode::testing)), PolicyKind::sts, "testing");
  check(pt::Setup().with(pt::sts(StsMode::enforce)), PolicyKind::sts, "enforce");
  check(pt::Setup().with(rule), PolicyKind::operator_rule, "enforce");
  check(pt::Setup().with(rule).with(pt::sts(StsMode::testing)), PolicyKind::operator_rule,
        "enforce");
  check(pt::Setup().with(exception).with(pt::sts(StsMode::enforce)), PolicyKind::operator_rule,
        "enforce");
}

TEST_CASE("the rule or exception in force is handed on for the log") {
  Rule rule;
  Exception exception;
  CHECK(pt::Setup().with(rule).accepted().rule == &rule);
  const DomainPlan plan = pt::Setup().with(rule).with(exception).accepted();
  CHECK(plan.rule == nullptr);
  CHECK(plan.exception == &exception);
}

TEST_CASE("address literals: the operator's default alone, and nothing for TLS-RPT") {
  Settings settings;
  const base::Ip literal = pt::ip("192.0.2.1");
  const auto plain = std::get<Try>(plan_literal(settings, literal));
  CHECK(std::holds_alternative<Opportunistic>(plain.requirement));
  CHECK_FALSE(plain.sni);
  const Verdict clear = judge(plain, literal, pt::no_starttls());
  REQUIRE(pt::authorized(clear));
  CHECK(pt::authorized(clear)->protection() == Protection::cleartext);
  CHECK(clear.results.empty());
  const Verdict tls = judge(plain, literal, pt::session());
  REQUIRE(pt::authorized(tls));
  CHECK(pt::authorized(tls)->peer_auth() == PeerAuth::none);
  CHECK(pt::authorized(tls)->protection() == Protection::encrypted);

  settings.fallback = Default::encrypted;
  const auto encrypted = std::get<Try>(plan_literal(settings, literal));
  const Verdict denied = judge(encrypted, literal, pt::no_starttls());
  REQUIRE(pt::denied(denied));
  CHECK(pt::code(pt::denied(denied)->reply) == "451 4.7.4");

  settings.fallback = Default::verified;
  const auto out = std::get<Excluded>(plan_literal(settings, literal));
  CHECK(pt::code(out.reply) == "451 4.7.5");
  CHECK(out.by_policy);
}

TEST_CASE("RFC 5321 §5.1: equal preferences are shuffled, a preference never crossed") {
  std::vector<MxHost> hosts{{pt::name("a.example"), 5},
                            {pt::name("b.example"), 10},
                            {pt::name("c.example"), 10},
                            {pt::name("d.example"), 20}};
  shuffle_equal_preferences(hosts, [](std::size_t) { return std::size_t{0}; });
  REQUIRE(hosts.size() == 4);
  CHECK(hosts[0].host.str() == "a.example");
  CHECK(hosts[1].host.str() == "c.example");
  CHECK(hosts[2].host.str() == "b.example");
  CHECK(hosts[3].host.str() == "d.example");
}
