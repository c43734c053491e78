// What `policy generate` publishes: accepted by a sender's parsers, fit for a zone file.
#include <catch2/catch.hpp>

#include "policy/publish.h"
#include "policy/sts_lint.h"

namespace {

using policy::Publication;

base::Domain domain(const char* name) { return *base::Domain::parse(name); }

Publication wish() {
  return {domain("example.com"), policy::StsMode::enforce, {"mx1.example.com", "*.example.net"},
          std::chrono::weeks(2), "20261126T181500Z", {}, {}, 3600};
}

std::string why_not(const Publication& publication) {
  const auto published = policy::publish(publication);
  return published ? "" : published.error().text;
}

}  // namespace

TEST_CASE("publish: a policy without fault, and its record") {
  const auto published = policy::publish(wish());
  REQUIRE(published.has_value());
  CHECK(published->policy_file == "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\n"
                                  "mx: *.example.net\r\nmax_age: 1209600\r\n");
  CHECK(policy::lint(published->policy_file).empty());
  CHECK(published->policy_url == "https://mta-sts.example.com/.well-known/mta-sts.txt");
  REQUIRE(published->records.size() == 1);
  CHECK(published->records[0].line() ==
        "_mta-sts.example.com. 3600 IN TXT \"v=STSv1; id=20261126T181500Z;\"");
}

TEST_CASE("publish: mode none has no mx") {
  Publication none = wish();
  none.mode = policy::StsMode::none;
  none.max_age = std::chrono::days(1);
  CHECK(policy::publish(none)->policy_file ==
        "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n");
}

TEST_CASE("publish: the TLS-RPT record, its URIs judged as a reporter does (RFC 8460 §3)") {
  Publication reports = wish();
  reports.rua = {"mailto:tls@example.com", "https://reports.example.com/v1"};
  CHECK(policy::publish(reports)->records[1].line() ==
        "_smtp._tls.example.com. 3600 IN TXT "
        "\"v=TLSRPTv1; rua=mailto:tls@example.com,https://reports.example.com/v1\"");
  for (const char* bad : {"tls@example.com", "ftp://x.example/", "mailto:", "mailto:a@b;c",
                          "mailto:a@example.com,mailto:b@example.com", "https://"}) {
    CAPTURE(bad);
    reports.rua = {bad};
    CHECK_FALSE(why_not(reports).empty());
  }
}

TEST_CASE("publish: TLSA of the key in use and the next one beside it, each once") {
  Publication keys = wish();
  const std::string now(64, 'a');
  const std::string next(64, 'b');
  keys.tlsa = {{domain("mx1.example.com"), now, "now"}, {domain("mx1.example.com"), next, "next"},
               {domain("mx1.example.com"), now, "again"}};
  const auto published = policy::publish(keys);
  REQUIRE(published->records.size() == 3);
  CHECK(published->records[1].line() ==
        "_25._tcp.mx1.example.com. 3600 IN TLSA 3 1 1 " + now + " ; now");
  CHECK(published->records[2].line() ==
        "_25._tcp.mx1.example.com. 3600 IN TLSA 3 1 1 " + next + " ; next");
}

TEST_CASE("publish: what a sender would refuse is refused, in words that name it") {
  Publication bad = wish();
  bad.mx = {"mx1.example.com", "mail_1.example.com"};
  CHECK(why_not(bad).starts_with("mx: mail_1.example.com: mx is not a host name"));
  bad.mx = {"a.example.com\r\nmx: b c"};
  CHECK_FALSE(why_not(bad).empty());
  bad.mx.clear();
  CHECK(why_not(bad).find("there is no mx") != std::string::npos);
  bad = wish();
  for (const char* id : {"", "2026-11-26", "123456789012345678901234567890123", "a;b"}) {
    bad.id = id;
    CHECK(why_not(bad).starts_with("the id \""));
  }
}

TEST_CASE("publish: character-strings of a zone file (RFC 1035 §5.1)") {
  CHECK(policy::zone_text("a \"b\" \\ c") == "\"a \\\"b\\\" \\\\ c\"");
  CHECK(policy::zone_text("\xC3\xBC") == "\"\\195\\188\"");
  CHECK(policy::zone_text("") == "\"\"");
  CHECK(policy::zone_text(std::string(600, 'x')) == "\"" + std::string(255, 'x') + "\" \"" +
                                                        std::string(255, 'x') + "\" \"" +
                                                        std::string(90, 'x') + "\"");
}

TEST_CASE("publish: an id from the time") {
  CHECK(policy::sts_id_of(std::chrono::sys_days(std::chrono::year(2026) / 11 / 6) +
                          std::chrono::hours(9) + std::chrono::milliseconds(5999)) ==
        "20261106T090005Z");
}
