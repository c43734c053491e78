#include "tlsrpt/sum.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/tlsrpt/read_support.h"

namespace {

using namespace std::chrono;
using tlsrpt::ReadDetail;
using tlsrpt::ReadPolicy;
using tlsrpt::ReadReport;
using tlsrpt::Sum;
using tlsrpt::Summing;

sys_days november(int d) { return sys_days(year(2026) / 11 / d); }

ReadDetail detail(const std::string& type, const std::string& ip, std::uint64_t count,
                  const std::string& mx = "mx.example.com", const std::string& reason = "") {
  return {type, ip, mx, "", "", "", reason, count};
}

ReadReport report(const std::string& organization, const std::string& id, int day,
                  std::uint64_t successes, std::uint64_t failures,
                  std::vector<ReadDetail> details = {}) {
  ReadReport out;
  out.organization = organization;
  out.id = id;
  out.begin = november(day);
  out.end = november(day + 1) - seconds(1);
  out.policies.push_back({"sts", "example.com", {"mode: enforce"}, {}, successes, failures,
                          std::move(details)});
  return out;
}

}  // namespace

TEST_CASE("the sum by policy, result type, source, reporter and day") {
  Summing summing;
  CHECK(summing.add(report("Alpha", "1", 18, 10, 3,
                           {detail("certificate-expired", "192.0.2.1", 2),
                            detail("tlsa-invalid", "192.0.2.2", 1)})));
  CHECK(summing.add(report("Alpha", "2", 19, 5, 0)));
  ReadReport other =
      report("Beta", "1", 19, 1, 4,
             {detail("certificate-expired", "192.0.2.1", 3, "mx2.example.com", "x")});
  other.policies.push_back({"tlsa", "mx.example.com", {}, {}, 7, 0, {}});
  CHECK(summing.add(other));

  const Sum sum = summing.sum();
  CHECK(sum.tally.reports == 3);
  CHECK(sum.tally.successes == 23);
  CHECK(sum.tally.failures == 7);
  CHECK(sum.detailed == 6);
  CHECK(sum.without_details == 1);
  CHECK(sum.begin == november(18));
  CHECK(sum.end == november(20) - seconds(1));

  REQUIRE(sum.policies.size() == 2);
  CHECK(sum.policies[0].domain == "example.com");
  CHECK(sum.policies[0].mode == "enforce");
  CHECK(sum.policies[0].tally.reports == 3);
  CHECK(sum.policies[0].tally.successes == 16);
  CHECK(sum.policies[0].tally.failures == 7);
  CHECK(sum.policies[1].type == "tlsa");
  CHECK(sum.policies[1].tally.successes == 7);

  REQUIRE(sum.results.size() == 2);
  CHECK(sum.results[0].type == "certificate-expired");
  CHECK(sum.results[0].failures == 5);
  CHECK(sum.results[0].reporters == 2);
  CHECK(sum.results[1].failures == 1);

  REQUIRE(sum.sources.size() == 3);  // an address by each that tells of it
  CHECK(sum.sources[0].ip == "192.0.2.1");
  CHECK(sum.sources[0].organization == "Beta");
  CHECK(sum.sources[0].failures == 3);
  CHECK(sum.sources[0].results ==
        std::vector<std::pair<std::string, std::uint64_t>>{{"certificate-expired", 3}});
  CHECK(sum.sources[1].organization == "Alpha");

  REQUIRE(sum.failures.size() == 3);
  CHECK(sum.failures[0].mx == "mx2.example.com");
  CHECK(sum.failures[0].reason == "x");

  REQUIRE(sum.reporters.size() == 2);
  CHECK(sum.reporters[0].organization == "Beta");
  CHECK(sum.reporters[1].tally.reports == 2);

  REQUIRE(sum.days.size() == 2);
  CHECK(sum.days[0].day == november(18));
  CHECK(sum.days[1].tally.reports == 2);
  CHECK(sum.days[1].tally.failures == 4);
}

TEST_CASE("RFC 8460 §4.4: a report that comes twice is counted once, and it is said") {
  Summing summing;
  CHECK(summing.add(report("Alpha", "1", 18, 10, 0)));
  CHECK_FALSE(summing.add(report("Alpha", "1", 18, 10, 0)));
  CHECK_FALSE(summing.add(report("Alpha", "1", 18, 11, 0)));  // says something else
  CHECK(summing.add(report("Beta", "1", 18, 10, 0)));
  CHECK(summing.add(report("Alpha", "2", 18, 10, 0)));
  const Sum sum = summing.sum();
  CHECK(sum.tally.reports == 3);
  CHECK(sum.tally.successes == 30);
  CHECK(sum.duplicates == 2);
  CHECK(sum.differing == 1);
}

TEST_CASE("without a report-id a report is known by all that it says") {
  Summing summing;
  CHECK(summing.add(report("Alpha", "", 18, 10, 0)));
  CHECK(summing.add(report("Alpha", "", 19, 10, 0)));
  CHECK(summing.add(report("Alpha", "", 18, 11, 0)));
  CHECK_FALSE(summing.add(report("Alpha", "", 18, 10, 0)));
  CHECK(summing.sum().duplicates == 1);
  CHECK(summing.sum().differing == 0);
}

TEST_CASE("a report belongs to the day that most of its range lies in") {
  ReadReport one = report("Alpha", "1", 18, 1, 0);
  CHECK(tlsrpt::day_of(one) == november(18));
  one.end = november(19);
  CHECK(tlsrpt::day_of(one) == november(18));
  one.begin = november(18) - hours(2);  // a day of another zone
  one.end = november(19) - hours(2);
  CHECK(tlsrpt::day_of(one) == november(18));
  one.end = {};
  CHECK(tlsrpt::day_of(one) == november(17));
  one.begin = {};
  CHECK_FALSE(tlsrpt::day_of(one));
  Summing summing;
  summing.add(one);
  CHECK_FALSE(summing.sum().days[0].day);
  CHECK_FALSE(summing.sum().begin);
}

TEST_CASE("RFC 8461 §3.2: the mode is that of the policy quoted") {
  for (const auto& [text, want] : std::vector<std::pair<std::string, std::string>>{
           {"mode: testing", "testing"},
           {"MODE:Enforce ", "enforce"},
           {"mode", ""},
           {"x: y", ""}}) {
    ReadReport one = report("Alpha", "1", 18, 1, 0);
    one.policies[0].strings = {"version: STSv1", text};
    Summing summing;
    summing.add(one);
    CHECK(summing.sum().policies[0].mode == want);
  }
}

TEST_CASE("one report with a policy in several entries is one report of that policy") {
  ReadReport one = report("Alpha", "1", 18, 1, 0);
  one.policies.push_back(one.policies[0]);
  Summing summing;
  summing.add(one);
  CHECK(summing.sum().policies[0].tally.reports == 1);
  CHECK(summing.sum().policies[0].tally.successes == 2);
}

TEST_CASE("what is beyond a table's bound is summed up as others") {
  Summing summing({2, 100, 1});
  for (int i = 1; i <= 4; ++i) {
    const std::string name = std::to_string(i);
    ReadReport one = report("Org " + name, name, i, 1, 1,
                            {detail("type-" + name, "192.0.2." + name, 1)});
    one.notes = {"odd " + name};
    summing.add(one);
  }
  summing.add_problem("a", "x");
  summing.add_problem("b", "x");
  const Sum sum = summing.sum();
  CHECK(sum.tally.failures == 4);
  REQUIRE(sum.results.size() == 3);
  CHECK(sum.results[0].type == "(others)");
  CHECK(sum.results[0].failures == 2);
  CHECK(sum.sources.size() == 3);
  CHECK(sum.sources[0].ip == "(others)");
  CHECK(sum.reporters.size() == 3);
  CHECK(sum.failures.size() == 3);
  CHECK(sum.notes.size() == 3);
  CHECK(sum.days.size() == 3);
  CHECK_FALSE(sum.days[0].day);
  CHECK(sum.days[0].tally.reports == 2);
  CHECK(sum.problems.size() == 1);
}

TEST_CASE("RFC 7493 §2.2: sums stay within what JSON can hold") {
  constexpr std::uint64_t most = (std::uint64_t{1} << 53) - 1;
  Summing summing;
  summing.add(report("Alpha", "1", 18, most, most, {detail("x", "y", most)}));
  summing.add(report("Alpha", "2", 18, most, 1, {detail("x", "y", 1)}));
  CHECK(summing.sum().tally.successes == most);
  CHECK(summing.sum().results[0].failures == most);
}

TEST_CASE("the lines of a sum are told by short texts, whatever a report says") {
  Summing summing;
  const std::string umlauts = [] {
    std::string text;
    while (text.size() < 2048) text += "\xc3\xbc";
    return text;
  }();
  for (int i = 0; i < 30; ++i) {
    const std::string type = umlauts + std::to_string(i);
    CHECK(summing.add(report(umlauts, std::to_string(i), 18, 1, 1,
                             {detail(type, "192.0.2.1", 1, umlauts, umlauts)})));
  }
  const Sum sum = summing.sum();
  REQUIRE(sum.results.size() == 1);
  CHECK(sum.results[0].failures == 30);
  CHECK(sum.results[0].type.size() < 300);
  REQUIRE(sum.sources.size() == 1);
  CHECK(sum.sources[0].organization.size() < 300);
  CHECK(sum.failures[0].reason.size() < 300);
  CHECK(sum.results[0].reporters == 1);
}
