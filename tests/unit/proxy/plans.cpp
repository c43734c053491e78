// A plan that was made before stands for as long as all that it was made of, and no longer.
#include "proxy/plans.h"

#include <catch2/catch.hpp>

#include "proxy/worker.h"
#include "tests/unit/policy/plan_support.h"

using namespace plan_test;
using proxy::Plans;

namespace {

struct World {
  std::shared_ptr<proxy::Snapshot> snapshot = std::make_shared<proxy::Snapshot>();
  Setup setup;
  std::shared_ptr<proxy::MxFacts> mx = facts_of(setup.facts);
  Plans plans{3};

  static std::shared_ptr<proxy::MxFacts> facts_of(const policy::DomainFacts& facts) {
    auto mx = std::make_shared<proxy::MxFacts>();
    mx->mx = facts.mx;
    mx->security = facts.mx_security;
    return mx;
  }
  Plans::Domain plan(std::string_view domain = "example.com") {
    return plans.domain(snapshot, setup.op, name(domain), mx, setup.facts.sts);
  }
  Plans::Host host(Plans::Planned& planned, std::shared_ptr<const policy::HostFacts> facts) {
    return Plans::host(*snapshot, planned, facts);
  }
};

const policy::DomainPlan& good(const Plans::Domain& planned) {
  return std::get<policy::DomainPlan>(planned->outcome);
}

}  // namespace

TEST_CASE("a domain whose facts are the same is not planned again") {
  World world;
  world.setup.with(sts(policy::StsMode::enforce));
  const auto first = world.plan();
  CHECK(good(first).policy_mode == "enforce");
  CHECK(world.plan() == first);

  SECTION("the MTA-STS state, by value") {
    world.setup.with(sts(policy::StsMode::enforce));
    CHECK(world.plan() == first);
    world.setup.with(sts(policy::StsMode::testing));
    const auto second = world.plan();
    CHECK(second != first);
    CHECK(good(second).policy_mode == "testing");
    CHECK(good(first).policy_mode == "enforce");  // who has it keeps it
  }
  SECTION("a failed refresh") {
    std::get<policy::StsActive>(world.setup.facts.sts).refresh_failure = fetch_failure();
    CHECK(world.plan() != first);
  }
  SECTION("the answer of the DNS") {
    world.mx = World::facts_of(world.setup.facts);
    world.mx->security = dns::Security::insecure;
    const auto second = world.plan();
    CHECK(second != first);
    CHECK(good(second).mx_security == dns::Security::insecure);
  }
  SECTION("the operator's word") {
    policy::Exception exception;
    world.setup.op.exception = &exception;
    const auto second = world.plan();
    CHECK(second != first);
    CHECK(good(second).exception == &exception);
    world.setup.op.exception = nullptr;
    CHECK(good(world.plan()).exception == nullptr);
  }
  SECTION("the configuration") {
    world.snapshot = std::make_shared<proxy::Snapshot>();
    CHECK(world.plan() != first);
  }
  SECTION("a reload forgets all") {
    world.plans.clear();
    CHECK(world.plans.size() == 0);
    CHECK(world.plan() != first);
  }
}

TEST_CASE("a refusal is remembered like a plan") {
  World world;
  world.mx->mx = policy::NullMx{};
  const auto first = world.plan();
  CHECK(std::holds_alternative<policy::Refused>(first->outcome));
  CHECK(world.plan() == first);
}

TEST_CASE("the oldest domain goes when one is too many") {
  World world;
  const auto first = world.plan("a.example");
  world.plan("b.example");
  world.plan("c.example");
  CHECK(world.plan("a.example") == first);
  world.plan("d.example");
  CHECK(world.plans.size() == 3);
  CHECK(world.plan("a.example") != first);
  CHECK(world.plans.size() == 3);
}

TEST_CASE("the facts that a host was planned by are known until their TTL ends") {
  World world;
  const auto planned = world.plan();
  world.setup.with(usable());
  const auto now = std::chrono::steady_clock::now();
  world.setup.host.expires = now + std::chrono::hours(1);
  CHECK(Plans::known_facts(*planned, world.setup.host.host) == nullptr);
  const auto facts = std::make_shared<const policy::HostFacts>(world.setup.host);
  world.host(*planned, facts);
  CHECK(Plans::known_facts(*planned, world.setup.host.host) == facts);
  CHECK(Plans::known_facts(*planned, name("mx2.example.com")) == nullptr);
  world.setup.host.expires = now;
  world.host(*planned, std::make_shared<const policy::HostFacts>(world.setup.host));
  CHECK(Plans::known_facts(*planned, world.setup.host.host) == nullptr);
}

TEST_CASE("a host is planned again when its facts are others") {
  World world;
  const auto planned = world.plan();
  world.setup.with(usable());
  const auto facts = std::make_shared<const policy::HostFacts>(world.setup.host);
  const auto first = world.host(*planned, facts);
  REQUIRE(std::holds_alternative<policy::Try>(first->plan.decision));
  CHECK(policy::to_string(std::get<policy::Try>(first->plan.decision).requirement) == "dane");
  CHECK(world.host(*planned, facts) == first);
  CHECK(first->terms == proxy::tls_terms(std::get<policy::Try>(first->plan.decision)));
  CHECK(first->unprotected_terms == proxy::tls_terms(first->plan.unprotected));
  CHECK(first->terms != first->unprotected_terms);

  world.setup.with(no_dane());
  const auto later = std::make_shared<const policy::HostFacts>(world.setup.host);
  const auto second = world.host(*planned, later);
  CHECK(second != first);
  CHECK(policy::to_string(std::get<policy::Try>(second->plan.decision).requirement) ==
        "opportunistic");
  CHECK(planned->hosts.size() == 1);

  world.setup.host.host = name("mx2.example.com");
  const auto other = std::make_shared<const policy::HostFacts>(world.setup.host);
  CHECK(world.host(*planned, other) != second);
  CHECK(planned->hosts.size() == 2);
}
