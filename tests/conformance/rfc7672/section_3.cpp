#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"
#include "tests/unit/dane/facts.h"

using facts::domain;
using facts::Security;
using Names = std::vector<std::string>;

namespace {

// The reference identifiers of mx.example.com with its records at `base`.
Names reference_ids(const dane::HostOrigin& origin, const std::string& base) {
  const bool expanded = base != "mx.example.com";
  const dane::AddressFacts addresses{
      expanded ? facts::address_by_cname(Security::secure, base)
               : facts::address(Security::secure),
      std::nullopt, std::nullopt};
  const auto found = facts::status(
      addresses, {facts::tlsa(base, Security::secure, {facts::good_record()})}, origin);
  Names names;
  for (const auto& name : std::get<dane::Usable>(found).reference_ids) names.push_back(name.str());
  return names;
}

bool named(const certs::Spec& spec, std::initializer_list<const char*> ids) {
  const auto root = certs::make({.cn = "root", .ca = true});
  const auto leaf = certs::make(spec, &root);
  const auto evidence =
      evaluate_dane(certs::chain({leaf, root}), std::vector{certs::tlsa(2, 0, 1, root)},
                    certs::names(ids), certs::terms);
  CHECK(evidence.name_mismatch == !evidence.matched.has_value());
  return evidence.matched.has_value();
}

}  // namespace

TEST_CASE("RFC 7672 §3.1.3: the PKIX usages are unusable for SMTP") {
  CHECK_FALSE(unusable_reason(facts::record(0, 1, 1, 32)).empty());
  CHECK_FALSE(unusable_reason(facts::record(1, 1, 1, 32)).empty());
  CHECK(unusable_reason(facts::record(2, 1, 1, 32)).empty());
  CHECK(unusable_reason(facts::record(3, 1, 1, 32)).empty());
}

TEST_CASE("RFC 7672 §3.1.2: a self-signed leaf is no anchor of itself, but for a bare key") {
  // DANE-EE(3) is the usage for that. A bare key 2 1 0 matches, since RFC 7671 §5.2.3 asks only
  // that the topmost certificate be signed by it.
  const auto leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}});
  for (const unsigned selector : {0U, 1U}) {
    for (const unsigned mtype : {0U, 1U, 2U}) {
      CAPTURE(selector, mtype);
      const auto evidence = evaluate_dane(certs::chain({leaf}),
                                          std::vector{certs::tlsa(2, selector, mtype, leaf)},
                                          certs::names({"mx.example.com"}), certs::terms);
      CHECK(evidence.matched.has_value() == (selector == 1 && mtype == 0));
    }
  }
}

TEST_CASE("RFC 7672 §3.2: a chain to a public CA rescues no mismatch") {
  const auto root = certs::make({.cn = "root", .ca = true});
  const auto leaf = certs::make({.cn = "mx", .dns = {"mx.example.com"}}, &root);
  const auto other = certs::make({.cn = "other"});
  const auto evidence =
      evaluate_dane(certs::chain({leaf, root}), std::vector{certs::tlsa(3, 1, 1, other)},
                    certs::names({"mx.example.com"}), certs::terms);
  CHECK_FALSE(evidence.matched);
}

TEST_CASE("RFC 7672 §3.2.2: reference identifiers behind a secure MX") {
  dane::HostOrigin origin = facts::secure_mx();
  CHECK(reference_ids(origin, "mx.example.com") == Names{"mx.example.com", "example.com"});
  CHECK(reference_ids(origin, "real.example.net") == Names{"real.example.net", "example.com"});
  origin.expanded_next_hop = domain("hosting.example.org");
  CHECK(reference_ids(origin, "mx.example.com") ==
        Names{"mx.example.com", "example.com", "hosting.example.org"});
  origin.expanded_next_hop = domain("example.com");
  CHECK(reference_ids(origin, "mx.example.com") == Names{"mx.example.com", "example.com"});
}

TEST_CASE("RFC 7672 §3.2.2: reference identifiers without an MX") {
  dane::HostOrigin origin{domain("mx.example.com"), std::nullopt, false, Security::secure};
  CHECK(reference_ids(origin, "mx.example.com") == Names{"mx.example.com"});
  origin.expanded_next_hop = domain("real.example.net");
  CHECK(reference_ids(origin, "real.example.net") == Names{"real.example.net", "mx.example.com"});
  CHECK(reference_ids(origin, "mx.example.com") == Names{"mx.example.com"});
}

TEST_CASE("RFC 7672 §3.2.2: behind an insecure MX the MX host name alone") {
  dane::HostOrigin origin = facts::secure_mx();
  origin.mx_security = Security::insecure;
  origin.expanded_next_hop = domain("hosting.example.org");
  CHECK(reference_ids(origin, "mx.example.com") == Names{"mx.example.com"});
  CHECK(reference_ids(origin, "real.example.net") == Names{"mx.example.com"});
}

TEST_CASE("RFC 7672 §3.2.2: any one reference identifier may match") {
  CHECK(named({.dns = {"example.com"}}, {"mx.example.com", "example.com"}));
  CHECK(named({.dns = {"a.example", "MX.example.com"}}, {"mx.example.com"}));
  CHECK_FALSE(named({.dns = {"other.example"}}, {"mx.example.com", "example.com"}));
}

TEST_CASE("RFC 7672 §3.2.3: the CN counts only where there is no DNS-ID at all") {
  CHECK(named({.cn = "MX.example.com"}, {"mx.example.com"}));
  CHECK(named({.cn = "*.example.com"}, {"mx.example.com"}));
  CHECK_FALSE(named({.cn = "mx.example.com", .dns = {"other.example"}}, {"mx.example.com"}));
  CHECK_FALSE(named({.cn = "other.example"}, {"mx.example.com"}));
  CHECK_FALSE(named({}, {"mx.example.com"}));
}

TEST_CASE("RFC 7672 §3.2.3: a wildcard is a whole first label and matches exactly one") {
  CHECK(named({.dns = {"*.example.com"}}, {"mx.example.com"}));
  for (const char* pattern : {"*.com", "m*.example.com", "*x.example.com", "mx.*.com",
                              "*.mx.example.com", "*", "*.*.com", "*.example.com."}) {
    CAPTURE(pattern);
    CHECK_FALSE(named({.dns = {pattern}}, {"mx.example.com"}));
  }
  CHECK_FALSE(named({.dns = {"*.example.com"}}, {"a.mx.example.com"}));
  CHECK_FALSE(named({.dns = {"*.example.com"}}, {"example.com"}));
}
