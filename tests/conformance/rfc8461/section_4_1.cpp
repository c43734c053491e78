// RFC 8461 §4.1: which MX hosts a policy's patterns admit.
#include <catch2/catch.hpp>

#include "policy/sts.h"

namespace {

base::Domain host(const std::string& name) { return *base::Domain::parse(name); }

policy::StsPolicy policy_of(std::vector<std::string> mx) {
  policy::StsPolicy policy;
  policy.mode = policy::StsMode::enforce;
  policy.mx = std::move(mx);
  return policy;
}

bool matches(const std::string& pattern, const std::string& name) {
  return policy_of({pattern}).matching_pattern(host(name)) != nullptr;
}

}  // namespace

TEST_CASE("RFC 8461 §4.1: a name matches itself alone") {
  CHECK(matches("mail.example.com", "mail.example.com"));
  CHECK(matches("mail.example.com", "MAIL.Example.Com."));
  CHECK_FALSE(matches("mail.example.com", "mail2.example.com"));
  CHECK_FALSE(matches("example.com", "mail.example.com"));
  CHECK_FALSE(matches("mail.example.com", "mail.example.com.evil.example"));
}

TEST_CASE("RFC 8461 §4.1: a wildcard matches exactly one label") {
  CHECK(matches("*.example.com", "mail.example.com"));
  CHECK_FALSE(matches("*.example.com", "example.com"));
  CHECK_FALSE(matches("*.example.com", "a.b.example.com"));
  CHECK_FALSE(matches("*.example.com", "mailexample.com"));
  CHECK_FALSE(matches("*.b.example.com", "b.example.com"));
}

TEST_CASE("RFC 8461 §4.1: the pattern that admits a host is told") {
  const auto policy = policy_of({"mx1.example.com", "*.example.net"});
  REQUIRE(policy.matching_pattern(host("a.example.net")) != nullptr);
  CHECK(*policy.matching_pattern(host("a.example.net")) == "*.example.net");
  CHECK(policy.matching_pattern(host("a.example.org")) == nullptr);
  CHECK(policy_of({}).matching_pattern(host("a.example.org")) == nullptr);
}
