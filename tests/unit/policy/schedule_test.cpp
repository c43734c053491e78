#include "policy/schedule.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <vector>

namespace {

struct Thing {
  int time = 0;
  std::uint32_t place = 0;
};
using Schedule = policy::Schedule<Thing, &Thing::time, &Thing::place>;

int earliest(const std::vector<std::unique_ptr<Thing>>& things) {
  int time = 1000;
  for (const auto& thing : things) time = std::min(time, thing->time);
  return time;
}

}  // namespace

TEST_CASE("a schedule gives what is first, however things come, move and go") {
  std::mt19937 random(20261127);
  Schedule schedule;
  std::vector<std::unique_ptr<Thing>> things;
  const auto below = [&random](std::size_t end) { return random() % end; };
  for (int step = 0; step < 20000; ++step) {
    const std::size_t what = things.empty() ? 0 : below(4);
    if (what <= 1 && things.size() < 200) {
      things.push_back(std::make_unique<Thing>());
      things.back()->time = static_cast<int>(below(100));
      schedule.add(*things.back());
    } else if (what == 2) {
      Thing& thing = *things[below(things.size())];
      thing.time = static_cast<int>(below(100));
      schedule.moved(thing);
    } else {
      const auto gone = things.begin() + static_cast<std::ptrdiff_t>(below(things.size()));
      schedule.remove(**gone);
      things.erase(gone);
    }
    REQUIRE(schedule.empty() == things.empty());
    if (!things.empty()) REQUIRE(schedule.first().time == earliest(things));
  }
}

TEST_CASE("a schedule that is taken from its first on is in order") {
  std::mt19937 random(7);
  Schedule schedule;
  std::vector<Thing> things(500);
  for (Thing& thing : things) {
    thing.time = static_cast<int>(random() % 1000);
    schedule.add(thing);
  }
  std::vector<int> order;
  while (!schedule.empty()) {
    Thing& first = schedule.first();
    order.push_back(first.time);
    schedule.remove(first);
  }
  CHECK(order.size() == things.size());
  CHECK(std::is_sorted(order.begin(), order.end()));
}
