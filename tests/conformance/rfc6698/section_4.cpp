#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"
#include "tests/unit/dane/facts.h"

using facts::record;

TEST_CASE("RFC 6698 §4.1: an unknown usage, selector or matching type makes a record unusable") {
  for (const unsigned unknown : {4U, 17U, 255U}) {
    CHECK_FALSE(unusable_reason(record(unknown, 1, 1, 32)).empty());
    CHECK_FALSE(unusable_reason(record(3, unknown, 1, 32)).empty());
    CHECK_FALSE(unusable_reason(record(3, 1, unknown, 32)).empty());
  }
  CHECK_FALSE(unusable_reason(record(3, 2, 1, 32)).empty());
  CHECK_FALSE(unusable_reason(record(3, 1, 3, 48)).empty());
}

TEST_CASE("RFC 6698 §4.1: a digest of the wrong length makes a record unusable") {
  for (const unsigned usage : {2U, 3U}) {
    for (const std::size_t size : {0U, 20U, 31U, 33U, 64U}) {
      CHECK_FALSE(unusable_reason(record(usage, 0, 1, size)).empty());
    }
    for (const std::size_t size : {0U, 32U, 63U, 65U}) {
      CHECK_FALSE(unusable_reason(record(usage, 0, 2, size)).empty());
    }
    CHECK(unusable_reason(record(usage, 0, 1, 32)).empty());
    CHECK(unusable_reason(record(usage, 0, 2, 64)).empty());
  }
}

TEST_CASE("RFC 6698 §4.1: Full(0) data must be a certificate or a key, whole and alone") {
  const auto one = certs::make({.cn = "x"});
  for (const unsigned usage : {2U, 3U}) {
    for (const unsigned selector : {0U, 1U}) {
      const auto good = certs::tlsa(usage, selector, 0, one);
      CHECK(unusable_reason(good).empty());
      auto cut = good;
      cut.data.pop_back();
      CHECK_FALSE(unusable_reason(cut).empty());
      auto longer = good;
      longer.data.push_back(0);
      CHECK_FALSE(unusable_reason(longer).empty());
      auto swapped = good;
      swapped.selector = static_cast<std::uint8_t>(1 - selector);
      CHECK_FALSE(unusable_reason(swapped).empty());
      CHECK_FALSE(unusable_reason(record(usage, selector, 0, 100)).empty());
      CHECK_FALSE(unusable_reason(record(usage, selector, 0, 0)).empty());
    }
  }
}

TEST_CASE("RFC 6698 §4.1: an unusable record does not spoil the usable one beside it") {
  const auto good = record(3, 1, 1, 32);
  CHECK(dane::usable_records(std::vector{record(3, 1, 1, 31), good, record(9, 1, 1, 32)}) ==
        std::vector{good});
}
