#include "smtp/proxy_header.h"

#include <catch2/catch.hpp>

using smtp::ProxyHeader;
using smtp::ProxyHeaderParser;

namespace {

const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string octets(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

std::string v2(int version_command, int family, const std::string& body) {
  return signature + octets({version_command, family, static_cast<int>(body.size() >> 8),
                             static_cast<int>(body.size() & 255)}) +
         body;
}

const std::string ipv4 = octets({192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0, 25});

// Whole and octet by octet, with SMTP behind it that must be left alone.
std::optional<ProxyHeader::Source> good(const std::string& header) {
  CAPTURE(header);
  ProxyHeaderParser whole;
  const auto used = whole.feed(header + "EHLO x\r\n");
  REQUIRE(used.has_value());
  CHECK(*used == header.size());
  REQUIRE(whole.done());
  ProxyHeaderParser slow;
  for (std::size_t i = 0; i < header.size(); ++i) {
    CHECK_FALSE(slow.done());
    REQUIRE(slow.feed(header.substr(i, 1)).value() == 1);
  }
  REQUIRE(slow.done());
  CHECK(slow.header().source == whole.header().source);
  return whole.header().source;
}

void bad(const std::string& header) {
  CAPTURE(header);
  CHECK_FALSE(ProxyHeaderParser().feed(header).has_value());
}

void unfinished(const std::string& header) {
  CAPTURE(header);
  ProxyHeaderParser parser;
  CHECK(parser.feed(header).value() == header.size());
  CHECK_FALSE(parser.done());
}

ProxyHeader::Source source(std::string_view ip, std::uint16_t port) {
  return {base::Ip::parse(ip).value(), port};
}

}  // namespace

TEST_CASE("PROXY v1 tells the source address") {
  CHECK(good("PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n") == source("192.0.2.1", 56324));
  CHECK(good("PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n") == source("2001:db8::1", 0));
  CHECK_FALSE(good("PROXY UNKNOWN\r\n"));
  CHECK_FALSE(good("PROXY UNKNOWN whatever 1 2\r\n"));
}

TEST_CASE("PROXY v1: what is malformed is refused") {
  for (const auto* header :
       {"EHLO mta.example\r\n", "PROXYTCP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy UNKNOWN\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY \r\n", "PROXY TCP4 x y 1 2\r\n"}) {
    bad(header);
  }
  unfinished("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n");
}

TEST_CASE("PROXY v1: 107 octets and no more") {
  const std::string start = "PROXY UNKNOWN ";
  CHECK_FALSE(good(start + std::string(107 - 2 - start.size(), 'x') + "\r\n"));
  bad(start + std::string(108 - 2 - start.size(), 'x') + "\r\n");
}

TEST_CASE("PROXY v2 tells the source address and skips what follows it") {
  CHECK(good(v2(0x21, 0x11, ipv4)) == source("192.0.2.1", 56324));
  CHECK(good(v2(0x21, 0x11, ipv4 + octets({4, 0, 1, 0}))) == source("192.0.2.1", 56324));
  const std::string six = octets({0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}) +
                          std::string(16, '\1') + octets({0, 7, 0, 25});
  CHECK(good(v2(0x21, 0x21, six)) == source("2001:db8::1", 7));
}

TEST_CASE("PROXY v2: LOCAL, UNSPEC and Unix sockets have no address") {
  CHECK_FALSE(good(v2(0x20, 0x00, "")));
  CHECK_FALSE(good(v2(0x20, 0x11, ipv4)));
  CHECK_FALSE(good(v2(0x21, 0x00, "anything")));
  CHECK_FALSE(good(v2(0x21, 0x31, std::string(216, 'x'))));
}

TEST_CASE("PROXY v2: what is malformed is refused") {
  bad("\r\nX");
  bad(v2(0x11, 0x11, ipv4));                     // version 1
  bad(v2(0x22, 0x11, ipv4));                     // command 2
  bad(v2(0x21, 0x12, ipv4));                     // UDP
  bad(v2(0x21, 0x41, ipv4));                     // no such family
  bad(v2(0x21, 0x11, ipv4.substr(1)));           // too short for its family
  bad(v2(0x21, 0x21, std::string(35, 'x')));
  bad(v2(0x21, 0x31, std::string(215, 'x')));
  bad(signature + octets({0x21, 0x11, 0x08, 0x01}));  // 2049 octets announced
  unfinished(v2(0x21, 0x11, ipv4).substr(0, 27));
  good(v2(0x21, 0x11, ipv4 + std::string(2048 - 12, 'x')));
}
