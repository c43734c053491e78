// What the members of a report mean, in the shapes of the fixtures and beyond.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/unit/tlsrpt/read_support.h"

namespace {

using namespace std::chrono;
using Texts = std::vector<std::string>;
using tlsrpt::ReadDetail;
using tlsrpt::ReadReport;

base::WallTime november(unsigned d) { return sys_days(year(2026) / 11 / static_cast<int>(d)); }

// What a report says beside its one policy, and what is noted about it.
void noted(const std::string& report, const Texts& notes) {
  INFO(report);
  CHECK(the_report(report).notes == notes);
}
void policy_noted(const std::string& policy, const Texts& notes) {
  noted(report_json("[" + policy + "]"), notes);
}

std::string counts(const std::string& successes, const std::string& failures) {
  return R"({"policy":{"policy-type":"sts","policy-domain":"example.com"},"summary":{)"
         R"("total-successful-session-count":)" +
         successes + R"(,"total-failure-session-count":)" + failures + "}}";
}

}  // namespace

TEST_CASE("RFC 8460 §4.4: every member of a report") {
  const ReadReport report = the_report(fixture("mx_host_text.json"));
  CHECK(report.organization == "Company-X");
  CHECK(report.contact == "sts-reporting@company-x.example");
  CHECK(report.id == "5065427c-23d3@company-x.example");
  CHECK(report.begin == november(19));
  CHECK(report.end == november(20) - seconds(1));
  REQUIRE(report.policies.size() == 1);
  const tlsrpt::ReadPolicy& policy = report.policies[0];
  CHECK(policy.type == "sts");
  CHECK(policy.domain == "example.com");
  CHECK(policy.strings.size() == 5);
  CHECK(policy.strings[1] == "mode: enforce");
  CHECK(policy.successes == 5326);
  CHECK(policy.failures == 303);
  REQUIRE(policy.details.size() == 3);
  CHECK(policy.details[1] ==
        ReadDetail{"starttls-not-supported", "2001:db8:abcd:13::1", "b2.backup.example.com", "",
                   "203.0.113.56",
                   "https://reports.company-x.example/report_info?id=5065427c-23d3"
                   "#StarttlsNotSupported",
                   "", 200});
  CHECK(policy.details[2].failure_reason_code == "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
}

TEST_CASE("RFC 8460 appendix B, erratum 6241: mx-host may be a plain text") {
  const ReadReport report = the_report(fixture("mx_host_text.json"));
  CHECK(report.policies[0].mx_hosts == Texts{"*.backup.example.com"});
  CHECK(report.policies[0].details[0].sending_mta_ip == "2001:db8:abcd:12::1");
  CHECK(report.notes == Texts{"mx-host is a plain text, not a list",
                              "total-successful-session-count is a text, not a number",
                              "total-failure-session-count is a text, not a number"});
}

TEST_CASE("fixtures: a policy that could not be fetched has no strings, and its failure no place") {
  const ReadReport report = the_report(fixture("fetch_error.json"));
  CHECK(report.notes.empty());
  CHECK(report.policies[0].strings.empty());
  CHECK(report.policies[0].details ==
        std::vector<ReadDetail>{{"sts-policy-fetch-error", "", "", "", "", "", "", 3}});
}

TEST_CASE("fixtures: times without a zone are UTC") {
  const ReadReport report = the_report(fixture("no_zone.json.gz"));
  CHECK(report.begin == november(19));
  CHECK(report.end == november(20) - seconds(1));
  CHECK(report.notes == Texts{"start-datetime is not as RFC 3339 has it",
                              "end-datetime is not as RFC 3339 has it"});
}

TEST_CASE("fixtures: what is missing or null is noted where RFC 8460 §4.4 wants it") {
  const ReadReport small = the_report(fixture("no_policy_domain.json"));
  CHECK(small.policies[0].type == "no-policy-found");
  CHECK(small.policies[0].domain.empty());
  CHECK(small.policies[0].successes == 2);
  CHECK(small.notes == Texts{"no policy-domain"});
  const ReadReport clinic = the_report(fixture("contact_null.json"));
  CHECK(clinic.contact.empty());
  CHECK(clinic.end == november(21));
  CHECK(clinic.notes == Texts{"no contact-info"});
}

TEST_CASE("fixtures: two policies in one report, behind a byte order mark") {
  const ReadReport report = the_report(fixture("byte_order_mark.json"));
  REQUIRE(report.policies.size() == 2);
  CHECK(report.policies[0].type == "tlsa");
  CHECK(report.policies[0].domain == "mx1.example.com");
  CHECK(report.policies[0].strings[0].find("3 1 1 0c72") == 0);
  CHECK(report.policies[1].mx_hosts.size() == 2);
  CHECK(report.notes.empty());
}

TEST_CASE("fixtures: mail of five kinds") {
  CHECK(the_report(fixture("multipart_report.eml")).organization == "Gmoogle Inc.");
  CHECK(the_report(fixture("octet_stream.eml")).organization == "Post");
  CHECK(the_report(fixture("single_part.eml")).organization == "Old");
  CHECK(the_report(fixture("forwarded.eml")).id == "2026-11-18T00:00:00Z_example.com");
  const ReadReport lost = the_report(fixture("lost_indentation.eml"));
  CHECK(lost.id == "134000000000000003+example.com");
  CHECK(lost.notes == Texts{"TLS-Report-Domain names another domain than the report"});
  const tlsrpt::ReadResult box = tlsrpt::read_reports(fixture("mailbox.mbox"));
  CHECK(box.problems.empty());
  CHECK(box.reports.size() == 4);
  CHECK(box.without_report == 1);
}

TEST_CASE("fixtures: hostile words come out as they are, hostile counts as nothing") {
  const ReadReport report = the_report(fixture("hostile.json"));
  CHECK(report.organization == "</script><script>alert(1)</script>");
  CHECK(report.policies[0].successes == 0);
  CHECK(report.policies[0].failures == 0);
  CHECK(report.policies[0].details[0].count == 0);
  CHECK(report.notes == Texts{"failed-session-count is too large: taken as 0",
                              "a result-type that RFC 8460 does not know",
                              "total-successful-session-count is negative: taken as 0",
                              "total-failure-session-count is too large: taken as 0"});
}

TEST_CASE("members of another type or shape are taken where their meaning is plain") {
  policy_noted(policy_json(), {});
  policy_noted(policy_json(R"(,"failure-details":null)"), {});
  policy_noted(policy_json(R"(,"failure-details":[],"new":{"a":[1]})"), {});
  noted(report_json(policy_json()), {"policies is one object, not a list"});
  noted(report_json("[]"), {});
  policy_noted("7", {"an entry of policies is not an object: left out"});
  policy_noted(policy_json(R"(,"failure-details":{"result-type":"tlsa-invalid",)"
                           R"("failed-session-count":1})"),
               {"failure-details is one object, not a list"});
  policy_noted(policy_json(R"(,"failure-details":"none")"),
               {"failure-details is not a list: left out"});
  policy_noted(policy_json(R"(,"failure-details":[1])"),
               {"an entry of failure-details is not an object: left out"});
  policy_noted(policy_json(R"(,"failure-details":[{"result-type":"tlsa-invalid"}])"),
               {"no failed-session-count"});
  policy_noted(policy_json(R"(,"failure-details":[{"failed-session-count":1}])"),
               {"no result-type"});
  policy_noted(R"({"policy-type":"sts","policy-domain":"a.example","summary":{)"
               R"("total-successful-session-count":1,"total-failure-session-count":0}})",
               {"policies has an entry without a policy object"});
  policy_noted(R"({"policy":{"policy-type":"dnssec","policy-domain":7},"summary":{)"
               R"("total-successful-session-count":1,"total-failure-session-count":0}})",
               {"policy-domain is not a text", "a policy-type that RFC 8460 does not know"});
}

TEST_CASE("policy-string may be one text, with its lines") {
  const ReadReport report = the_report(report_json(
      R"([{"policy":{"policy-type":"sts","policy-domain":"Example.COM.",)"
      R"("policy-string":"version: STSv1\r\nmode: testing\n","mx-host":["a",null,3]},)"
      R"("summary":{"total-successful-session-count":1,"total-failure-session-count":0}}])"));
  CHECK(report.policies[0].strings == Texts{"version: STSv1", "mode: testing"});
  CHECK(report.policies[0].mx_hosts == Texts{"a", "3"});
  CHECK(report.policies[0].domain == "example.com");
  CHECK(report.notes == Texts{"policy-string is a plain text, not a list",
                              "mx-host is not a text"});
}

TEST_CASE("counts are whole numbers from 0 to a million million, in whatever form") {
  const auto first = [](const std::string& text) {
    return the_report(report_json("[" + counts(text, "0") + "]"));
  };
  const std::vector<std::pair<std::string, std::uint64_t>> good{
      {"0", 0}, {"12", 12}, {"12.0", 12}, {"1e3", 1000}, {"1000000000000", 1000000000000}};
  for (const auto& [text, want] : good) {
    INFO(text);
    CHECK(first(text).policies[0].successes == want);
    CHECK(first(text).notes.empty());
  }
  const std::vector<std::tuple<std::string, std::uint64_t, std::string>> odd{
      {"\" 12 \"", 12, " is a text, not a number"},
      {"12.5", 12, " is not a whole number"},
      {"-1", 0, " is negative: taken as 0"},
      {"-1.5", 0, " is negative: taken as 0"},
      {"1000000000001", 0, " is too large: taken as 0"},
      {"18446744073709551616", 0, " is too large: taken as 0"},
      {"1e300", 0, " is too large: taken as 0"},
      {"\"-1\"", 0, " is not a number: taken as 0"},
      {"\"many\"", 0, " is not a number: taken as 0"},
      {"\"99999999999999999999\"", 0, " is not a number: taken as 0"},
      {"\"\"", 0, " is not a number: taken as 0"},
      {"true", 0, " is not a number: taken as 0"},
      {"[1]", 0, " is not a number: taken as 0"}};
  for (const auto& [text, want, note] : odd) {
    INFO(text);
    CHECK(first(text).policies[0].successes == want);
    CHECK(first(text).notes == Texts{"total-successful-session-count" + note});
  }
}

TEST_CASE("without a summary the details count") {
  const ReadReport report = the_report(report_json(
      R"([{"policy":{"policy-type":"sts","policy-domain":"example.com"},"failure-details":[)"
      R"({"result-type":"tlsa-invalid","failed-session-count":2},)"
      R"({"result-type":"tlsa-invalid","failed-session-count":3}]}])"));
  CHECK(report.policies[0].failures == 5);
  CHECK(report.notes == Texts{"no summary: failures counted from failure-details"});
}

TEST_CASE("date-range in forms that are not RFC 3339") {
  const auto with = [](const std::string& range) {
    return the_report(R"({"organization-name":"Org","contact-info":"a@b","report-id":"1",)" +
                      range + R"("policies":[]})");
  };
  const ReadReport seconds_range = with(R"("date-range":{"start-datetime":1795046400,)"
                                        R"("end-datetime":"2026-11-20"},)");
  CHECK(seconds_range.begin == november(19));
  CHECK(seconds_range.end == november(20));
  CHECK(seconds_range.notes == Texts{"start-datetime is a number, taken as Unix seconds",
                                     "end-datetime is not as RFC 3339 has it"});
  const ReadReport turned = with(R"("date-range":{"start-datetime":"2026-11-20T00:00:00Z",)"
                                 R"("end-datetime":"2026-11-19T00:00:00Z"},)");
  CHECK(turned.begin == november(19));
  CHECK(turned.notes == Texts{"date-range ends before it begins"});
  CHECK(with("").notes == Texts{"no date-range"});
  CHECK_FALSE(with("").begin);
  CHECK(with(R"("date-range":{"start-datetime":"soon"},)").notes ==
        Texts{"start-datetime is not a time", "no end-datetime"});
}

TEST_CASE("a reporter without a name is known by its address") {
  const ReadReport report = the_report(
      R"({"contact-info":"tls@Reporter.example","date-range":{"start-datetime":)"
      R"("2026-11-18T00:00:00Z","end-datetime":"2026-11-19T00:00:00Z"},"policies":[]})");
  CHECK(report.organization == "reporter.example");
  CHECK(report.notes == Texts{"no report-id", "no organization-name"});
}

TEST_CASE("addresses are written in one way") {
  const std::vector<std::pair<std::string, std::string>> good{
      {"192.0.2.1", "192.0.2.1"},
      {"[192.0.2.1]", "192.0.2.1"},
      {"[IPv6:2001:DB8::1]", "2001:db8::1"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"mail.example.com", "mail.example.com"},
      {"", ""}};
  for (const auto& [text, want] : good) {
    const ReadReport report = the_report(report_json(
        "[" + policy_json(R"(,"failure-details":[{"result-type":"tlsa-invalid",)"
                          R"("failed-session-count":1,"sending-mta-ip":")" + text + "\"}]") + "]"));
    CHECK(report.policies[0].details[0].sending_mta_ip == want);
  }
}

TEST_CASE("texts are cut at a character, lists at their bound") {
  tlsrpt::ReadLimits limits;
  limits.text = 8;
  limits.strings = 2;
  const std::string long_id = "1234567\xc3\xa9" "9";
  const auto read = tlsrpt::read_reports(
      report_json(R"([{"policy":{"policy-type":"sts","policy-domain":"a.b",)"
                  R"("policy-string":["a","b","c"],"mx-host":["a","b"]},"summary":{)"
                  R"("total-successful-session-count":1,"total-failure-session-count":0}}])",
                  long_id),
      limits);
  REQUIRE(read.reports.size() == 1);
  CHECK(read.reports[0].id == "1234567");
  CHECK(read.reports[0].policies[0].strings == Texts{"a", "b"});
  CHECK(read.reports[0].policies[0].mx_hosts == Texts{"a", "b"});
  CHECK(read.reports[0].notes == Texts{"contact-info is longer than 8 octets: cut",
                                       "report-id is longer than 8 octets: cut",
                                       "policy-string has more than 2 texts: cut"});
}

TEST_CASE("RFC 7493 §2.1: what is not UTF-8 is replaced and noted") {
  const ReadReport report = the_report(report_json("[]", "caf\xe9"));
  CHECK(report.id == "caf\xef\xbf\xbd");
  CHECK(report.notes == Texts{"not in UTF-8"});
}
