#include "base/encode.h"

#include <catch2/catch.hpp>

#include "base/random.h"

using Bytes = std::vector<std::uint8_t>;

namespace {

Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

}  // namespace

TEST_CASE("RFC 4648 §8: hex") {
  CHECK(base::to_hex(Bytes{0, 0x1f, 0xff}) == "001fff");
  CHECK(base::from_hex("001FfF") == Bytes{0, 0x1f, 0xff});
  CHECK(base::from_hex("") == Bytes{});
  for (const std::string_view text : {"0", "0g", " 00", "0x00"}) CHECK_FALSE(base::from_hex(text));
}

TEST_CASE("RFC 4648 §10: base64 test vectors, both ways") {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"", ""},         {"f", "Zg=="},     {"fo", "Zm8="},        {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "+/8="}};
  for (const auto& [plain, encoded] : vectors) {
    CHECK(base::to_base64(bytes(plain)) == encoded);
    CHECK(base::from_base64(encoded) == bytes(plain));
  }
}

TEST_CASE("RFC 4648 §3.5: base64 with no, false or superfluous padding is refused") {
  for (const std::string_view text :
       {"Zg", "Zg=", "Z===", "====", "=", "Zm9v=", "Zm9vZg==Zg==", "Zh==", "Zm9=", "Zm 9v",
        "Zm-_"}) {
    CAPTURE(text);
    CHECK_FALSE(base::from_base64(text));
  }
}

TEST_CASE("ASCII case, trimming and printing") {
  CHECK(base::to_lower("AbZ[É") == "abz[É");
  CHECK(base::iequals("StartTLS", "STARTTLS"));
  CHECK_FALSE(base::iequals("a", "ab"));
  CHECK_FALSE(base::iequals("@", "`"));
  CHECK(base::trim(" \t a b \t") == "a b");
  CHECK(base::trim(" \t ").empty());
  CHECK(base::printable(std::string_view("a\r\n\0\x1b\x7f é", 9)) == "a????? é");
}

TEST_CASE("RFC 3629 §4: UTF-8 has no overlong forms, surrogates or values past U+10FFFF") {
  for (const std::string_view text : {"", "a", "é", "€", "\xf0\x9f\x93\xa7", "\xed\x9f\xbf",
                                      "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}) {
    CAPTURE(text);
    CHECK(base::is_utf8(text));
  }
  for (const std::string_view text :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3(", "\xe0\x80\x80", "\xe2\x82", "\xed\xa0\x80",
        "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe"}) {
    CAPTURE(text);
    CHECK_FALSE(base::is_utf8(text));
  }
  CHECK(base::is_ascii("abc"));
  CHECK_FALSE(base::is_ascii("é"));
}

TEST_CASE("JSON for a terminal is printable ASCII and says the same") {
  CHECK(base::json_in_ascii("{\"a\": [1, \"b\\n\"]}\n") == "{\"a\": [1, \"b\\n\"]}\n");
  CHECK(base::json_in_ascii("\"\xc2\x9b\xe2\x80\xae\x7f\"") == "\"\\u009b\\u202e\\u007f\"");
  CHECK(base::json_in_ascii("\"\xf0\x9f\x98\x80\xff\"") == "\"\\ud83d\\ude00\\ufffd\"");
}

TEST_CASE("an ID has 13 characters of Crockford's alphabet and a seed repeats it") {
  base::Random one(7);
  base::Random two(7);
  const std::string id = one.id();
  CHECK(id.size() == 13);
  CHECK(id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ") == std::string::npos);
  CHECK(id == two.id());
  CHECK(id != one.id());
}
