// alias_problem(): an MX that is an alias, and the advice for it, whose first step already must not
// break what is promised.
#include <algorithm>

#include "tests/unit/check/check_support.h"

using namespace check_test;
using Codes = std::vector<std::string>;
namespace pt = plan_test;

namespace {

// What to do about mx.example.com, an alias of host.example.net.
std::string alias_advice(Made& one, dns::Security security = dns::Security::secure) {
  one.plan();
  one.gathered.asked.push_back(
      check_test::behind_alias("mx.example.com", "host.example.net", security));
  const check::Report report = one.report();
  for (const check::Problem& problem : report.mx[0].problems) {
    if (problem.code == "mx-alias") return problem.mend;
  }
  return "";
}

}  // namespace

TEST_CASE("RFC 2181 §10.3: mending an alias costs the domain neither its policy nor its TLSA") {
  Made one = made();
  CHECK(alias_advice(one) ==
        "let the MX record of example.com name host.example.net itself; or give mx.example.com "
        "the addresses in place of the CNAME");

  SECTION("a policy that lists the alias alone") {
    one.setup.with(pt::sts(policy::StsMode::enforce));
    CHECK(alias_advice(one) ==
          "first let the certificate there name host.example.net, too, list host.example.net in "
          "the policy file, then change the id of _mta-sts.example.com and wait 1 day (max_age), "
          "and "
          "then let the MX record of example.com name host.example.net itself; or give "
          "mx.example.com the addresses in place of the CNAME");
  }
  SECTION("a policy that approves the target, too") {
    one.setup.with(pt::sts(policy::StsMode::enforce, {"mx.example.com", "*.example.net"}));
    CHECK(alias_advice(one).starts_with(
        "first let the certificate there name host.example.net, too, and then let the MX record"));
  }
  SECTION("mode none asks for nothing") {
    one.setup.with(pt::sts(policy::StsMode::none));
    CHECK(alias_advice(one).starts_with("let the MX record"));
  }
  SECTION("TLSA records at the alias") {
    one.hosts[0].dane = pt::usable("mx.example.com");
    CHECK(alias_advice(one) ==
          "first publish the TLSA records of mx.example.com at _25._tcp.host.example.net too, and "
          "then let the MX record of example.com name host.example.net itself; or give "
          "mx.example.com the addresses in place of the CNAME");
  }
  SECTION("RFC 7672 §2.2.2: TLSA records at the target") {
    one.hosts[0].dane = pt::usable("host.example.net");
    CHECK(alias_advice(one) ==
          "let the MX record of example.com name host.example.net itself; or publish the TLSA "
          "records of host.example.net at _25._tcp.mx.example.com too and then give "
          "mx.example.com the addresses in place of the CNAME");
  }
  SECTION("RFC 7672 §3.2.2: DANE-TA looks at names") {
    const std::vector<dane::Tlsa> records{pt::tlsa(2)};
    one.hosts[0].dane = pt::usable("mx.example.com", records);
    CHECK(alias_advice(one).starts_with(
        "first let the certificate there name host.example.net, too, publish the TLSA records"));
    one.hosts[0].dane = pt::usable("host.example.net", records);
    CHECK(alias_advice(one).ends_with(
        "; or let the certificate there name mx.example.com, too, publish the TLSA records of "
        "host.example.net at _25._tcp.mx.example.com too and then give mx.example.com the "
        "addresses in place of the CNAME"));
  }
  SECTION("RFC 7672 §2.2.2: TLSA records of a target that is not signed count for nothing") {
    one.hosts[0].dane = pt::usable("mx.example.com");
    CHECK(alias_advice(one, dns::Security::insecure) ==
          "give mx.example.com the addresses in place of the CNAME");
  }
  SECTION("what an unsigned alias points to may have TLSA records that nobody looked at") {
    one.hosts[0].dane = dane::NotApplicable{"not signed", true};
    CHECK(alias_advice(one).starts_with("first see that the TLSA records at _25._tcp.host."));
  }
  SECTION("a policy that could not be had may be held by others") {
    one.setup.with(policy::StsUnavailable{"1", pt::fetch_failure()});
    CHECK(alias_advice(one).starts_with("first mend the MTA-STS policy and see that it lists "));
  }
  SECTION("a target that is an MX already") {
    auto& list = std::get<policy::MxList>(one.setup.facts.mx);
    list.hosts.push_back({pt::name("host.example.net"), 20});
    one.hosts.push_back({pt::name("host.example.net"), {pt::ip("192.0.2.9")}, {}, false, false,
                         pt::no_dane()});
    CHECK(alias_advice(one).starts_with(
        "remove the MX record of example.com that names mx.example.com, since host.example.net is "
        "an MX by itself, and give that one the preference 10; or "));
  }
}

TEST_CASE("RFC 2181 §10.3: an MX that is an alias is to be mended, and holds nothing back") {
  Made one = made(2);
  one.plan();
  one.gathered.asked.push_back(check_test::behind_alias("mx.example.com", "host.example.net"));
  const check::Report report = one.report();
  CHECK(codes(report.mx[0].problems) == Codes{"mx-alias"});
  CHECK(report.mx[1].problems.empty());
  const auto mends = [](const check::Report& from) {
    return std::ranges::count_if(from.mends, [](const std::string& mend) {
      return mend.find("name host.example.net itself") != std::string::npos;
    });
  };
  CHECK(mends(report) == 1);

  // RFC 5321 §5.1: without an MX record the domain itself may well be an alias.
  Made implicit = made();
  implicit.setup.facts.mx = policy::ImplicitMx{};
  implicit.hosts[0].host = pt::name("example.com");
  implicit.plan();
  implicit.gathered.asked.push_back(
      check_test::behind_alias("example.com", "host.example.net"));
  REQUIRE(implicit.report().mx.size() == 1);
  CHECK(implicit.report().mx[0].problems.empty());
}
