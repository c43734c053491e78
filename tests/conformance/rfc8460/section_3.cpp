// RFC 8460 §3: the TXT record at _smtp._tls.DOMAIN.
#include <catch2/catch.hpp>

#include "tlsrpt/record.h"

namespace {

using Strings = std::vector<std::string>;

Strings keys(const tlsrpt::Record& record) {
  Strings out;
  for (const auto& endpoint : record.endpoints) out.push_back(endpoint.uri);
  return out;
}

// `ignored`: how many URIs are passed over.
void good(const std::string& text, const Strings& want, std::size_t ignored = 0) {
  INFO(text);
  const auto record = tlsrpt::parse_record(text);
  REQUIRE(record.has_value());
  CHECK(record->text == text);
  CHECK(keys(*record) == want);
  CHECK(record->ignored.size() == ignored);
}

void bad(const std::string& text, const std::string& why) {
  INFO(text);
  const auto record = tlsrpt::parse_record(text);
  REQUIRE(record.has_error());
  INFO(record.error().text);
  CHECK(record.error().text.find(why) != std::string::npos);
}

void none(const Strings& texts) {
  const auto record = tlsrpt::choose_record(texts);
  REQUIRE(record.has_value());
  CHECK_FALSE(record->has_value());
}

void chosen(const Strings& texts, const std::string& want) {
  const auto record = tlsrpt::choose_record(texts);
  REQUIRE(record.has_value());
  REQUIRE(record->has_value());
  CHECK((*record)->text == want);
  CHECK((*record)->endpoints == tlsrpt::parse_record(want)->endpoints);
}

void refused(const Strings& texts, const std::string& why) {
  const auto record = tlsrpt::choose_record(texts);
  REQUIRE(record.has_error());
  INFO(record.error().text);
  CHECK(record.error().text.find(why) != std::string::npos);
}

const Strings mail{"mailto:a@example.com"};
const Strings both{"mailto:a@example.com", "https://example.com/r"};

}  // namespace

TEST_CASE("RFC 8460 §3: a record names where reports go, by mail or by https") {
  good("v=TLSRPTv1;rua=mailto:a@example.com", mail);
  good("v=TLSRPTv1; rua=mailto:a@example.com", mail);
  good("v=TLSRPTv1; rua=mailto:a@example.com;", mail);
  good("v=TLSRPTv1\t; \trua=mailto:a@example.com \t; \t", mail);
  good("v=TLSRPTv1; rua=https://example.com/r", {"https://example.com/r"});
}

TEST_CASE("RFC 8460 §3: several URIs have commas between them, each with white space around") {
  good("v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/r", both);
  good("v=TLSRPTv1; rua=mailto:a@example.com \t,\t https://example.com/r", both);
  good("v=TLSRPTv1; rua=https://example.com/r, mailto:a@example.com",
       {"https://example.com/r", "mailto:a@example.com"});
  // Not in the grammar, and harmless.
  good("v=TLSRPTv1; rua= mailto:a@example.com", mail);
  good("v=TLSRPTv1; rua=mailto:a@example.com ", mail);
}

TEST_CASE("RFC 8460 §3: comma, exclamation mark and semicolon are encoded in a URI, or split it") {
  good("v=TLSRPTv1; rua=https://example.com/a%2Cb%21c%3Bd",
       {"https://example.com/a%2Cb%21c%3Bd"});
  good("v=TLSRPTv1; rua=https://example.com/a,b", {"https://example.com/a"}, 1);
  good("v=TLSRPTv1; rua=https://example.com/r;a=b", {"https://example.com/r"});
  // The size suffix is DMARC's.
  good("v=TLSRPTv1; rua=mailto:a@example.com!10m", {}, 1);
  good("v=TLSRPTv1; rua=https://example.com/r!10m", {}, 1);
}

TEST_CASE("RFC 8460 §3: several rua fields count together; a place that is named twice is one") {
  good("v=TLSRPTv1; rua=mailto:a@example.com; rua=https://example.com/r", both);
  good("v=TLSRPTv1; rua=mailto:a@example.com; x=y; rua=https://example.com/r;", both);
  good("v=TLSRPTv1; rua=mailto:a@example.com,mailto:a@EXAMPLE.COM; rua=mailto:%61@example.com",
       mail);
  good("v=TLSRPTv1; rua=mailto:a@example.com%2Ca@example.com", mail);
}

TEST_CASE("RFC 8460 §3: behind the version the order is free and unknown fields are ignored") {
  good("v=TLSRPTv1; foo=bar; rua=mailto:a@example.com", mail);
  good("v=TLSRPTv1; rua=mailto:a@example.com; x-y_z.0=!\"#$%&'()*+,-./:<>?@[\\]^_`{|}~", mail);
  good("v=TLSRPTv1; v=TLSRPTv2; rua=mailto:a@example.com", mail);
  good("v=TLSRPTv1; RUA=mailto:b@example.com; rua=mailto:a@example.com", mail);
  good("v=TLSRPTv1; " + std::string(32, 'n') + "=x; rua=mailto:a@example.com", mail);
}

TEST_CASE("RFC 8460 §3: other schemes, and what cannot be read, are passed over") {
  good("v=TLSRPTv1; rua=ftp://example.com/r,mailto:a@example.com", mail, 1);
  good("v=TLSRPTv1; rua=mailto:a@example.com,http://example.com/r", mail, 1);
  good("v=TLSRPTv1; rua=tel:+1-201-555-0123", {}, 1);
  good("v=TLSRPTv1; rua=,mailto:a@example.com,", mail, 2);
  good("v=TLSRPTv1; rua=", {}, 1);
  good("v=TLSRPTv1; rua=!!", {}, 1);
  // Found published: https://github.com/sys4/tlsrpt-reporter/issues/54
  good("v=TLSRPTv1; rua=postmaster@example.com", {}, 1);

  const auto record = tlsrpt::parse_record("v=TLSRPTv1; rua=ftp://example.com,a@example.com, ");
  REQUIRE(record.has_value());
  CHECK(record->ignored == Strings{"\"ftp://example.com\": neither mailto nor https",
                                   "\"a@example.com\": no scheme, such as mailto:",
                                   "\"\": an empty URI"});
}

TEST_CASE("RFC 8460 §3: version and rua are spelled in this case alone") {
  bad("v=tlsrptv1; rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad("V=TLSRPTv1; rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad("v=TLSRPTv1; Rua=mailto:a@example.com", "no rua");
}

TEST_CASE("RFC 8460 §3: what does not begin with v=TLSRPTv1; is no such record") {
  bad("", "not a TLSRPTv1 record");
  bad("v=TLSRPTv1", "not a TLSRPTv1 record");
  bad("v=TLSRPTv1 ", "not a TLSRPTv1 record");
  bad("v=TLSRPTv12; rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad("v=TLSRPTv1 rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad(" v=TLSRPTv1; rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad("v = TLSRPTv1; rua=mailto:a@example.com", "not a TLSRPTv1 record");
  bad("\"v=TLSRPTv1; rua=mailto:a@example.com\"", "not a TLSRPTv1 record");
  bad("rua=mailto:a@example.com; v=TLSRPTv1;", "not a TLSRPTv1 record");
}

TEST_CASE("RFC 8460 §3: what the grammar does not admit is not readable") {
  bad("v=TLSRPTv1;", "empty field");
  bad("v=TLSRPTv1; ", "empty field");
  bad("v=TLSRPTv1; foo=bar", "no rua");
  bad("v=TLSRPTv1;; rua=mailto:a@example.com", "empty field");
  bad("v=TLSRPTv1; rua=mailto:a@example.com;;", "empty field");
  bad("v=TLSRPTv1; rua", "NAME=VALUE");
  bad("v=TLSRPTv1; rua =mailto:a@example.com", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo=", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; =bar", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo=a b", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo=a=b", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; -foo=a", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; f\xc3\xb6=a", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo=\xc3\xb6", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; foo=a ", "NAME=VALUE");
  bad("v=TLSRPTv1; rua=mailto:a@example.com; " + std::string(33, 'n') + "=x", "NAME=VALUE");
  bad(std::string("v=TLSRPTv1; rua=mailto:a@example.com; foo=\0", 43), "NAME=VALUE");
}

TEST_CASE("RFC 8460 §7: one record makes no flood: size, endpoints and words are bounded") {
  const std::string begin = "v=TLSRPTv1; rua=mailto:a@example.com; x=";
  good(begin + std::string(tlsrpt::record_limit - begin.size(), 'y'), mail);
  bad(begin + std::string(tlsrpt::record_limit - begin.size() + 1, 'y'), "longer than");

  std::string many = "v=TLSRPTv1; rua=";
  Strings first;
  for (int i = 0; i < 12; ++i) {
    const std::string uri = "mailto:r" + std::to_string(i) + "@example.com";
    many += (i == 0 ? "" : ",") + uri;
    if (i < 10) first.push_back(uri);
  }
  REQUIRE(tlsrpt::endpoints_limit == first.size());
  good(many, first, 2);
  CHECK(tlsrpt::parse_record(many)->ignored.front() ==
        "\"mailto:r10@example.com\": more than 10 endpoints");
  // One that is repeated behind the tenth is not one too many.
  good(many + ",mailto:r0@example.com", first, 2);

  const auto commas = tlsrpt::parse_record("v=TLSRPTv1; rua=" + std::string(1000, ','));
  REQUIRE(commas.has_value());
  REQUIRE(commas->ignored.size() == 20);
  CHECK(commas->ignored[18] == "\"\": an empty URI");
  CHECK(commas->ignored[19] == "and 982 more");
}

TEST_CASE("RFC 8460 §3: of the TXT records at the name, exactly one must be TLSRPTv1") {
  const std::string one = "v=TLSRPTv1; rua=mailto:a@example.com";
  none({});
  none({"v=spf1 -all", "", "v=TLSRPTv1", "v=TLSRPTv2; rua=mailto:a@example.com"});
  chosen({one}, one);
  chosen({"v=spf1 -all", one, "v=STSv1; id=1"}, one);
  chosen({"v=TLSRPTv1 ; rua=https://example.com"}, "v=TLSRPTv1 ; rua=https://example.com");
  chosen({"v=TLSRPTv1; rua=ftp://example.com"}, "v=TLSRPTv1; rua=ftp://example.com");
  refused({one, one}, "2 TLSRPTv1 records");
  refused({one, "v=TLSRPTv1; nonsense"}, "2 TLSRPTv1 records");
  refused({one, "v=TLSRPTv1 ; rua=mailto:b@example.com"}, "2 TLSRPTv1 records");
  refused({"v=TLSRPTv1; nonsense"}, "NAME=VALUE");
  refused({"v=TLSRPTv1; x=y", "text"}, "no rua");
  refused({one + "; x=" + std::string(tlsrpt::record_limit, 'y')}, "longer than");
}
