#include "dns/decode.h"

#include <catch2/catch.hpp>

using namespace std::string_literals;

namespace {

using dns::LookupError;

std::string repeat(char length, char c, int times) {
  std::string name;
  for (int i = 0; i < times; ++i) name += length + std::string(static_cast<std::size_t>(length), c);
  return name;
}

void good_name(const std::string& wire, const std::string& want) {
  const auto name = dns::decode_name(wire);
  REQUIRE(name.has_value());
  CHECK(*name == want);
}
void bad_name(const std::string& wire) { CHECK_FALSE(dns::decode_name(wire).has_value()); }

// A message with one question and the answers given as NAME TYPE CLASS TTL LENGTH RDATA.
std::string message(char answers, const std::string& rest) {
  return "\x12\x34\x81\x80\0\1\0"s + answers + "\0\0\0\0"s + "\1a\0\0\1\0\1"s + rest;
}
std::string record(std::uint32_t ttl, const std::string& rdata) {
  std::string text = "\xc0\x0c\0\1\0\1"s;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(ttl >> shift & 0xff);
  text += '\0';
  text += static_cast<char>(rdata.size());
  return text + rdata;
}

}  // namespace

TEST_CASE("names on the wire become lower-case text without a trailing dot") {
  good_name("\0"s, "");
  good_name("\2mx\7Example\3COM\0"s, "mx.example.com");
  good_name("\5a.b\\c\1d\0"s, "a\\046b\\092c.d");
  good_name("\3\0\xff \0"s, "\\000\\255\\032");
  good_name("\5_smtp\4_tls\0"s, "_smtp._tls");
  good_name(repeat(63, 'a', 1) + '\0', std::string(63, 'a'));
  good_name(repeat(1, 'a', 127) + '\0', [] {
    std::string text;
    for (int i = 0; i < 127; ++i) text += i ? ".a" : "a";
    return text;
  }());
}

TEST_CASE("names that cannot be read are errors") {
  bad_name("");
  bad_name("\2mx");               // no end
  bad_name("\2m");                // label cut short
  bad_name("\2mx\0x"s);           // octets follow
  bad_name("\xc0\x0c"s);          // a pointer: RDATA comes uncompressed
  bad_name("\x40x\0"s);           // RFC 6891 §5: extended label types are gone
  bad_name(repeat(1, 'a', 128) + '\0');  // 257 octets
}

TEST_CASE("addresses have exactly their octets") {
  CHECK(dns::decode_a("\xc0\0\2\1"s)->str() == "192.0.2.1");
  CHECK_FALSE(dns::decode_a("\xc0\0\2"s).has_value());
  CHECK_FALSE(dns::decode_a("\xc0\0\2\1\0"s).has_value());
  const std::string v6 = "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\1";
  CHECK(dns::decode_aaaa(v6)->str() == "2001:db8::1");
  CHECK_FALSE(dns::decode_aaaa(v6.substr(1)).has_value());
  CHECK_FALSE(dns::decode_aaaa(v6 + "x").has_value());
}

TEST_CASE("MX: preference and exchange; the root is a null MX") {
  const auto mx = dns::decode_mx("\1\2\2Mx\7example\0"s);
  REQUIRE(mx.has_value());
  CHECK(mx->preference == 258);
  CHECK(mx->exchange == "mx.example");
  CHECK(dns::decode_mx("\0\0\0"s)->exchange.empty());
  CHECK_FALSE(dns::decode_mx("\0\0"s).has_value());
  CHECK_FALSE(dns::decode_mx("").has_value());
  CHECK_FALSE(dns::decode_mx("\0\0\2mx"s).has_value());
}

TEST_CASE("RFC 8461 §3.1: the strings of one TXT record are joined with nothing in between") {
  CHECK(*dns::decode_txt("\7v=STSv1\x05; id="s + "\0"s + "\2x;"s) == "v=STSv1; id=x;");
  CHECK(dns::decode_txt("\0"s)->empty());
  CHECK_FALSE(dns::decode_txt("").has_value());
  CHECK_FALSE(dns::decode_txt("\3ab").has_value());
  CHECK_FALSE(dns::decode_txt("\2abc").has_value());
}

TEST_CASE("the shortest TTL of an answer, CNAME links included") {
  using std::chrono::seconds;
  CHECK(dns::shortest_ttl(message(2, record(300, "aaaa") + record(60, "bbbb"))) == seconds(60));
  CHECK(dns::shortest_ttl(message(1, record(0x80000001U, "aaaa"))) == seconds(0));
  CHECK_FALSE(dns::shortest_ttl(message(0, "")));
  CHECK_FALSE(dns::shortest_ttl(message(2, record(300, "aaaa"))));
  CHECK_FALSE(dns::shortest_ttl(message(1, record(300, "aaaa").substr(0, 14))));
  CHECK_FALSE(dns::shortest_ttl(""));
}

TEST_CASE("one record that cannot be read makes the whole look-up malformed, never an absence") {
  dns::RawAnswer raw;
  raw.existence = dns::Existence::data;
  raw.security = dns::Security::secure;
  raw.canonical_name = "mx.example";
  raw.via_cname = true;
  raw.ttl = std::chrono::seconds(5);
  raw.records = {"\xc0\0\2\1"s, "\xc0\0\2\2"s};
  const auto all = dns::decode_all<base::Ip>(raw, dns::decode_a);
  REQUIRE(all.has_value());
  CHECK(all->records.size() == 2);
  CHECK(all->security == dns::Security::secure);
  CHECK(all->via_cname);
  CHECK(all->canonical_name == "mx.example");
  CHECK(all->ttl == std::chrono::seconds(5));
  raw.records.push_back("xyz");
  const auto broken = dns::decode_all<base::Ip>(raw, dns::decode_a);
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().kind == LookupError::Kind::malformed);
}
