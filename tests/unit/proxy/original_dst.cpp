// What SO_ORIGINAL_DST says, read; and what a connection that nobody redirected is told. The kernel
// itself is asked in tests/lab/test_transparent.py.
#include "proxy/original_dst.h"

#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "session_world.h"

namespace {

config::Tcp tcp(const std::string& ip, std::uint16_t port) {
  return {*base::Ip::parse(ip), port};
}

std::vector<std::uint8_t> octets_of(const void* from, std::size_t size) {
  std::vector<std::uint8_t> octets(size);
  std::memcpy(octets.data(), from, size);
  return octets;
}

std::vector<std::uint8_t> v4(std::uint32_t address, std::uint16_t port) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(port);
  in.sin_addr.s_addr = htonl(address);
  return octets_of(&in, sizeof in);
}

std::vector<std::uint8_t> v6(const std::string& ip, std::uint16_t port) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  const auto address = *base::Ip::parse(ip);
  std::memcpy(&in.sin6_addr, address.octets().data(), 16);
  return octets_of(&in, sizeof in);
}

}  // namespace

TEST_CASE("SO_ORIGINAL_DST: both families, mapped addresses, and what is neither") {
  CHECK(proxy::read_sockaddr(v4(0xc0000219, 25)) == tcp("192.0.2.25", 25));
  CHECK(proxy::read_sockaddr(v6("2001:db8::25", 2525)) == tcp("2001:db8::25", 2525));
  // A socket of both families that carries IPv4.
  CHECK(proxy::read_sockaddr(v6("::ffff:192.0.2.25", 25)) == tcp("192.0.2.25", 25));
  auto longer = v4(0xc0000219, 25);
  longer.resize(28);
  CHECK(proxy::read_sockaddr(longer) == tcp("192.0.2.25", 25));

  CHECK(proxy::read_sockaddr({}) == std::nullopt);
  const std::vector<std::uint8_t> zeros(28);
  CHECK(proxy::read_sockaddr(zeros) == std::nullopt);
  auto cut = v4(0xc0000219, 25);
  cut.pop_back();
  CHECK(proxy::read_sockaddr(cut) == std::nullopt);
  auto cut6 = v6("2001:db8::25", 25);
  cut6.pop_back();
  CHECK(proxy::read_sockaddr(cut6) == std::nullopt);
  cut6.resize(1);
  CHECK(proxy::read_sockaddr(cut6) == std::nullopt);
}

TEST_CASE("what was dialled is used only where somebody redirected it") {
  const auto local = tcp("127.0.0.1", 10026);
  const auto dialled = tcp("192.0.2.25", 25);
  const auto good = proxy::original_destination(dialled, local);
  REQUIRE(good.has_value());
  CHECK(*good == dialled);
  // Another port of the same address, or the same port elsewhere, is not the listener.
  CHECK(proxy::original_destination(tcp("127.0.0.1", 25), local).has_value());
  CHECK(proxy::original_destination(tcp("192.0.2.25", 10026), local).has_value());

  const auto unknown = proxy::original_destination(std::nullopt, local);
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().text.find("knows nothing of a connection to 127.0.0.1:10026") !=
        std::string::npos);
  const auto itself = proxy::original_destination(local, local);
  REQUIRE_FALSE(itself.has_value());
  CHECK(itself.error().text.find("made to 127.0.0.1:10026 itself") != std::string::npos);
  CHECK_FALSE(proxy::original_destination(tcp("192.0.2.25", 0), local).has_value());
}

TEST_CASE("a transparent listener refuses who was not redirected, and takes no mail") {
  session_world::PlainResolver resolver;
  auto config = session_world::test_config(config::Protocol::Transparent, 25);
  session_world::Relay relay(std::make_shared<const config::Config>(std::move(config)), resolver);
  auto line = session_world::Line::connect(relay.port());
  const auto greeting = line.read_reply();
  REQUIRE(greeting);
  CHECK(greeting->code == 421);
  CHECK(greeting->text.starts_with("421 4.3.5 relay.test "));
  CHECK(greeting->text.ends_with("]"));
  CHECK_FALSE(line.read_reply());
  CHECK(relay.wait_idle());
}

TEST_CASE("a connection of ours is known by both its ends, as long as it lasts") {
  using enum proxy::MxSlots::Whose;
  proxy::MxSlots slots;
  const auto mx = *base::Ip::parse("192.0.2.25");
  const auto here = *base::Ip::parse("198.51.100.1");
  {
    auto slot = slots.take(mx, 2);
    REQUIRE(slot);
    CHECK(slots.whose(here, 40000, mx) == another);
    slot->leaves();
    CHECK(slots.whose(here, 40000, mx) == unknown);
    slot->leaves_from(here, 40000);
    CHECK(slots.whose(here, 40000, mx) == ours);
    CHECK(slots.whose(here, 40001, mx) == another);
    // The kernel gives a port out again for another destination: an MTA's connection is not ours.
    CHECK(slots.whose(here, 40000, *base::Ip::parse("192.0.2.26")) == another);
    proxy::MxSlots::Slot moved = std::move(*slot);
    slot.reset();
    CHECK(slots.whose(here, 40000, mx) == ours);
  }
  CHECK(slots.whose(here, 40000, mx) == another);
}

TEST_CASE("a connect() that failed leaves nobody in doubt") {
  using enum proxy::MxSlots::Whose;
  proxy::MxSlots slots;
  const auto mx = *base::Ip::parse("192.0.2.25");
  auto failing = slots.take(mx, 2);
  REQUIRE(failing);
  failing->leaves();
  auto second = slots.take(mx, 2);
  REQUIRE(second);
  second->leaves();
  *failing = std::move(*second);  // gives the first one back
  CHECK(slots.whose(mx, 40000, mx) == unknown);
  failing.reset();
  CHECK(slots.whose(mx, 40000, mx) == another);
}
