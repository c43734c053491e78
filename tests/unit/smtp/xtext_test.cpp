#include "smtp/xtext.h"

#include <catch2/catch.hpp>

TEST_CASE("xtext is decoded and encoded") {
  CHECK(smtp::decode_xtext("a+2Bb+3Dc+20d") == "a+b=c d");
  CHECK(smtp::decode_xtext("+c3+A9") == "é");
  CHECK(smtp::decode_xtext("") == "");
  CHECK(smtp::encode_xtext("a+b=c d\xc3\xa9") == "a+2Bb+3Dc+20d+C3+A9");
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  CHECK(smtp::decode_xtext(smtp::encode_xtext(all)) == all);
}

TEST_CASE("what is no xtext is refused") {
  for (const std::string_view text : {"+", "+4", "+4G", "a=b", "a b", "\xc3\xa9", "a\r", "+ 4"}) {
    CAPTURE(text);
    CHECK_FALSE(smtp::decode_xtext(text));
  }
}
