// RFC 7505 §3, §4: a null MX.
#include "tests/unit/policy/plan_support.h"

using namespace policy;
namespace pt = plan_test;

TEST_CASE("RFC 7505 §4.2: a null MX is refused for good with 556 5.1.10") {
  pt::Setup setup;
  setup.facts.mx = NullMx{};
  for (const auto security : {dns::Security::secure, dns::Security::insecure}) {
    setup.facts.mx_security = security;
    const Refused refused = setup.refused();
    CHECK(pt::code(refused.reply) == "556 5.1.10");
    CHECK_FALSE(refused.by_policy);
  }
}

TEST_CASE("RFC 7505 §3: no address is fallen back to, and no policy is looked at") {
  pt::Setup setup;
  setup.facts.mx = NullMx{};
  setup.with(pt::sts(StsMode::enforce));
  setup.settings.fallback = Default::verified;
  CHECK(pt::code(setup.refused().reply) == "556 5.1.10");
  CHECK(setup.refused().results.empty());
}
