// What becomes of the address that an MTA dialled: where nothing is promised it is used, where a
// policy applies it is used only as an approved host's, and no doubt is taken for a promise kept.
#include "policy/dialled.h"

#include "plan_support.h"

using namespace policy;
namespace pt = plan_test;

namespace {

const base::Ip first = pt::ip("192.0.2.1"), second = pt::ip("192.0.2.2");
const base::Ip strange = pt::ip("198.51.100.66");

// example.com with mx1 (192.0.2.1) and mx2 (192.0.2.2), nothing published.
struct Two : pt::Setup {
  std::vector<HostFacts> hosts{
      {pt::name("mx1.example.com"), {first}, {}, false, false, pt::no_dane()},
      {pt::name("mx2.example.com"), {second}, {}, false, false, pt::no_dane()}};
  bool second_known = true;

  Two() { facts.mx = MxList{{{pt::name("mx1.example.com"), 10}, {pt::name("mx2.example.com"), 20}},
                            {}}; }
  std::vector<std::optional<HostPlan>> plans() const {
    std::vector<std::optional<HostPlan>> out;
    for (const HostFacts& one : hosts) out.push_back(plan_host(settings, accepted(), one));
    if (!second_known) out[1].reset();
    return out;
  }
  // "mx1", "mx2", "address", "hosts".
  std::string named(const DialledRoute& route) const {
    if (const auto* to = std::get_if<ToDialledHost>(&route)) {
      return hosts.at(to->index).host.str().substr(0, 3);
    }
    return std::holds_alternative<ToHosts>(route) ? "hosts" : "address";
  }
  std::string route(const base::Ip& dialled) const {
    const auto all = plans();
    return named(route_dialled(settings, accepted(), all, dialled));
  }
  std::string unprotected(const base::Ip& dialled) const {
    const auto all = plans();
    return named(route_unprotected(settings, accepted(), all, dialled));
  }
};

Exception exception(Allow allow) {
  Exception out;
  out.allow = allow;
  return out;
}

}  // namespace

TEST_CASE("nothing promised: the dialled address, as the host's that has it where there is one") {
  const Two two;
  CHECK(two.route(first) == "mx1");
  CHECK(two.route(second) == "mx2");
  CHECK(two.route(strange) == "address");
}

TEST_CASE("a policy: the approved host that was dialled, else the approved hosts in order") {
  for (const StsMode mode : {StsMode::enforce, StsMode::testing}) {
    Two two;
    two.insecure().with(pt::sts(mode, {"*.example.com"}));
    CHECK(two.route(second) == "mx2");
    CHECK(two.route(strange) == "hosts");
  }
  Two none;
  none.with(pt::sts(StsMode::none, {}));
  CHECK(none.route(strange) == "address");
}

TEST_CASE("a host that the policy does not approve is not used for being dialled") {
  Two two;
  two.insecure().with(pt::sts(StsMode::enforce, {"mx1.example.com"}));
  CHECK(two.route(first) == "mx1");
  CHECK(two.route(second) == "hosts");
}

TEST_CASE("TLSA at any one host is a promise of the domain") {
  Two two;
  two.hosts[1].dane = pt::usable("mx2.example.com");
  CHECK(two.route(strange) == "hosts");
  CHECK(two.route(first) == "mx1");  // as smtp would, when its turn comes
  two.hosts[1].dane = pt::unusable("mx2.example.com");
  CHECK(two.route(strange) == "hosts");
}

TEST_CASE("what could not be found out counts as a promise") {
  Two failed;
  failed.hosts[0].dane = pt::dane_failed();
  CHECK(failed.route(strange) == "hosts");
  CHECK(failed.route(first) == "hosts");
  CHECK(failed.route(second) == "mx2");

  Two unresolved;
  unresolved.hosts[1].addresses.clear();
  unresolved.hosts[1].address_error = "SERVFAIL";
  CHECK(unresolved.route(strange) == "hosts");

  Two late;
  late.second_known = false;
  CHECK(late.route(strange) == "hosts");
  CHECK(late.route(first) == "mx1");

  for (const StsState& state : {StsState(StsUnknown{"SERVFAIL"}),
                                StsState(StsUnavailable{"1", pt::fetch_failure()})}) {
    Two two;
    two.with(state);
    CHECK(two.route(strange) == "hosts");
    CHECK(two.route(first) == "mx1");
  }
}

TEST_CASE("hosts proven to have no address promise nothing") {
  Two two;
  for (HostFacts& one : two.hosts) {
    one.addresses.clear();
    one.no_address_proven = true;
  }
  CHECK(two.route(strange) == "address");
}

TEST_CASE("the operator's rule and default are policies") {
  Rule rule;
  rule.require = Require::encrypted;
  Two ruled;
  ruled.with(rule);
  CHECK(ruled.route(strange) == "hosts");
  CHECK(ruled.route(second) == "mx2");

  rule.mx = {"mx1.example.com"};
  CHECK(ruled.route(second) == "hosts");

  Two strict;
  strict.settings.fallback = Default::encrypted;
  CHECK(strict.route(strange) == "hosts");
}

TEST_CASE("an exception: opportunistic as if nothing were published, encrypted is the operator's") {
  const Exception weak = exception(Allow::opportunistic), strict = exception(Allow::encrypted);
  Two two;
  two.insecure().with(pt::sts(StsMode::enforce, {"elsewhere.example.com"})).with(weak);
  two.hosts[0].dane = pt::usable("mx1.example.com");
  CHECK(two.route(strange) == "address");
  CHECK(two.route(second) == "mx2");
  two.with(strict);
  CHECK(two.route(strange) == "hosts");
}

TEST_CASE("an address that is no host's: opportunistic, without a name, and reported as it is") {
  Two two;
  const auto plans = two.plans();
  const auto route = route_dialled(two.settings, two.accepted(), plans, strange);
  const Try plan = std::get<ToDialledAddress>(route).plan;
  CHECK(std::holds_alternative<Opportunistic>(plan.requirement));
  CHECK_FALSE(plan.sni);
  CHECK(plan.kind == PolicyKind::none);
  CHECK_FALSE(plan.mx_vouched);  // though the MX records are signed: they do not name it
  CHECK(plan.none);

  // Not even a certificate that names the domain makes it more than encrypted.
  const auto trusted = pt::session(ChainState::trusted, {"example.com", "dialled.invalid"});
  const Verdict verdict = judge(plan, two.facts.domain, strange, trusted);
  REQUIRE(pt::authorized(verdict));
  CHECK(pt::authorized(verdict)->protection() == Protection::encrypted);
  CHECK(pt::authorized(verdict)->peer_auth() == PeerAuth::none);
  CHECK(pt::summary(verdict.results) == std::vector<std::string>{"no-policy-found ok"});
  const Verdict stripped = judge(plan, two.facts.domain, strange, pt::no_starttls());
  CHECK(pt::authorized(stripped));
  CHECK(pt::summary(stripped.results) ==
        std::vector<std::string>{"no-policy-found starttls-not-supported"});
  CHECK(pt::retries(judge(plan, two.facts.domain, strange, pt::no_handshake())));
}

TEST_CASE("observe: the second walk goes to the dialled address, and tells the policy's result") {
  Two two;
  two.settings.mode = Mode::observe;
  two.insecure().with(pt::sts(StsMode::enforce, {"mx1.example.com"}));
  CHECK(two.route(second) == "hosts");
  CHECK(two.unprotected(second) == "mx2");
  CHECK(two.route(strange) == "hosts");
  CHECK(two.unprotected(strange) == "address");
  const auto plans = two.plans();
  const auto route = route_unprotected(two.settings, two.accepted(), plans, strange);
  const Try plan = std::get<ToDialledAddress>(route).plan;
  CHECK(std::holds_alternative<Opportunistic>(plan.requirement));
  const Verdict verdict = judge(plan, two.facts.domain, strange, pt::session());
  CHECK(pt::authorized(verdict));
  CHECK(pt::summary(verdict.results) == std::vector<std::string>{"sts validation-failure"});
}

TEST_CASE("no MX host in our DNS: the MTA's address where nothing is promised, else the refusal") {
  for (const MxOutcome& mx : {MxOutcome(NoSuchDomain{}), MxOutcome(NoUsableMx{"none"})}) {
    pt::Setup setup;
    setup.facts.mx = mx;
    const auto planned = plan_dialled_domain(setup.settings, setup.op, setup.facts);
    REQUIRE(std::holds_alternative<DomainPlan>(planned));
    const DomainPlan& plan = std::get<DomainPlan>(planned);
    CHECK(plan.hosts.empty());
    CHECK(std::holds_alternative<ToDialledAddress>(
        route_dialled(setup.settings, plan, {}, strange)));

    setup.with(pt::sts(StsMode::enforce));
    const auto held = plan_dialled_domain(setup.settings, setup.op, setup.facts);
    REQUIRE(std::holds_alternative<Refused>(held));
    CHECK(std::get<Refused>(held).reply.code == 451);
  }
  for (const MxOutcome& mx : {MxOutcome(NullMx{}), MxOutcome(MxFailed{"SERVFAIL"}),
                              MxOutcome(MxFailed{"bogus", true})}) {
    pt::Setup setup;
    setup.facts.mx = mx;
    CHECK(std::holds_alternative<Refused>(
        plan_dialled_domain(setup.settings, setup.op, setup.facts)));
  }
}

TEST_CASE("a route that the MTA alone knows waits, where the operator demands TLS of all domains") {
  for (const MxOutcome& mx : {MxOutcome(NoSuchDomain{}), MxOutcome(NoUsableMx{"none"})}) {
    for (const Default level : {Default::encrypted, Default::verified}) {
      pt::Setup setup;
      setup.facts.mx = mx;
      setup.settings.fallback = level;
      const auto held = plan_dialled_domain(setup.settings, setup.op, setup.facts);
      REQUIRE(std::holds_alternative<Refused>(held));
      const smtp::Reply& reply = std::get<Refused>(held).reply;
      CHECK(reply.code == 451);
      CHECK(reply.enhanced == smtp::EnhancedCode{4, 4, 4});
      // At other listeners nobody has an address: final, as ever.
      const auto refused = plan_domain(setup.settings, setup.op, setup.facts);
      CHECK(std::get<Refused>(refused).reply.code == 550);
    }
  }
}

TEST_CASE("an address literal: where it was dialled, unless the operator demands TLS") {
  Settings settings;
  const Try weak = std::get<Try>(plan_literal(settings, first));
  CHECK(route_dialled_literal(weak, first, strange) == strange);
  settings.fallback = Default::encrypted;
  const Try strict = std::get<Try>(plan_literal(settings, first));
  CHECK(route_dialled_literal(strict, first, strange) == first);
}
