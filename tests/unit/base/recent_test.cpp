// Recent: bounded, and what was used last stays.
#include "base/recent.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

TEST_CASE("Recent: what was not used for the longest time makes room") {
  base::Recent<std::string, int> recent(3);
  for (const int i : {1, 2, 3}) recent.put(std::to_string(i), i);
  REQUIRE(recent.find("1"));  // used: 2 is the oldest now
  recent.put("4", 4);
  CHECK(recent.size() == 3);
  CHECK_FALSE(recent.find("2"));
  REQUIRE(recent.find("1"));
  CHECK(*recent.find("1") == 1);
  recent.put("3", 33);  // in its place
  CHECK(recent.size() == 3);
  CHECK(*recent.find("3") == 33);
  recent.erase("3");
  recent.erase("never there");
  CHECK_FALSE(recent.find("3"));
  CHECK(recent.size() == 2);
}

TEST_CASE("Recent: holds what can only be moved, and nothing where it may hold nothing") {
  base::Recent<int, std::unique_ptr<int>> recent(1);
  recent.put(1, std::make_unique<int>(1));
  recent.put(2, std::make_unique<int>(2));
  CHECK(recent.size() == 1);
  CHECK(**recent.find(2) == 2);
  base::Recent<int, int> none(0);
  none.put(1, 1);
  CHECK(none.size() == 0);
  CHECK_FALSE(none.find(1));
}
