// CountJournal: what was encoded comes back, octets that were not encoded are told, and rows of one
// key become one.
#include "store/count_journal.h"

#include <catch2/catch.hpp>

using store::Day;
using store::FailureCount;
using store::FailureView;
using store::PolicyCount;
using store::PolicyView;

namespace {

constexpr Day day{std::chrono::days(20000)};

std::string long_text(std::size_t size) { return std::string(size, 'x'); }

PolicyCount policy(Day of, std::string domain, std::string digest, std::uint64_t fine) {
  return {of, std::move(domain), std::move(digest), "sts", "p.example", fine, 2, 3};
}

}  // namespace

TEST_CASE("count journal: every member comes back, whatever it holds") {
  const std::string odd("a\0b\xff\n", 5);
  const std::vector<PolicyCount> policies{
      {day, "a.example", "d1", "sts", "p.example", 1, 127, 128},
      {Day(std::chrono::days(-1)), "", "", "", "", 0, 300, (1ull << 62) + 5},
      {day, long_text(127), long_text(128), odd, long_text(20000), 16383, 16384, 0}};
  const std::string octets = store::encoded(policies);
  std::vector<PolicyView> found;
  REQUIRE(store::decode(octets, found));
  REQUIRE(found.size() == policies.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(found[i].day == policies[i].day.time_since_epoch().count());
    CHECK(found[i].domain == policies[i].domain);
    CHECK(found[i].digest == policies[i].digest);
    CHECK(found[i].policy_type == policies[i].policy_type);
    CHECK(found[i].policy_domain == policies[i].policy_domain);
    CHECK(static_cast<std::uint64_t>(found[i].fine) == policies[i].fine);
    CHECK(static_cast<std::uint64_t>(found[i].noted) == policies[i].noted);
    CHECK(static_cast<std::uint64_t>(found[i].failed) == policies[i].failed);
  }
  const std::string one = store::encoded(std::vector<FailureCount>{
      {day, "1", "2", "3", odd, "5", "6", "7", "8", 9}});
  std::vector<FailureView> failures;
  REQUIRE(store::decode(one, failures));
  REQUIRE(failures.size() == 1);
  const FailureView& row = failures[0];
  CHECK(row.day == 20000);
  CHECK(std::string(row.domain) + std::string(row.digest) + std::string(row.result_type) == "123");
  CHECK(row.reason == odd);
  CHECK(std::string(row.mx) + std::string(row.helo) + std::string(row.ip) == "567");
  CHECK(row.source_ip == "8");
  CHECK(row.count == 9);
}

TEST_CASE("count journal: octets that end too early or are none of ours are told") {
  const std::string octets = store::encoded(std::vector<PolicyCount>{policy(day, "a", "d", 200)});
  for (std::size_t size = 1; size < octets.size(); ++size) {
    std::vector<PolicyView> rows;
    CHECK_FALSE(store::decode(std::string_view(octets).substr(0, size), rows));
  }
  std::vector<PolicyView> rows;
  CHECK(store::decode("", rows));
  CHECK_FALSE(store::decode(std::string(40, '\xff'), rows));
  CHECK_FALSE(store::decode(std::string("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), rows));
  std::vector<FailureView> failures;
  CHECK_FALSE(store::decode(octets, failures));
  CHECK(rows.empty());
}

TEST_CASE("count journal: rows of one key add up, by day and domain, else as they came") {
  const std::string octets = store::encoded(std::vector<PolicyCount>{
      policy(day, "b", "d1", 1), policy(day + std::chrono::days(1), "a", "d1", 10),
      policy(day, "b", "d0", 100), policy(day, "a", "d2", 1000), policy(day, "b", "d1", 10000)});
  std::vector<PolicyView> rows;
  REQUIRE(store::decode(octets, rows));
  store::merge(rows);
  std::string order;
  for (const PolicyView& row : rows) {
    order += std::string(row.domain) + std::string(row.digest);
    order += "=" + std::to_string(row.fine) + " ";
  }
  CHECK(order == "ad2=1000 bd1=10001 bd0=100 ad1=10 ");
  CHECK(rows[1].noted == 4);
  CHECK(rows[1].failed == 6);

  const FailureCount one{day, "a", "d", "t", "r", "m", "h", "i", "s", 1};
  std::vector<FailureCount> failures{one, one};
  for (std::string FailureCount::* const member :
       {&FailureCount::domain, &FailureCount::digest, &FailureCount::result_type,
        &FailureCount::reason, &FailureCount::mx, &FailureCount::helo, &FailureCount::ip,
        &FailureCount::source_ip}) {
    failures.push_back(one);
    failures.back().*member = "zz";
  }
  const std::string more = store::encoded(failures);
  std::vector<FailureView> merged;
  REQUIRE(store::decode(more, merged));
  store::merge(merged);
  CHECK(merged.size() == 9);  // alike in all but one is not alike
}
