#include "tlsrpt/sum_print.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <openssl/evp.h>

#include "base/encode.h"
#include "tests/unit/tlsrpt/read_support.h"
#include "tlsrpt/result.h"
#include "tlsrpt/sum_words.h"

namespace {

tlsrpt::Sum sum_of(const std::vector<std::string>& names) {
  tlsrpt::Summing summing;
  for (const std::string& name : names) {
    const tlsrpt::ReadResult read = tlsrpt::read_reports(fixture(name));
    for (const auto& report : read.reports) summing.add(report);
    summing.add_without_report(read.without_report);
  }
  return summing.sum();
}

const std::vector<std::string> every{
    "mx_host_text.json",    "fetch_error.json",   "no_zone.json.gz",      "no_policy_domain.json",
    "contact_null.json",    "hostile.json",       "byte_order_mark.json", "multipart_report.eml",
    "lost_indentation.eml", "mailbox.mbox"};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The page's tags in order, each with its attributes; fails where one is not closed in order or an
// attribute is not as we write them.
struct Tags {
  std::vector<std::string> names;
  std::vector<std::string> whole;
};
Tags tags_of(const std::string& page) {
  static const std::vector<std::string> empty{"meta", "rect", "!DOCTYPE"};
  Tags tags;
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at)) {
    const std::size_t end = page.find('>', at);
    REQUIRE(end != std::string::npos);
    const std::string tag = page.substr(at + 1, end - at - 1);
    REQUIRE_FALSE(tag.empty());
    at = end;
    tags.whole.push_back(tag);
    if (tag[0] == '/') {
      REQUIRE_FALSE(open.empty());
      REQUIRE(open.back() == tag.substr(1));
      open.pop_back();
      continue;
    }
    const std::string name = tag.substr(0, tag.find_first_of(" /"));
    tags.names.push_back(name);
    if (std::find(empty.begin(), empty.end(), name) == empty.end()) open.push_back(name);
  }
  CHECK(open.empty());
  return tags;
}

}  // namespace

TEST_CASE("the tables, to the letter") {
  const std::string want =
      "1 report from 1 organization, 2026-11-19 (UTC)\n"
      "5326 sessions succeeded, 303 failed (5.4 %)\n"
      "\n"
      "By policy\n"
      "  Policy domain  Type  Mode     Reports  Succeeded  Failed\n"
      "  example.com    sts   enforce        1       5326     303\n"
      "\n"
      "Failed sessions by result type\n"
      "  Result type                Failed  Organizations\n"
      "  starttls-not-supported        200              1  ########################\n"
      "  certificate-host-mismatch     100              1  ############\n"
      "  validation-failure              3              1  #\n"
      "\n"
      "Failed sessions by sending source\n"
      "  Sending MTA IP       Reported by  Failed  Result types\n"
      "  2001:db8:abcd:13::1  Company-X       200  starttls-not-supported 200\n"
      "  2001:db8:abcd:12::1  Company-X       100  certificate-host-mismatch 100\n"
      "  198.51.100.62        Company-X         3  validation-failure 3\n"
      "\n"
      "What failed where\n"
      "  Result type                MX host                Failed  Reason\n"
      "  starttls-not-supported     b2.backup.example.com     200  -\n"
      "  certificate-host-mismatch  b1.backup.example.com     100  -\n"
      "  validation-failure         mx1.example.com             3  "
      "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\n"
      "\n"
      "By organization\n"
      "  Reported by  Reports  Succeeded  Failed\n"
      "  Company-X          1       5326     303\n"
      "\n"
      "By day (UTC)\n"
      "  Day         Reports  Succeeded  Failed\n"
      "  2026-11-19        1       5326     303  ########################\n"
      "\n"
      "Odd in these reports\n"
      "  Reported by  Reports  What\n"
      "  Company-X          1  mx-host is a plain text, not a list\n"
      "  Company-X          1  total-failure-session-count is a text, not a number\n"
      "  Company-X          1  total-successful-session-count is a text, not a number\n";
  CHECK(tlsrpt::sum_text(sum_of({"mx_host_text.json"}), {}) == want);
}

TEST_CASE("the tables are ASCII without control characters, however hostile the report") {
  const std::string text = tlsrpt::sum_text(sum_of(every), {});
  for (const char c : text) CHECK((c == '\n' || (c >= ' ' && c <= '~')));
  CHECK(has(text, "1 message held no TLS report\n"));
  CHECK(has(text, "2 reports came again and were not counted again\n"));
}

TEST_CASE("on a terminal with UTF-8, names stay and bars are blocks") {
  tlsrpt::Summing summing;
  tlsrpt::ReadReport report = the_report(fixture("mx_host_text.json"));
  report.organization = "Caf\xc3\xa9 \xe2\x80\xae\x1b[2J\xc2\x85";
  summing.add(report);
  const std::string text = tlsrpt::sum_text(summing.sum(), {true, 20});
  CHECK(has(text, "Caf\xc3\xa9 ??[2J?  "));
  CHECK(has(text, "\xe2\x96\x88"));
  CHECK(has(tlsrpt::sum_text(summing.sum(), {}), "Caf? ??[2J?  "));
}

TEST_CASE("tables show so many lines and say how many more there are") {
  const std::string text = tlsrpt::sum_text(sum_of(every), {false, 1});
  CHECK(has(text, "  ... and 5 more (--json has them)\n"));
  CHECK_FALSE(has(text, "2026-11-18   "));
  CHECK(has(text, "2026-11-23   "));  // the latest day
}

TEST_CASE("JSON: the schema, every table, times") {
  const auto json = nlohmann::json::parse(tlsrpt::sum_json(sum_of(every)));
  CHECK(json["schema"] == 1);
  CHECK(json["reports"] == 11);
  CHECK(json["duplicate_reports"] == 2);
  CHECK(json["messages_without_report"] == 1);
  CHECK(json["begin"] == "2026-11-18T00:00:00Z");
  CHECK(json["end"] == "2026-11-23T23:59:59Z");
  CHECK(json["policies"][0]["policy_domain"] == "example.com");
  CHECK(json["results"][0] == nlohmann::json({{"result_type", "starttls-not-supported"},
                                              {"failed_sessions", 200},
                                              {"organizations", 1}}));
  CHECK(json["sources"][0]["results"]["starttls-not-supported"] == 200);
  CHECK(json["failures"][1]["receiving_mx_hostname"] == "b1.backup.example.com");
  CHECK(json["organizations"].size() == 8);
  CHECK(json["days"][0]["day"] == "2026-11-18");
  CHECK(json["notes"].size() > 5);
  CHECK(json["problems"].empty());

  const auto none = nlohmann::json::parse(tlsrpt::sum_json({}));
  CHECK(none["reports"] == 0);
  CHECK(none["begin"].is_null());
  CHECK(none["days"].is_array());
}

TEST_CASE("the page is well formed and has only the elements and attributes that we write") {
  const std::string page = tlsrpt::sum_html(sum_of(every));
  const Tags tags = tags_of(page);
  static const std::vector<std::string> known{
      "!DOCTYPE", "html", "head", "meta", "title", "style", "body",  "main", "header", "h1",
      "p",        "dl",   "div",  "dt",   "dd",    "section", "h2",  "table", "thead",  "tr",
      "th",       "td",   "tbody", "svg", "rect",  "small", "span",  "ul",   "li",     "footer",
      "strong",   "code"};
  for (const std::string& name : tags.names) {
    INFO(name);
    CHECK(std::find(known.begin(), known.end(), name) != known.end());
  }
  for (const std::string& tag : tags.whole) {
    INFO(tag);
    for (const char* bad : {" on", "style=", "src", "href", "url", "javascript", "alert"}) {
      if (tag.find("Content-Security-Policy") == std::string::npos) CHECK_FALSE(has(tag, bad));
    }
  }
  CHECK(std::count(tags.names.begin(), tags.names.end(), "h1") == 1);
  CHECK(has(page, "<th scope=\"col\">Sending MTA IP</th>"));
  CHECK(has(page, "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
  CHECK(has(page, "&#39;); DROP TABLE reports;--"));
  CHECK(has(page, "?gro.elpmaxe?[31m"));
}

TEST_CASE("the page loads nothing from outside and runs nothing") {
  const std::string page = tlsrpt::sum_html(sum_of(every));
  const std::string style(tlsrpt::sum_html_style());
  std::array<std::uint8_t, 32> digest{};
  REQUIRE(EVP_Digest(style.data(), style.size(), digest.data(), nullptr, EVP_sha256(), nullptr) ==
          1);
  const std::string policy = "content=\"default-src 'none'; style-src 'sha256-" +
                             base::to_base64(digest) + "'; base-uri 'none'; form-action 'none'\"";
  INFO("the style sheet's hash in sum_html.cpp must be " << base::to_base64(digest));
  CHECK(has(page, policy));
  CHECK(has(page, "<style>" + style + "</style>"));
  CHECK_FALSE(has(page, "http://"));
  CHECK_FALSE(has(style, "url("));
  CHECK_FALSE(has(style, "@import"));
}

TEST_CASE("the page's words: a verdict, what a result type means, how much is left out") {
  const std::string page = tlsrpt::sum_html(sum_of({"mx_host_text.json"}));
  CHECK(has(page, "<title>TLS reports for example.com</title>"));
  CHECK(has(page, "303 of 5,629 sessions failed (5.4 %)."));
  CHECK(has(page, "<strong>starttls-not-supported</strong>, told by 1 of 1 organization."));
  CHECK(has(page, "Turn STARTTLS on for every MX host."));
  CHECK(has(tlsrpt::sum_html({}), "No report could be read."));
  CHECK(has(tlsrpt::sum_html(sum_of({"contact_null.json"})), "The one session succeeded."));
}

TEST_CASE("the page keeps to 100 lines of a table and 240 octets of a text") {
  tlsrpt::Summing summing;
  tlsrpt::ReadReport report = the_report(fixture("fetch_error.json"));
  const tlsrpt::ReadDetail detail = report.policies[0].details[0];
  for (int i = 0; i < 150; ++i) {
    report.policies[0].details.push_back(detail);
    report.policies[0].details.back().sending_mta_ip = "192.0.2." + std::to_string(i);
  }
  report.organization = std::string(239, 'o') + "\xc3\xa9\xc3\xa9";
  summing.add(report);
  summing.add_problem("<file>", "<why>");
  summing.add_problem(std::string(250, '\x80'), "a name that is no UTF-8");
  const std::string page = tlsrpt::sum_html(summing.sum());
  CHECK(has(page, "51 more are left out here; <code>--json</code> has them."));
  CHECK(has(page, ">" + std::string(239, 'o') + "&hellip;<"));
  CHECK(has(page, "Not read: &lt;file&gt;: &lt;why&gt;"));
  (void)tags_of(page);
}

TEST_CASE("shares of sessions are never nothing for something, nor all for less") {
  CHECK(tlsrpt::share_words(0, 0) == "0 %");
  CHECK(tlsrpt::share_words(0, 10) == "0.0 %");
  CHECK(tlsrpt::share_words(1, 1000000) == "0.1 %");
  CHECK(tlsrpt::share_words(999999, 1000000) == "99.9 %");
  CHECK(tlsrpt::share_words(10, 10) == "100.0 %");
  CHECK(tlsrpt::share_words(1, 3) == "33.3 %");
}

TEST_CASE("RFC 8460 §4.3: every result type has its meaning in words") {
  for (int i = 0; i <= static_cast<int>(tlsrpt::ResultType::dane_required); ++i) {
    const auto word = tlsrpt::to_string(static_cast<tlsrpt::ResultType>(i));
    INFO(word);
    CHECK(tlsrpt::meaning_of(word) != tlsrpt::meaning_of("x"));
  }
}
