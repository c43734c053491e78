// The machine's own addresses: asked for once a minute, and never those of the loopback interface.
#include "proxy/own_addresses.h"

#include <catch2/catch.hpp>

using proxy::OwnAddresses;

TEST_CASE("own addresses are asked for anew when a minute has passed") {
  const base::Ip first = *base::Ip::parse("192.0.2.1");
  const base::Ip second = *base::Ip::parse("2001:db8::1");
  std::set<base::Ip> interfaces{first};
  int looks = 0;
  OwnAddresses own([&] {
    ++looks;
    return interfaces;
  });
  const OwnAddresses::Time start{std::chrono::hours(1)};
  CHECK(own.has(first, start));
  CHECK(own.has(*base::Ip::parse("::ffff:192.0.2.1"), start));
  interfaces = {second};
  CHECK_FALSE(own.has(second, start + std::chrono::seconds(59)));
  CHECK(looks == 1);
  CHECK(own.has(second, start + std::chrono::seconds(60)));
  CHECK_FALSE(own.has(first, start + std::chrono::seconds(61)));
  CHECK(looks == 2);
}

TEST_CASE("loopback addresses are nobody's own") {
  const auto addresses = OwnAddresses::from_interfaces();
  CHECK_FALSE(addresses.contains(*base::Ip::parse("127.0.0.1")));
  CHECK_FALSE(addresses.contains(*base::Ip::parse("::1")));
}
