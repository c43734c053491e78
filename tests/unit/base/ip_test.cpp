#include "base/ip.h"

#include <catch2/catch.hpp>

using base::Ip;
using base::Network;

namespace {

Ip ip(std::string_view text) { return Ip::parse(text).value(); }
Network network(std::string_view text) { return Network::parse(text).value(); }

}  // namespace

TEST_CASE("addresses are read and written as RFC 5952 has them") {
  CHECK(ip("192.0.2.1").str() == "192.0.2.1");
  CHECK(ip("2001:DB8:0:0:0:0:0:1").str() == "2001:db8::1");
  CHECK(ip("::").str() == "::");
  CHECK(ip("::ffff:192.0.2.1").str() == "::ffff:192.0.2.1");
  CHECK(ip("192.0.2.1").octets().size() == 4);
  CHECK(ip("2001:db8::1").octets()[15] == 1);
}

TEST_CASE("what is no address is refused") {
  for (const std::string_view text :
       {"", "1", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "0x7f.1",
        "[::1]", "fe80::1%eth0", "1::2::3", "::1/128", "12345::", "1.2.3.4:25",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}) {
    CAPTURE(text);
    CHECK_FALSE(Ip::parse(text).has_value());
  }
  CHECK_FALSE(Ip::parse(std::string_view("1.2.3.4\0x", 9)).has_value());
}

TEST_CASE("RFC 5321 §4.1.3: address literals") {
  CHECK(ip("192.0.2.1").literal() == "[192.0.2.1]");
  CHECK(ip("2001:db8::1").literal() == "[IPv6:2001:db8::1]");
}

TEST_CASE("an IPv4-mapped address stands for its IPv4 address") {
  CHECK(ip("::ffff:192.0.2.1").unmapped() == ip("192.0.2.1"));
  CHECK(ip("2001:db8::1").unmapped() == ip("2001:db8::1"));
  CHECK(network("192.0.2.0/24").contains(ip("::ffff:192.0.2.9")));
  CHECK(network("::ffff:192.0.2.0/120").contains(ip("192.0.2.9")));
  CHECK_FALSE(network("::/0").contains(ip("::ffff:192.0.2.9")));
}

TEST_CASE("a network holds the addresses with its prefix") {
  CHECK(network("10.0.0.0/8").contains(ip("10.255.255.255")));
  CHECK_FALSE(network("10.0.0.0/8").contains(ip("11.0.0.0")));
  CHECK(network("10.0.0.0/9").contains(ip("10.127.0.1")));
  CHECK_FALSE(network("10.0.0.0/9").contains(ip("10.128.0.1")));
  CHECK(network("0.0.0.0/0").contains(ip("203.0.113.1")));
  CHECK_FALSE(network("0.0.0.0/0").contains(ip("2001:db8::1")));
  CHECK(network("192.0.2.1").contains(ip("192.0.2.1")));
  CHECK_FALSE(network("192.0.2.1").contains(ip("192.0.2.2")));
  CHECK(network("2001:db8::/33").contains(ip("2001:db8:7fff::")));
  CHECK_FALSE(network("2001:db8::/33").contains(ip("2001:db8:8000::")));
  CHECK(network("2001:db8::/32").str() == "2001:db8::/32");
  CHECK(network("192.0.2.1").str() == "192.0.2.1/32");
  const std::vector<Network> two{network("10.0.0.0/8"), network("::1/128")};
  CHECK(base::any_contains(two, ip("::1")));
  CHECK_FALSE(base::any_contains(two, ip("::2")));
}

TEST_CASE("what is no network is refused") {
  for (const std::string_view text : {"", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/8",
                                      "2001:db8::1/64", "::/129", "10.0.0.0/8x", "a/8", "10/8"}) {
    CAPTURE(text);
    CHECK_FALSE(Network::parse(text).has_value());
  }
}

TEST_CASE("private destinations: what no MX on the internet has") {
  for (const std::string_view text :
       {"0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1",
        "127.255.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
        "192.168.1.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1",
        "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1",
        "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "100::1", "2002:7f00:1::",
        "2002:a01:203::1"}) {
    CAPTURE(text);
    CHECK(base::is_private_destination(ip(text)));
  }
}

TEST_CASE("public destinations are none of those") {
  for (const std::string_view text :
       {"8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.0", "128.0.0.1",
        "169.253.0.1", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.0.1", "223.255.255.1",
        "2606:4700::1111", "2a00:1450::1", "64:ff9b:2::1", "2002:808:808::1"}) {
    CAPTURE(text);
    CHECK_FALSE(base::is_private_destination(ip(text)));
  }
}
