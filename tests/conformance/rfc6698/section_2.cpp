#include <catch2/catch.hpp>

#include "tests/unit/dane/facts.h"

using namespace std::string_literals;

TEST_CASE("RFC 6698 §2.1: usage, selector, matching type, and the rest is data") {
  const auto record = dane::decode_tlsa("\3\1\1\xde\xad"s);
  REQUIRE(record.has_value());
  CHECK(record->usage == 3);
  CHECK(record->selector == 1);
  CHECK(record->matching_type == 1);
  CHECK(record->data == std::vector<std::uint8_t>{0xde, 0xad});
  CHECK(dane::decode_tlsa("\3\1\1"s)->data.empty());
  CHECK_FALSE(dane::decode_tlsa("\3\1"s).has_value());
  CHECK_FALSE(dane::decode_tlsa("").has_value());
}

TEST_CASE("RFC 6698 §2.2: the presentation form is three numbers and hex") {
  CHECK(dane::decode_tlsa("\3\1\2\x0f\xA0"s)->str() == "3 1 2 0fa0");
  CHECK(dane::decode_tlsa("\xff\xff\xff"s)->str() == "255 255 255 ");
}
