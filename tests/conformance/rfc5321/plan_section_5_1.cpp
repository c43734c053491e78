// RFC 5321 §5.1: finding the host.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;

namespace {

std::string refusal(MxOutcome mx) {
  pt::Setup setup;
  setup.facts.mx = std::move(mx);
  return pt::code(setup.refused().reply);
}

}  // namespace

TEST_CASE("RFC 5321 §5.1: a name that does not exist is an error, a failed look-up is not") {
  CHECK(refusal(NoSuchDomain{}) == "550 5.1.2");
  CHECK(refusal(MxFailed{"SERVFAIL", false}) == "451 4.4.3");
}

TEST_CASE("RFC 5321 §5.1: MX records of which none can be used are an error") {
  CHECK(refusal(NoUsableMx{"10 192.0.2.1"}) == "550 5.4.4");
}

TEST_CASE("RFC 5321 §5.1: no MX records: the domain itself at preference 0") {
  pt::Setup setup;
  setup.facts.mx = ImplicitMx{};
  const DomainPlan plan = setup.accepted();
  CHECK_FALSE(plan.by_mx);
  REQUIRE(plan.hosts.size() == 1);
  CHECK(plan.hosts[0].host.str() == "example.com");
  CHECK(plan.hosts[0].preference == 0);
}

TEST_CASE("RFC 5321 §5.1: lower preferences first, equal ones in the order of the answer") {
  pt::Setup setup;
  setup.facts.mx = MxList{{{pt::name("c.example"), 20},
                           {pt::name("a.example"), 10},
                           {pt::name("d.example"), 20},
                           {pt::name("b.example"), 0}},
                          {}};
  std::string order;
  for (const MxHost& mx : setup.accepted().hosts) order += mx.host.str().substr(0, 1);
  CHECK(order == "bacd");
}

TEST_CASE("RFC 5321 §5.1: a host's addresses are handed on in the resolver's order") {
  pt::Setup setup;
  setup.host.addresses = {pt::ip("2001:db8::2"), pt::ip("192.0.2.9"), pt::ip("2001:db8::1")};
  CHECK(setup.plan().addresses == setup.host.addresses);
}
