// Connections: the longest idle one gives way, a busy one never.
#include "admin/connections.h"

#include <catch2/catch.hpp>
#include <vector>

TEST_CASE("admin: the longest idle connection gives way to a new one, a busy one never") {
  admin::Connections all(3);
  std::vector<int> ended;
  const auto idle = [&](int who) { return all.may_end([&ended, who] { ended.push_back(who); }); };
  all.enter();
  idle(1);
  all.enter();
  const std::uint64_t second = idle(2);
  CHECK(ended.empty());  // there is room
  all.must_stay(second);
  all.enter();
  CHECK(ended == std::vector{1});
  idle(3);
  all.leave();  // the first
  all.enter();
  CHECK(ended == std::vector{1, 3});  // the second is busy
  all.leave();
  all.enter();  // nobody is idle: the listener's own bound holds
  CHECK(ended == std::vector{1, 3});
  all.must_stay(second);  // once more, and of one that is gone: nothing
  idle(2);
  all.leave();
  all.leave();
  all.enter();
  CHECK(ended == std::vector{1, 3});
}
