#include "proxy/host_memory.h"

#include <catch2/catch.hpp>

#include "proxy/mx_slots.h"

using proxy::HostMemory;
using namespace std::chrono_literals;

TEST_CASE("a marked address is not tried, and its reason is remembered") {
  HostMemory memory;
  const HostMemory::Time now{};
  memory.mark("a|192.0.2.1", "connection refused", now, 5min);
  const auto look = memory.look("a|192.0.2.1", now + 1min, 5min);
  CHECK(look.marked);
  CHECK_FALSE(look.probe);
  CHECK(look.reason == "connection refused");
  CHECK_FALSE(memory.look("a|192.0.2.2", now, 5min).marked);
}

TEST_CASE("when the time is over one caller is the probe, the others still see the mark") {
  HostMemory memory;
  const HostMemory::Time now{};
  memory.mark("k", "no answer", now, 5min);
  const auto first = memory.look("k", now + 5min, 5min);
  CHECK_FALSE(first.marked);
  CHECK(first.probe);
  const auto second = memory.look("k", now + 5min + 1s, 5min);
  CHECK(second.marked);
  CHECK(second.reason == "no answer");
  // The probe never came back: one period later another caller takes its place.
  CHECK(memory.look("k", now + 10min, 5min).probe);
}

TEST_CASE("a success clears the mark; a period of 0 marks nothing") {
  HostMemory memory;
  const HostMemory::Time now{};
  memory.mark("k", "x", now, 5min);
  memory.clear("k");
  CHECK_FALSE(memory.look("k", now, 5min).marked);
  memory.mark("k", "x", now, 0ms);
  CHECK(memory.size() == 0);
}

TEST_CASE("the memory is bounded: the oldest mark goes first") {
  HostMemory memory(3);
  const HostMemory::Time now{};
  for (int i = 0; i < 10; ++i) memory.mark(std::to_string(i), "x", now, 5min);
  CHECK(memory.size() == 3);
  CHECK_FALSE(memory.is_marked("0", now));
  CHECK(memory.is_marked("9", now));
}

TEST_CASE("an MX address has at most so many connections; a slot given back is free") {
  proxy::MxSlots slots;
  const base::Ip ip = *base::Ip::parse("192.0.2.1");
  auto one = slots.take(ip, 2);
  auto two = slots.take(ip, 2);
  REQUIRE(one);
  REQUIRE(two);
  CHECK_FALSE(slots.take(ip, 2));
  CHECK(slots.take(*base::Ip::parse("192.0.2.2"), 2));
  proxy::MxSlots::Slot moved = std::move(*one);
  one.reset();
  CHECK_FALSE(slots.take(ip, 2));
  moved.release();
  CHECK(slots.take(ip, 2));
}
