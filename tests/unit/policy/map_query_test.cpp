// Questions to the policy map, and which domain a key asks about.
#include "policy/map_query.h"

#include <catch2/catch.hpp>
#include <string>

namespace {

std::string domain_of(std::string_view key) {
  const auto domain = policy::domain_of_map_key(key);
  return domain ? domain->str() : "";
}

}  // namespace

TEST_CASE("a question is the map's name, one space and the key") {
  const auto query = policy::parse_map_query("QUERYwithTLSRPT example.com");
  REQUIRE(query);
  CHECK(query->map == "QUERYwithTLSRPT");
  CHECK(query->key == "example.com");
  CHECK(policy::parse_map_query("QUERY  x")->key == " x");
  CHECK(policy::parse_map_query("QUERY ")->key.empty());
  CHECK_FALSE(policy::parse_map_query("QUERY"));
  CHECK_FALSE(policy::parse_map_query(""));
}

TEST_CASE("a key that is a domain asks about it, in any case, with a dot, in UTF-8, with a port") {
  CHECK(domain_of("example.com") == "example.com");
  CHECK(domain_of("Example.COM") == "example.com");
  CHECK(domain_of("example.com.") == "example.com");
  CHECK(domain_of("example.com:25") == "example.com");
  CHECK(domain_of("example.com:submission") == "example.com");
  CHECK(domain_of("bücher.example") == "xn--bcher-kva.example");
  CHECK(domain_of("BÜCHER.example:587") == "xn--bcher-kva.example");
  CHECK(domain_of("com") == "com");
}

TEST_CASE("parents, brackets, addresses and nonsense ask about no domain") {
  for (const char* const key :
       {"", ".", ".example.com", ".com", "[mail.example.com]", "[mail.example.com]:587",
        "[192.0.2.1]", "[IPv6:2001:db8::1]", "192.0.2.1", "192.0.2.1:25", "2001:db8::1",
        "example.com:", "example.com:25:26", "example.com:2 5", "a b.example", "a..example",
        "user@example.com", "/etc/passwd", "example.com\n", "*.example.com", "{x}", ":25",
        "xn--a.example.com/"}) {
    CAPTURE(key);
    CHECK(domain_of(key).empty());
  }
  CHECK(domain_of(std::string_view("a\0b.example", 11)).empty());
  CHECK(domain_of(std::string(5000, 'a')).empty());
}

TEST_CASE("a name beyond ASCII that IDNA2008 does not know is no domain without policy") {
  for (const char* const key : {"💩.la", "💩.la:25", "☃.example", "a@bücher.example", "\xff.example",
                                "bücher.example:2 5"}) {
    CAPTURE(key);
    CHECK(domain_of(key).empty());
    CHECK(policy::is_unknown_name(key));
  }
  CHECK(policy::is_unknown_name("ü" + std::string(2000, 'a')));
  for (const char* const key : {"", ".", ".💩.la", "[💩.la]", "192.0.2.1", "a b", "user@example.com",
                                "example.com", "bücher.example"}) {
    CAPTURE(key);
    CHECK_FALSE(policy::is_unknown_name(key));
  }
}
