#include "tlsrpt/read.h"

#include <catch2/catch.hpp>
#include <span>
#include <string>
#include <vector>

#include "base/encode.h"
#include "tests/unit/tlsrpt/read_support.h"
#include "tlsrpt/gzip.h"

namespace {

using Texts = std::vector<std::string>;
using tlsrpt::ReadLimits;
using tlsrpt::ReadReport;
using tlsrpt::ReadResult;

std::string base64(const std::string& octets) {
  return base::to_base64(
      {reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
}

// What cannot be read is told, in just these words, and gives no report.
void bad(const std::string& octets, const Texts& why, const ReadLimits& limits = {}) {
  INFO(octets.substr(0, 200));
  const ReadResult read = tlsrpt::read_reports(octets, limits);
  CHECK(read.problems == why);
  CHECK(read.reports.empty());
}

const std::string one = report_json("[" + policy_json() + "]");

std::string mail(const std::string& type, const std::string& body,
                 const std::string& encoding = "") {
  return "From: a@org.example\nContent-Type: " + type + "\n" +
         (encoding.empty() ? "" : "Content-Transfer-Encoding: " + encoding + "\n") + "\n" + body;
}

std::string multipart(const std::string& type, const std::string& part) {
  return "From: a@org.example\nContent-Type: " + type + "; boundary=b\n\n--b\n\nhello\n--b\n" +
         part + "\n--b--\n";
}

std::string deep(int levels) {
  return levels == 0 ? "Subject: x\n\n" : mail("message/rfc822", deep(levels - 1));
}

}  // namespace

TEST_CASE("RFC 8460 §5: a report is found in whatever it comes in") {
  const std::string packed = tlsrpt::gzip(one);
  const std::string part = "Content-Transfer-Encoding: base64\n";
  const std::vector<std::pair<std::string, std::string>> files{
      {"JSON", one},
      {"JSON behind a byte order mark and white space", "\xef\xbb\xbf \r\n\t" + one + "\n"},
      {"gzip", packed},
      {"gzip in gzip", tlsrpt::gzip(packed)},
      {"gzip of a message", tlsrpt::gzip(mail("application/tlsrpt+json", one))},
      {"base64 of gzip", base64(packed)},
      {"base64 of JSON", base64(one)},
      {"a list with one report", "[" + one + "]"},
      {"single part, JSON", mail("application/tlsrpt+json", one)},
      {"single part, gzip", mail("application/tlsrpt+gzip", base64(packed), "base64")},
      {"single part, encoding not told", mail("application/tlsrpt+gzip", base64(packed))},
      {"no type at all", mail("", one)},
      {"multipart/report",
       multipart("multipart/report; report-type=tlsrpt",
                 "Content-Type: application/tlsrpt+gzip\n" + part + "\n" + base64(packed))},
      {"multipart/mixed", multipart("multipart/mixed", "Content-Type: application/gzip\n" + part +
                                                           "\n" + base64(packed))},
      {"application/octet-stream",
       multipart("multipart/mixed", "Content-Type: application/octet-stream\n" + part + "\n" +
                                        base64(packed))},
      {"text/plain", multipart("multipart/mixed", "Content-Type: text/plain\n\n" + one)},
      {"mbox", "From a Thu Nov 19 03:12:00 2026\n" + mail("application/json", one) + "\n"},
      {"Maildir's message with a From_ line", "From a\n" + mail("application/json", one)}};
  for (const auto& [what, octets] : files) {
    INFO(what);
    const ReadReport report = the_report(octets);
    CHECK(report.organization == "Org");
    CHECK(report.notes.empty());
    REQUIRE(report.policies.size() == 1);
    CHECK(report.policies[0].successes == 2);
  }
}

TEST_CASE("several JSON texts behind each other are several reports") {
  for (const std::string between : {"", "\n", ",\n", "\n\x1e"}) {
    CHECK(tlsrpt::read_reports(one + between + one).reports.size() == 2);
  }
  CHECK(tlsrpt::read_reports("[" + one + "," + one + "]\n" + one).reports.size() == 3);
  const ReadResult mixed = tlsrpt::read_reports(one + "\n{\"policies\": nope}\n" + one);
  CHECK(mixed.reports.size() == 2);
  CHECK(mixed.problems == Texts{"JSON text 2: JSON: not well formed at octet 15"});
  const ReadResult more = tlsrpt::read_reports(one + "and so on");
  CHECK(more.reports.size() == 1);
  CHECK(more.problems == Texts{"other text behind the JSON"});
}

TEST_CASE("what is no report is told in words") {
  bad("", {"empty"});
  bad(" \r\n", {"empty"});
  bad("hello world", {"neither JSON, gzip, a mail message nor an mbox"});
  bad(std::string(20, '\0'), {"neither JSON, gzip, a mail message nor an mbox"});
  bad("<?xml version=\"1.0\"?><feedback/>",
      {"XML, perhaps a DMARC report; TLS reports are JSON"});
  bad("PK\x03\x04zip", {"a zip archive; unpack it first"});
  bad("{}", {"JSON, but no report: no policies"});
  bad("{\"a\": 1}", {"JSON, but no report: no policies"});
  bad("[]", {"JSON, but no report"});
  bad("[1]", {"element 1: JSON, but not a report"});
  bad("{\"policies\": 3}", {"JSON, but no report: policies is not a list"});
  bad("{\"policies\": null}", {"JSON, but no report: no policies"});
  bad("{\"policies\": [,]}", {"JSON: not well formed at octet 15"});
  bad("{\"policies\": [}", {"JSON: cut short"});
  bad("{\"policies\": [", {"JSON: cut short"});
  bad("{\"policies\": \"}", {"JSON: cut short"});
  bad("{\"policies\": [1e999]}", {"JSON: a number out of range"});
  bad(tlsrpt::gzip(one).substr(0, 60), {"gzip: cut short"});
  bad(tlsrpt::gzip(tlsrpt::gzip(tlsrpt::gzip(one))), {"gzip in gzip in gzip"});
  bad(tlsrpt::gzip("<feedback/>"), {"XML, perhaps a DMARC report; TLS reports are JSON"});
  bad(mail("application/tlsrpt+gzip", "lost"),
      {"part labelled application/tlsrpt+gzip is neither gzip nor JSON"});
  bad(mail("application/tlsrpt+json", one.substr(0, 90)), {"JSON: cut short"});
  bad(mail("text/plain", one.substr(0, 90)), {"JSON: cut short"});
  bad(mail("multipart/report; report-type=tlsrpt", one),
      {"message: a multipart without a boundary"});
  bad("TLS-Report-Domain: example.com\n" + mail("multipart/mixed", one),
      {"message: a multipart without a boundary"});
}

TEST_CASE("mail without a report is passed over in silence and counted") {
  for (const std::string& octets :
       {mail("text/plain", "Hello!"), mail("text/plain", "{ see below }"),
        mail("application/json", "{\"a\": 1}"), mail("application/json", "[1, 2"),
        mail("application/gzip", base64(tlsrpt::gzip("<feedback/>")), "base64"),
        mail("application/gzip", base64("\x1f\x8b broken"), "base64"),
        mail("multipart/mixed", "spam with no boundary"), mail("message/rfc822", deep(12)),
        multipart("multipart/mixed", "Content-Type: image/png\n\n\x89PNG")}) {
    INFO(octets);
    const ReadResult read = tlsrpt::read_reports(octets);
    CHECK(read.problems.empty());
    CHECK(read.reports.empty());
    CHECK(read.without_report == 1);
  }
}

TEST_CASE("gzips that are no reports cost the reports behind them nothing") {
  tlsrpt::ReadLimits limits;
  limits.expanded = 100000;
  const std::string from = "From a Thu Nov 19 03:12:00 2026\n";
  std::string mbox;
  for (int i = 0; i < 5; ++i) {
    mbox += from + mail("application/gzip", base64(tlsrpt::gzip(std::string(90000, 'x'))),
                        "base64") + "\n\n";
  }
  mbox += from + mail("application/gzip", base64(tlsrpt::gzip(one)), "base64") + "\n\n";
  const ReadResult read = tlsrpt::read_reports(mbox, limits);
  for (const std::string& why : read.problems) UNSCOPED_INFO(why);
  CHECK(read.problems.empty());
  CHECK(read.reports.size() == 1);
  CHECK(read.without_report == 5);
}

TEST_CASE("one report that cannot be read leaves the others in the mbox") {
  const std::string from = "From a Thu Nov 19 03:12:00 2026\n";
  const ReadResult read = tlsrpt::read_reports(
      from + mail("application/json", one) + "\n\n" + from +
      mail("application/tlsrpt+gzip", base64("\x1f\x8b broken"), "base64") + "\n\n" + from +
      mail("text/plain", "Hello") + "\n\n" + from + mail("application/json", one) + "\n\n");
  CHECK(read.reports.size() == 2);
  CHECK(read.without_report == 1);
  REQUIRE(read.problems.size() == 1);
  CHECK(read.problems[0].find("message 2: gzip: ") == 0);
}

TEST_CASE("mbox: a From_ line counts behind an empty line alone; quotes are taken off") {
  const ReadResult read = tlsrpt::read_reports(
      "From a\r\n" + mail("text/plain", "x\nFrom here on\n") + "\r\n\r\nFrom b\r\n" +
      mail("text/plain", ">>From\n\n>From you\n") + "\n\nFrom c\n" +
      mail("application/json", one + "\n"));
  CHECK(read.reports.size() == 1);
  CHECK(read.without_report == 2);

  // In a report's own text the quote is taken off, too: an mbox may have put it there.
  const ReadResult within = tlsrpt::read_reports(
      "From a\n" + mail("application/json", "{\"organization-name\":\n\">>From x\",\n"
                                            "\"report-id\":\"1\",\"policies\":[]}"));
  REQUIRE(within.reports.size() == 1);
  CHECK(within.reports[0].organization == ">>From x");
}

TEST_CASE("RFC 8460 §5.6: where header and report disagree, the report counts") {
  const std::string head = "TLS-Report-Domain: other.example\n";
  const ReadReport report = the_report(head + mail("application/json", one));
  CHECK(report.policies[0].domain == "example.com");
  CHECK(report.notes == Texts{"TLS-Report-Domain names another domain than the report"});
  CHECK(the_report("TLS-Report-Domain: Example.com\n" + mail("application/json", one))
            .notes.empty());
  // A tlsa policy's domain is that of the MX host.
  CHECK(the_report(head + mail("application/json",
                               report_json(R"([{"policy":{"policy-type":"tlsa",)"
                                           R"("policy-domain":"mx.example.com"},)"
                                           R"("summary":{"total-successful-session-count":1,)"
                                           R"("total-failure-session-count":0}}])")))
            .notes.empty());
}

TEST_CASE("a file has bounds, and each tells of itself") {
  ReadLimits limits;
  limits.file = 1000;
  bad(std::string(1001, ' '), {"larger than 1000 octets"}, limits);
  bad(tlsrpt::gzip(std::string(2000, ' ')), {"gzip: more than 1000 octets come out"}, limits);

  limits = {};
  limits.messages = 2;
  const std::string entry = "From a\n" + mail("application/json", one) + "\n\n";
  const ReadResult cut = tlsrpt::read_reports(entry + entry + entry, limits);
  CHECK(cut.reports.size() == 2);
  CHECK(cut.problems == Texts{"more than 2 messages: the rest is left out"});

  limits = {};
  limits.reports = 2;
  const ReadResult first = tlsrpt::read_reports(one + one + one, limits);
  CHECK(first.reports.size() == 2);
  CHECK(first.problems == Texts{"JSON text 2: more than 2 reports: the rest is left out"});

  limits = {};
  limits.expanded = one.size() + 10;
  const std::string packed =
      "From a\n" + mail("application/gzip", base64(tlsrpt::gzip(one)), "base64") + "\n\n";
  const ReadResult expanded = tlsrpt::read_reports(packed + packed, limits);
  CHECK(expanded.reports.size() == 1);
  CHECK(expanded.problems == Texts{"message 2: gzip: more than 10 octets come out"});
}

TEST_CASE("a report has bounds, and each tells of itself") {
  ReadLimits limits;
  limits.json_depth = 6;
  CHECK(tlsrpt::read_reports(report_json("[" + policy_json(",\"x\":[[[]]]") + "]"), limits)
            .reports.size() == 1);
  bad(report_json("[" + policy_json(",\"x\":[[[[]]]]") + "]"), {"JSON: nested more than 6 deep"},
      limits);
  // Deep enough to overflow the stack of a parser that recurses.
  bad("{\"policies\":" + std::string(1000000, '[') + std::string(1000000, ']') + "}",
      {"JSON: nested more than 32 deep"});

  limits = {};
  limits.json_tokens = 40;
  bad(report_json("[" + std::string(80, ',') + "]"), {"JSON: more than 40 values"}, limits);

  limits = {};
  limits.policies = 1;
  bad(report_json("[" + policy_json() + "," + policy_json() + "]"), {"more than 1 policies"},
      limits);

  limits = {};
  limits.details = 2;
  const std::string details = R"(,"failure-details":[{},{},{}])";
  bad(report_json("[" + policy_json(details) + "]"), {"more than 2 failure-details"}, limits);

  limits = {};
  limits.rows = 5;
  const std::string four = report_json("[" + policy_json(details) + "]");
  const ReadResult rows = tlsrpt::read_reports(four + four + one, limits);
  CHECK(rows.reports.size() == 2);  // one after the one that was too much still fits
  CHECK(rows.problems ==
        Texts{"JSON text 2: more than 5 policies and failures in one file"});
}

TEST_CASE("problems are bounded, too") {
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "{\"policies\":1}";
  CHECK(tlsrpt::read_reports(many).problems.size() == ReadLimits().problems);
}
