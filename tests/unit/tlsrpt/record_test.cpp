// The URIs of a record, one by one; the record around them is in conformance/rfc8460/section_3.cpp.
#include "tlsrpt/record.h"

#include <catch2/catch.hpp>

namespace {

using tlsrpt::Endpoint;
using Strings = std::vector<std::string>;

tlsrpt::Record record_of(const std::string& uri) {
  INFO(uri);
  auto record = tlsrpt::parse_record("v=TLSRPTv1; rua=" + uri);
  REQUIRE(record.has_value());
  return *record;
}

struct Mail {
  std::string address;
  std::string uri;
};

using Mails = std::vector<Mail>;

void good(const std::string& uri, const Mails& want) {
  INFO(uri);
  const auto record = record_of(uri);
  CHECK(record.ignored == Strings{});
  REQUIRE(record.endpoints.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    CHECK(record.endpoints[i].scheme == Endpoint::Scheme::mailto);
    CHECK(record.endpoints[i].address == want[i].address);
    CHECK(record.endpoints[i].uri == want[i].uri);
    CHECK(record.endpoints[i].host.empty());
    CHECK(record.endpoints[i].target.empty());
  }
}

// An address whose URI has nothing to encode.
void good(const std::string& uri, const std::string& address) {
  good(uri, Mails{{address, "mailto:" + address}});
}

struct Web {
  std::string host;
  std::uint16_t port = 443;
  std::string target;
  std::string uri;
};

void good(const std::string& uri, const Web& want) {
  INFO(uri);
  const auto record = record_of(uri);
  CHECK(record.ignored == Strings{});
  REQUIRE(record.endpoints.size() == 1);
  const Endpoint& got = record.endpoints.front();
  CHECK(got.scheme == Endpoint::Scheme::https);
  CHECK(got.host == want.host);
  CHECK(got.port == want.port);
  CHECK(got.target == want.target);
  CHECK(got.uri == want.uri);
  CHECK(got.address.empty());
}

// Passed over: nothing is sent there, and the record says why.
void bad(const std::string& uri, const std::string& why) {
  INFO(uri);
  const auto record = record_of(uri);
  CHECK(record.endpoints.empty());
  REQUIRE(record.ignored.size() == 1);
  INFO(record.ignored.front());
  CHECK(record.ignored.front().find(why) != std::string::npos);
  for (const char c : record.ignored.front()) CHECK((c >= 32 && c < 127));
}

}  // namespace

TEST_CASE("RFC 6068 §2: a mailto URI is an address, percent-decoded") {
  good("mailto:reports@example.com", "reports@example.com");
  good("MailTo:Reports@EXAMPLE.com", "Reports@example.com");
  good("mailto:reports@example.com.", "reports@example.com");
  good("mailto:tls+rpt@example.com", "tls+rpt@example.com");
  good("mailto:%74ls@ex%61mple.com", "tls@example.com");
  good("mailto:a%40example.com", "a@example.com");
  good("mailto:gorby%25kremvax@example.com",
       Mails{{"gorby%kremvax@example.com", "mailto:gorby%25kremvax@example.com"}});
  good("mailto:a%21b@example.com", Mails{{"a!b@example.com", "mailto:a%21b@example.com"}});
  good("mailto:unlikely%3Faddress@example.com",
       Mails{{"unlikely?address@example.com", "mailto:unlikely%3Faddress@example.com"}});
  good("mailto:a=b&c@example.com", Mails{{"a=b&c@example.com", "mailto:a%3Db%26c@example.com"}});
  good("mailto:a%2fb@example.com", Mails{{"a/b@example.com", "mailto:a%2Fb@example.com"}});
  // Decoded once.
  good("mailto:a%252Cb@example.com", Mails{{"a%2Cb@example.com", "mailto:a%252Cb@example.com"}});
  good("mailto:" + std::string(256, 'a') + "@example.com", std::string(256, 'a') + "@example.com");
}

TEST_CASE("RFC 6068 §2: header fields and fragments of a mailto URI are not looked at") {
  good("mailto:a@example.com?subject=TLS%20report", "a@example.com");
  good("mailto:a@example.com?subject=x%0D%0ABcc:%20b@example.org&to=c@example.org",
       "a@example.com");
  good("mailto:a@example.com#b@example.org", "a@example.com");
  good("mailto:a@example.com?x#y/z", "a@example.com");
  bad("mailto:?to=a@example.com", "no address");
}

TEST_CASE("RFC 6068 §2, RFC 8460 §3: several addresses have encoded commas between them") {
  good("mailto:a@example.com%2Cb@EXAMPLE.org", Mails{{"a@example.com", "mailto:a@example.com"},
                                                {"b@example.org", "mailto:b@example.org"}});
  good("mailto:a@example.com%2c%22b%2Cc%22@example.org",
       Mails{{"a@example.com", "mailto:a@example.com"},
        {"\"b,c\"@example.org", "mailto:%22b%2Cc%22@example.org"}});

  // One that cannot be read takes nothing from the others.
  auto record = record_of("mailto:a@example.com%2Cnobody%2C%2Cc@example.com");
  REQUIRE(record.endpoints.size() == 2);
  CHECK(record.endpoints[0].address == "a@example.com");
  CHECK(record.endpoints[1].address == "c@example.com");
  CHECK(record.ignored == Strings{"\"mailto:nobody\": the address has no domain",
                                  "\"mailto:\": there is no address"});
  // An unended quote swallows what is behind it.
  record = record_of("mailto:a@example.com%2C%22b@example.com%2Cc@example.com");
  REQUIRE(record.endpoints.size() == 1);
  CHECK(record.ignored.size() == 1);
}

TEST_CASE("RFC 5321 §4.1.2: a quoted local part is quoted only where it must be") {
  good("mailto:%22abc%22@example.com", "abc@example.com");
  good("mailto:%22a%5Cb%5C.c%22@example.com", "ab.c@example.com");
  good("mailto:%22a%20b%22@example.com",
       Mails{{"\"a b\"@example.com", "mailto:%22a%20b%22@example.com"}});
  good("mailto:%22a..b%22@example.com",
       Mails{{"\"a..b\"@example.com", "mailto:%22a..b%22@example.com"}});
  good("mailto:%22a@b%22@example.com",
       Mails{{"\"a@b\"@example.com", "mailto:%22a%40b%22@example.com"}});
  good("mailto:%22a%5C%22b%22@example.com",
       Mails{{"\"a\\\"b\"@example.com", "mailto:%22a%5C%22b%22@example.com"}});
  good("mailto:%22not%40me%22@example.org",
       Mails{{"\"not@me\"@example.org", "mailto:%22not%40me%22@example.org"}});
  bad("mailto:%22%22@example.com", "local part is empty");
  bad("mailto:%22a@example.com", "not well quoted");
  bad("mailto:%22a%5C%22@example.com", "not well quoted");
  bad("mailto:%22a%22b%22@example.com", "not well quoted");
  bad("mailto:%22a%22.%22b%22@example.com", "not well quoted");
  bad("mailto:a%22b%22@example.com", "not a dot-atom");
}

TEST_CASE("RFC 6532 §3.2, RFC 5890 §2.3.2.1: UTF-8 in the local part, A-labels in the domain") {
  good("mailto:j%C3%B6rg@example.com",
       Mails{{"j\xc3\xb6rg@example.com", "mailto:j%C3%B6rg@example.com"}});
  good("mailto:a@b%C3%BCcher.example", "a@xn--bcher-kva.example");
  good("mailto:a@XN--bcher-kva.example", "a@xn--bcher-kva.example");
  bad("mailto:j%F6rg@example.com", "not UTF-8");
  bad("mailto:%C0%AF@example.com", "not UTF-8");
  bad("mailto:%ED%A0%80@example.com", "not UTF-8");
  bad("mailto:j\xc3\xb6rg@example.com", "a character that no URI has");
}

TEST_CASE("RFC 8460 §7: nothing encoded in an address gets out of its header field or command") {
  bad("mailto:a%0D%0ABcc:%20b@example.com", "control character");
  bad("mailto:a@example.com%0D%0ABcc:b@example.org", "control character");
  bad("mailto:%22a%0D%0A%20b%22@example.com", "control character");
  bad("mailto:a%0Ab@example.com", "control character");
  bad("mailto:a%0Db@example.com", "control character");
  bad("mailto:a%00@example.com", "control character");
  bad("mailto:a@example.com%00", "control character");
  bad("mailto:a%09b@example.com", "control character");
  bad("mailto:a%7Fb@example.com", "control character");
  bad("mailto:a%C2%80b@example.com", "control character");
  bad("mailto:a%C2%9Fb@example.com", "control character");
  good("mailto:a%C2%A0b@example.com",
       Mails{{"a\xc2\xa0" "b@example.com", "mailto:a%C2%A0b@example.com"}});
  bad("mailto:a@example.com%3E%20SIZE=1", "angle bracket");
  bad("mailto:%3Ca@example.com%3E", "angle bracket");
  bad("mailto:%22a%3E%22@example.com", "angle bracket");
  bad("mailto:a%20b@example.com", "not a dot-atom");
  bad("mailto:a@example.com%20", "domain");
  bad("mailto:%20a@example.com", "not a dot-atom");
}

TEST_CASE("RFC 6068 §2: what is no address is passed over") {
  bad("mailto:", "no address");
  bad("mailto:a", "no domain");
  bad("mailto:@example.com", "no local part");
  bad("mailto:a@", "domain");
  bad("mailto:.a@example.com", "not a dot-atom");
  bad("mailto:a.@example.com", "not a dot-atom");
  bad("mailto:a..b@example.com", "not a dot-atom");
  bad("mailto:a@b@example.com", "not a dot-atom");
  bad("mailto:a:b@example.com", "not a dot-atom");
  bad("mailto:Name%20%3Ca@example.com%3E", "angle bracket");
  bad("mailto:a@[192.0.2.1]", "domain");
  bad("mailto:a@192.0.2.1", "domain");
  bad("mailto:a@exam_ple.com", "no host name");
  bad("mailto:a@-example.com", "no host name");
  bad("mailto:a@example..com", "domain");
  bad("mailto:" + std::string(257, 'a') + "@example.com", "too long");
  bad("mailto:a@" + std::string(64, 'b') + ".example", "domain");
  bad("mailto://a@example.com", "'/' is not percent-encoded");
}

TEST_CASE("RFC 3986 §3: an https URI is host, port and request target") {
  good("https://example.com/v1/tlsrpt",
       Web{"example.com", 443, "/v1/tlsrpt", "https://example.com/v1/tlsrpt"});
  good("HTTPS://Example.COM/V1", Web{"example.com", 443, "/V1", "https://example.com/V1"});
  good("https://example.com", Web{"example.com", 443, "/", "https://example.com/"});
  good("https://example.com.", Web{"example.com", 443, "/", "https://example.com/"});
  good("https://example.com?a=b", Web{"example.com", 443, "/?a=b", "https://example.com/?a=b"});
  good("https://example.com/?a=b#c", Web{"example.com", 443, "/?a=b", "https://example.com/?a=b"});
  good("https://example.com#c/d?e", Web{"example.com", 443, "/", "https://example.com/"});
  good("https://example.com//x/../y", Web{"example.com", 443, "//x/../y",
                                          "https://example.com//x/../y"});
  good("https://example.com:443/", Web{"example.com", 443, "/", "https://example.com/"});
  good("https://example.com:/", Web{"example.com", 443, "/", "https://example.com/"});
  good("https://example.com:8443/a", Web{"example.com", 8443, "/a", "https://example.com:8443/a"});
  good("https://example.com:65535", Web{"example.com", 65535, "/", "https://example.com:65535/"});
  good("https://b%C3%BCcher.example/",
       Web{"xn--bcher-kva.example", 443, "/", "https://xn--bcher-kva.example/"});
  good("https://my_bucket.example/", Web{"my_bucket.example", 443, "/",
                                         "https://my_bucket.example/"});
  good("https://192.0.2.1/", Web{"192.0.2.1", 443, "/", "https://192.0.2.1/"});
  good("https://[2001:DB8:0::1]:8443/x",
       Web{"2001:db8::1", 8443, "/x", "https://[2001:db8::1]:8443/x"});
}

TEST_CASE("RFC 8460 §3: path and query keep their percent-encoding") {
  good("https://example.com/a%2Cb%21c%3Bd?e=%2c",
       Web{"example.com", 443, "/a%2Cb%21c%3Bd?e=%2c",
           "https://example.com/a%2Cb%21c%3Bd?e=%2c"});
  good("https://example.com/%0D%0AHost:%20example.org",
       Web{"example.com", 443, "/%0D%0AHost:%20example.org",
           "https://example.com/%0D%0AHost:%20example.org"});
  good("https://example.com/-._~:@$&'()*+=/?/?",
       Web{"example.com", 443, "/-._~:@$&'()*+=/?/?", "https://example.com/-._~:@$&'()*+=/?/?"});
}

TEST_CASE("RFC 3986 §3: what is no absolute https URI with a host is passed over") {
  bad("https:", "//");
  bad("https:/example.com", "//");
  bad("https:example.com", "//");
  bad("https://", "host");
  bad("https:///path", "host");
  bad("https://:443/", "host");
  bad("https://?x", "host");
  bad("https://user@example.com/", "user information");
  bad("https://user:password@example.com/", "user information");
  bad("https://@example.com/", "user information");
  bad("https://example.com:0/", "no such port");
  bad("https://example.com:65536/", "no such port");
  bad("https://example.com:100443/", "not a number");
  bad("https://example.com:44a/", "not a number");
  bad("https://example.com:-1/", "not a number");
  bad("https://example.com:443:443/", "not a number");
  bad("https://exa%2Fmple.com/", "the host");
  bad("https://example.com%0D%0A/", "the host");
  bad("https://example.com%00.example.org/", "the host");
  bad("https://example.com%20/", "the host");
  bad("https://example.com%3A8443/", "the host");
  bad("https://example..com/", "the host");
  bad("https://" + std::string(64, 'a') + ".example/", "the host");
}

TEST_CASE("RFC 3986 §3.2.2, §7.4: addresses have one form alone") {
  bad("https://1.2.3/", "the host");
  bad("https://2130706433/", "the host");
  bad("https://0127.0.0.1/", "the host");
  bad("https://0x7f.1/", "ends in a number");
  bad("https://127.0.0.0x1/", "ends in a number");
  bad("https://0x7f000001/", "ends in a number");
  bad("https://example.010/", "ends in a number");
  bad("https://192.0.2.1./", "the host");
  bad("https://%31%32%37.0.0.1/", "the host");
  bad("https://2001:db8::1/", "the host");
  bad("https://[2001:db8::1/", "without ']'");
  bad("https://[192.0.2.1]/", "not an IPv6 address");
  bad("https://[fe80::1%25eth0]/", "not an IPv6 address");
  bad("https://[v1.x]/", "not an IPv6 address");
  bad("https://[::1]x/", "between ']'");
  bad("https://[]/", "not an IPv6 address");
}

TEST_CASE("RFC 3986 §2: characters that no URI has, and encoding that is none") {
  bad("https://example.com/a b", "a character that no URI has");
  bad("https://example.com/a\r\nHost: b", "a character that no URI has");
  bad(std::string("https://example.com/\0", 21), "a character that no URI has");
  bad("https://example.com/\x7f", "a character that no URI has");
  bad("https://example.com/\xc3\xa4", "a character that no URI has");
  bad("https://example.com/\"", "a character that no URI has");
  bad("https://example.com\\@example.org/", "a character that no URI has");
  bad("<mailto:a@example.com>", "no scheme");
  bad("mailto:<a@example.com>", "a character that no URI has");
  bad("https://example.com/a[b]", "'[' or ']'");
  bad("https://example.com/%", "'%' without");
  bad("https://example.com/%4", "'%' without");
  bad("https://example.com/%4g", "'%' without");
  bad("mailto:a%@example.com", "'%' without");
  bad("mailto:a%+1@example.com", "'%' without");
}

TEST_CASE("what was passed over is said in few words") {
  const auto record = record_of("mailto:" + std::string(1000, 'a'));
  REQUIRE(record.ignored.size() == 1);
  CHECK(record.ignored.front() ==
        "\"mailto:" + std::string(73, 'a') + "...\": the address has no domain");
}

TEST_CASE("equal places have equal keys, and different ones have not") {
  const auto key = [](const std::string& uri) { return record_of(uri).endpoints.at(0).uri; };
  CHECK(key("mailto:a@example.com") == key("MAILTO:%22a%22@EXAMPLE.com.?x"));
  CHECK(key("mailto:a@example.com") != key("mailto:A@example.com"));
  CHECK(key("mailto:a%2Bb@example.com") == key("mailto:a+b@example.com"));
  CHECK(key("https://example.com") == key("HTTPS://EXAMPLE.com.:443/#x"));
  CHECK(key("https://example.com/a") != key("https://example.com/A"));
  CHECK(key("https://[::1]/") == key("https://[0:0:0:0:0:0:0:1]:443"));
}
