#include "tlsrpt/report.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "base/encode.h"

using namespace std::chrono_literals;
using std::chrono::sys_days;
using tlsrpt::FailureRow;
using tlsrpt::PolicyRows;
using tlsrpt::PolicyType;
using tlsrpt::Report;
using tlsrpt::ResultType;

namespace {

constexpr sys_days day{2026y / 11 / 25};

Report report() {
  Report out;
  out.submitter = {"Example Corp", "postmaster@example.com", "example.com"};
  out.domain = "recv.example";
  out.day = day;
  out.id = tlsrpt::report_id(day, out.domain, "example.com", "edge.example.com");
  return out;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a day is written and read as YYYY-MM-DD and in no other way") {
  const auto good = [](std::string_view text, sys_days want) {
    INFO(text);
    CHECK(tlsrpt::parse_day(text) == want);
    CHECK(tlsrpt::day_text(want) == text);
  };
  good("2026-11-25", day);
  good("1970-01-01", sys_days{1970y / 1 / 1});
  good("2024-02-29", sys_days{2024y / 2 / 29});
  good("2000-02-29", sys_days{2000y / 2 / 29});
  good("0987-06-05", sys_days{987y / 6 / 5});
  good("9999-12-31", sys_days{9999y / 12 / 31});

  const auto bad = [](std::string_view text) {
    INFO(text);
    CHECK_FALSE(tlsrpt::parse_day(text));
  };
  bad("");                      // nothing
  bad("2026-11-31");            // no such day
  bad("2026-02-29");            // no leap year
  bad("1900-02-29");            // none either
  bad("2026-13-01");            // no such month
  bad("2026-00-01");            // months begin with 1
  bad("2026-01-00");            // and days
  bad("2026-1-01");             // one digit
  bad("26-11-25");              // year of two digits
  bad("2026-11-25 ");           // space behind
  bad(" 2026-11-25");           // and before
  bad("2026-11-25T00:00:00Z");  // a time, too
  bad("2026/11/25");            // other marks
  bad("20261125");              // none
  bad("+026-11-25");            // a sign
  bad("2026-+1-25");            // and within
  bad("2026-11-2\xb2");         // not a digit
  bad(std::string_view("2026-11-2\0", 10));  // nor this
}

TEST_CASE("RFC 8460 §5.1: the file's name has submitter, domain and the day in Unix seconds") {
  CHECK(tlsrpt::file_name(report()) == "example.com!recv.example!1795564800!1795651199.json.gz");
}

TEST_CASE("a report's id is stable, and another for each of its parts") {
  using tlsrpt::report_id;
  const std::string id = report_id(day, "recv.example", "example.com", "edge.example.com");
  CHECK(id == report_id(day, "recv.example", "example.com", "edge.example.com"));
  CHECK(id.starts_with("20261125.recv.example."));
  CHECK(id.ends_with("@example.com"));
  const std::string hash = id.substr(22, 16);
  CHECK(hash.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(id.size() == 22 + 16 + 12);

  const std::set<std::string> all{
      id, report_id(day + std::chrono::days(1), "recv.example", "example.com", "edge.example.com"),
      report_id(day, "recv.example", "example.com", "edge2.example.com"),
      report_id(day, "recv.example", "example.org", "edge.example.com"),
      report_id(day, "b.example", "example.com", "edge.example.com")};
  CHECK(all.size() == 5);
  // What one text loses, the next gains: the hashes differ all the same.
  CHECK(report_id(day, "a", "bc", "d").substr(11, 16) !=
        report_id(day, "a", "b", "cd").substr(11, 16));
}

TEST_CASE("a report without policies is whole and says so with an empty array") {
  const std::string json = tlsrpt::to_json(report());
  CHECK(json.ends_with("\n"));
  CHECK(has(json, "\n  \"policies\": []\n}\n"));
  CHECK(nlohmann::json::parse(json)["policies"].is_array());
}

TEST_CASE("RFC 7493 §2.1: octets that are no UTF-8 and noncharacters are replaced") {
  static constexpr std::string_view replacement = "\xef\xbf\xbd";
  const auto written = [](const std::string& text) {
    Report out = report();
    out.policies = {PolicyRows{{PolicyType::sts, "recv.example", {text}, {}}, 1, 0, {}}};
    const std::string json = tlsrpt::to_json(out);
    CHECK(base::is_utf8(json));
    return nlohmann::json::parse(json)["policies"][0]["policy"]["policy-string"][0]
        .get<std::string>();
  };
  const auto kept = [&](const std::string& text) { CHECK(written(text) == text); };
  const auto replaced = [&](const std::string& text) {
    INFO(base::printable(text));
    CHECK(written("a" + text + "b") == "a" + std::string(replacement) + "b");
  };
  kept("mx: \xc3\xbc.example");
  kept("\"quoted\\\" \x01\r\n\t\x7f");
  kept("\xef\xbf\xbd");          // U+FFFD itself
  kept("\xf0\x9f\x92\x8c");      // beyond the first plane
  kept("\xef\xb7\x8f");          // before U+FDD0
  kept("\xef\xb7\xb0");          // behind U+FDEF
  replaced("\xff");              // never UTF-8
  replaced("\xc3");              // cut short
  replaced("\xef\xb7\x90");      // U+FDD0
  replaced("\xef\xb7\xaf");      // U+FDEF
  replaced("\xef\xbf\xbe");      // U+FFFE
  replaced("\xef\xbf\xbf");      // U+FFFF
  replaced("\xf0\x9f\xbf\xbf");  // U+1FFFF
  replaced("\xf4\x8f\xbf\xbe");  // U+10FFFE
}

TEST_CASE("RFC 7493 §2.2: counts stay below what every reader can tell apart") {
  Report out = report();
  PolicyRows rows{{PolicyType::no_policy_found, "recv.example", {}, {}}, ~0ULL, 1ULL << 53, {}};
  FailureRow row;
  row.type = ResultType::starttls_not_supported;
  row.count = ~0ULL;
  rows.details = {row};
  out.policies = {rows};
  const auto policy = nlohmann::json::parse(tlsrpt::to_json(out))["policies"][0];
  CHECK(policy["summary"]["total-successful-session-count"] == 9007199254740991);
  CHECK(policy["summary"]["total-failure-session-count"] == 9007199254740991);
  CHECK(policy["failure-details"][0]["failed-session-count"] == 9007199254740991);
}
