#include "base/domain.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

using base::Domain;
using base::matches_pattern;

namespace {

void good(std::string_view text, std::string_view want) {
  CAPTURE(text);
  const auto domain = Domain::parse(text);
  REQUIRE(domain.has_value());
  CHECK(domain->str() == want);
}

void bad(std::string_view text) {
  CAPTURE(text);
  CHECK_FALSE(Domain::parse(text).has_value());
}

Domain name(std::string_view text) { return Domain::parse(text).value(); }

}  // namespace

TEST_CASE("a domain name is kept in lower case and without its trailing dot") {
  good("example.com", "example.com");
  good("EXAMPLE.Com.", "example.com");
  good("com", "com");
  good("a-b.c--d.example", "a-b.c--d.example");
  good("_mta-sts.example.com", "_mta-sts.example.com");
  good("1.2.3.4.example", "1.2.3.4.example");
  good("xn--bcher-kva.example", "xn--bcher-kva.example");
  good(std::string(63, 'a') + ".example", std::string(63, 'a') + ".example");
}

TEST_CASE("RFC 6531 §3.2: U-labels become A-labels by IDNA2008, non-transitional") {
  good("bücher.example", "xn--bcher-kva.example");
  good("BÜCHER.example", "xn--bcher-kva.example");
  good("straße.example", "xn--strae-oqa.example");
  good("例え。テスト", "xn--r8jz45g.xn--zckzah");
}

TEST_CASE("what is no domain name is refused") {
  bad("");
  bad(".");
  bad("..");
  bad(".example");
  bad("a..b");
  bad("example..");
  bad("1.2.3.4");
  bad("12");
  bad("[192.0.2.1]");
  bad("a b.example");
  bad("a@b.example");
  bad("a/b");
  bad("*.example.com");
  bad(std::string_view("a.example\0.com", 14));
  bad(std::string_view("b\xc3\xbc\0.com", 8));
  bad("a\r\n.example");
  bad("b\xff\xfe.example");
  bad(std::string(64, 'a') + ".example");
  const std::string label = std::string(62, 'a') + ".";  // 63 octets
  bad(label + label + label + label + "ab");            // 254
  good(label + label + label + label + "a", label + label + label + label + "a");
  bad("１２７.０.０.１");  // full-width digits map to an address
}

TEST_CASE("is_ldh tells host names of RFC 5321 §4.1.2 from other DNS names") {
  CHECK(name("mx-1.example.com").is_ldh());
  CHECK_FALSE(name("mx_1.example.com").is_ldh());
  CHECK_FALSE(name("-mx.example.com").is_ldh());
  CHECK_FALSE(name("mx-.example.com").is_ldh());
  CHECK_FALSE(name("mx.example-").is_ldh());
}

TEST_CASE("is_below looks at whole labels and never holds of a name itself") {
  CHECK(name("a.b.c").is_below(name("c")));
  CHECK(name("a.b.c").is_below(name("b.c")));
  CHECK_FALSE(name("b.c").is_below(name("b.c")));
  CHECK_FALSE(name("ab.c").is_below(name("b.c")));
  CHECK_FALSE(name("c").is_below(name("b.c")));
}

TEST_CASE("RFC 8461 §4.1: a wildcard matches exactly one label") {
  CHECK(matches_pattern("mx.example.com", name("mx.example.com")));
  CHECK(matches_pattern("*.example.com", name("mx.example.com")));
  CHECK_FALSE(matches_pattern("*.example.com", name("example.com")));
  CHECK_FALSE(matches_pattern("*.example.com", name("a.mx.example.com")));
  CHECK_FALSE(matches_pattern("*.example.com", name("mx.example.org")));
  CHECK_FALSE(matches_pattern("*.ample.com", name("mx.example.com")));
  CHECK_FALSE(matches_pattern("mx*.example.com", name("mx1.example.com")));
  CHECK_FALSE(matches_pattern("*", name("example")));
  CHECK_FALSE(matches_pattern("*.", name("example")));
  CHECK_FALSE(matches_pattern("", name("example")));
}
