#include "dns/validation.h"

#include <catch2/catch.hpp>

namespace {

dns::RawLookup answer(dns::Security security, dns::Existence existence) {
  dns::RawAnswer raw;
  raw.security = security;
  raw.existence = existence;
  return raw;
}

dns::RawLookup error(dns::LookupError::Kind kind) {
  dns::LookupError one;
  one.kind = kind;
  one.text = "NS .: why";
  return base::fail(std::move(one));
}

}  // namespace

TEST_CASE("only a secure root says that the resolver validates") {
  using dns::Existence;
  using dns::Security;
  using dns::Validation;
  using Kind = dns::LookupError::Kind;
  CHECK(validation_of(answer(Security::secure, Existence::data)).state == Validation::validates);
  CHECK(validation_of(answer(Security::insecure, Existence::data)).state ==
        Validation::does_not_validate);
  CHECK(validation_of(answer(Security::secure, Existence::nodata)).state ==
        Validation::does_not_validate);
  CHECK(validation_of(error(Kind::bogus)).state == Validation::does_not_validate);
  for (const Kind kind : {Kind::servfail, Kind::timeout, Kind::refused, Kind::internal}) {
    const auto report = validation_of(error(kind));
    CHECK(report.state == Validation::unknown);
    CHECK(report.text.find("why") != std::string::npos);
  }
}
