#include <catch2/catch.hpp>

#include "tests/unit/dane/facts.h"

using namespace facts;
using dane::AddressFacts;
using dane::LookupFailed;
using dane::NotApplicable;
using dane::Unusable;
using dane::Usable;
using Kind = dns::LookupError::Kind;
using Names = std::vector<std::string>;

namespace {

constexpr Security secure = Security::secure;
constexpr Security insecure = Security::insecure;
const AddressFacts plain{address(secure), std::nullopt, std::nullopt};
const AddressFacts aliased{address_by_cname(secure), address_by_cname(secure), std::nullopt};

}  // namespace

TEST_CASE("RFC 7672 §2.1.2: an error of any kind at the TLSA step makes the host unreachable") {
  for (const Kind kind : {Kind::bogus, Kind::servfail, Kind::timeout, Kind::refused,
                          Kind::malformed, Kind::internal}) {
    const auto found = status(plain, {tlsa_error("mx.example.com", kind)});
    REQUIRE(is<LookupFailed>(found));
    CHECK(std::get<LookupFailed>(found).bogus == (kind == Kind::bogus));
    CHECK(std::get<LookupFailed>(found).reason == "look-up failed");
  }
}

TEST_CASE("RFC 7672 §2.1.2: an error at the first candidate is not passed over for the second") {
  CHECK(is<LookupFailed>(status(aliased, {tlsa_error("real.example.net"),
                                          tlsa("mx.example.com", secure, {good_record()})})));
}

TEST_CASE("RFC 7672 §2.1.2: a question that was never put is no absence") {
  CHECK(is<LookupFailed>(status(plain, {})));
  CHECK(is<LookupFailed>(status(aliased, {tlsa("real.example.net", secure, {})})));
  CHECK(is<LookupFailed>(status(plain, {tlsa("other.example", secure, {good_record()})})));
}

TEST_CASE("RFC 7672 §2.2: secure and usable, secure and unusable, insecure, absent") {
  const auto usable = status(plain, {tlsa("mx.example.com", secure, {good_record()})});
  REQUIRE(is<Usable>(usable));
  CHECK(std::get<Usable>(usable).base.str() == "mx.example.com");
  CHECK(std::get<Usable>(usable).records == std::vector{good_record()});
  const auto odd = record(1, 1, 1, 32);
  const auto unusable = status(plain, {tlsa("mx.example.com", secure, {odd})});
  REQUIRE(is<Unusable>(unusable));
  CHECK(std::get<Unusable>(unusable).records == std::vector{odd});
  CHECK_FALSE(std::get<Unusable>(unusable).reason.empty());
  CHECK(is<NotApplicable>(status(plain, {tlsa("mx.example.com", insecure, {good_record()})})));
  CHECK(is<NotApplicable>(status(plain, {tlsa("mx.example.com", secure, {})})));
  CHECK(is<NotApplicable>(status(plain, {tlsa("mx.example.com", insecure, {})})));
}

TEST_CASE("RFC 7672 §2.2: usable records stand beside unusable ones, all are told") {
  const auto bad = record(3, 9, 1, 32);
  const auto found = status(plain, {tlsa("mx.example.com", secure, {bad, good_record()})});
  REQUIRE(is<Usable>(found));
  CHECK(std::get<Usable>(found).records == std::vector{good_record()});
  CHECK(std::get<Usable>(found).published == std::vector{bad, good_record()});
}

TEST_CASE("RFC 7672 §2.2.2: a host without addresses is no candidate; a failed look-up is") {
  CHECK(candidates({no_address(secure), no_address(secure), std::nullopt}) == Names{"none"});
  CHECK(candidates({error<base::Ip>(), error<base::Ip>(), std::nullopt}) == Names{"failed"});
  CHECK(candidates({no_address(secure), error<base::Ip>(), std::nullopt}) == Names{"failed"});
  CHECK(candidates({no_address(insecure), error<base::Ip>(), std::nullopt}) == Names{"failed"});
}

TEST_CASE("RFC 7672 §2.2.2: an insecure address without CNAME: TLSA records are not looked for") {
  CHECK(candidates({address(insecure), address(insecure), std::nullopt}) == Names{"none"});
  CHECK(candidates({no_address(insecure), address(insecure), std::nullopt}) == Names{"none"});
  CHECK_FALSE(dane::needs_initial_cname({address(insecure), std::nullopt, std::nullopt}));
}

TEST_CASE("RFC 7672 §2.2.2: a secure address without CNAME: the host name alone") {
  CHECK(candidates({address(secure), std::nullopt, std::nullopt}) == Names{"mx.example.com"});
  CHECK(candidates({std::nullopt, address(secure), std::nullopt}) == Names{"mx.example.com"});
  CHECK(candidates({address(secure), no_address(secure), std::nullopt}) ==
        Names{"mx.example.com"});
  CHECK_FALSE(needs_initial_cname(plain));
}

TEST_CASE("RFC 7672 §2.2.2: a CNAME chain all secure: the expanded name first, then the host") {
  CHECK(candidates(aliased) == Names{"real.example.net", "mx.example.com"});
  CHECK_FALSE(needs_initial_cname(aliased));
  // An expanded name that is no host name cannot be a base domain.
  CHECK(candidates({address_by_cname(secure, "a\\046b.example"), std::nullopt, std::nullopt}) ==
        Names{"mx.example.com"});
}

TEST_CASE("RFC 7672 §2.2.2: a chain that ends insecure: the first link decides") {
  const auto with = [](dns::Lookup<std::string> initial) {
    return candidates({address_by_cname(insecure), std::nullopt, std::move(initial)});
  };
  CHECK(with(cname(secure)) == Names{"mx.example.com"});
  CHECK(with(cname(insecure)) == Names{"none"});
  CHECK(with(error<std::string>(Kind::bogus)) == Names{"failed"});
  CHECK(with(error<std::string>(Kind::timeout)) == Names{"failed"});
  const AddressFacts unasked{address_by_cname(insecure), std::nullopt, std::nullopt};
  CHECK(needs_initial_cname(unasked));
  CHECK(candidates(unasked) == Names{"failed"});
}

TEST_CASE("RFC 7672 §2.2.2: one family fails: the host is abandoned where DANE might apply") {
  const auto failed = error<base::Ip>();
  CHECK(candidates({address(secure), failed, std::nullopt}) == Names{"failed"});
  CHECK(candidates({failed, address(secure), std::nullopt}) == Names{"failed"});
  CHECK(candidates({address_by_cname(secure), failed, std::nullopt}) == Names{"failed"});
  CHECK(candidates({address_by_cname(insecure), failed, cname(secure)}) == Names{"failed"});
  // Where it cannot, the addresses that are known are good enough.
  CHECK(candidates({address(insecure), failed, std::nullopt}) == Names{"none"});
  CHECK(candidates({failed, address(insecure), std::nullopt}) == Names{"none"});
  CHECK(candidates({address_by_cname(insecure), failed, cname(insecure)}) == Names{"none"});
}

TEST_CASE("RFC 7672 §2.2.3: the first secure RRset fixes the base domain") {
  const auto expanded = status(aliased, {tlsa("real.example.net", secure, {good_record()})});
  REQUIRE(is<Usable>(expanded));
  CHECK(std::get<Usable>(expanded).base.str() == "real.example.net");
  for (const auto& first : {tlsa("real.example.net", secure, {}),
                            tlsa("real.example.net", insecure, {}),
                            tlsa("real.example.net", insecure, {good_record()})}) {
    const auto original = status(aliased, {first, tlsa("mx.example.com", secure, {good_record()})});
    REQUIRE(is<Usable>(original));
    CHECK(std::get<Usable>(original).base.str() == "mx.example.com");
  }
  CHECK(is<NotApplicable>(status(
      aliased, {tlsa("real.example.net", secure, {}), tlsa("mx.example.com", insecure, {})})));
}

TEST_CASE("RFC 7672 §2.2.3: unusable records at the expanded name win over good ones behind") {
  CHECK(is<Unusable>(status(aliased, {tlsa("real.example.net", secure, {record(0, 0, 1, 32)}),
                                      tlsa("mx.example.com", secure, {good_record()})})));
}

TEST_CASE("RFC 7672 §2.2.3: a CNAME at the TLSA name itself does not move the base domain") {
  dane::TlsaLookup lookup{domain("mx.example.com"),
                          answer<dane::Tlsa>(secure, {good_record()}, "tlsa.example.org", true)};
  const auto found = status(plain, {lookup});
  REQUIRE(is<Usable>(found));
  CHECK(std::get<Usable>(found).base.str() == "mx.example.com");
}

TEST_CASE("RFC 7672 §2: no error at any step ever says that DANE does not apply") {
  // Every combination of answers: where NotApplicable comes out, no answer on the way that could
  // have led to TLSA records was an error.
  using Maybe = std::optional<Addresses>;
  const std::vector<Maybe> families{std::nullopt,
                                    address(secure),
                                    address(insecure),
                                    address_by_cname(secure),
                                    address_by_cname(insecure),
                                    no_address(secure),
                                    error<base::Ip>()};
  for (const Maybe& a : families) {
    for (const Maybe& aaaa : families) {
      AddressFacts addresses{a, aaaa, std::nullopt};
      if (needs_initial_cname(addresses)) addresses.initial_cname = error<std::string>();
      const auto found = status(addresses, {tlsa_error("real.example.net"),
                                            tlsa_error("mx.example.com")});
      const auto insecure_data = [](const Maybe& one) {
        return one && *one && !(*one)->records.empty() && (*one)->security == insecure &&
               !(*one)->via_cname;
      };
      const bool failed_family = (a && !*a) || (aaaa && !*aaaa);
      if (is<NotApplicable>(found) && failed_family) {
        CHECK((insecure_data(a) || insecure_data(aaaa)));
      }
      CHECK_FALSE(is<Usable>(found));
      CHECK_FALSE(is<Unusable>(found));
    }
  }
}
