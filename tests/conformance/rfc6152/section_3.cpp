#include <catch2/catch.hpp>

#include "smtp/command.h"
#include "smtp/data_scanner.h"

TEST_CASE("RFC 6152 §3: BODY is 7BIT or 8BITMIME") {
  const auto body = [](std::string_view parameter) {
    const auto command = smtp::parse_command("MAIL FROM:<> " + std::string(parameter), false);
    return std::get<smtp::Mail>(command.value()).parameters.body;
  };
  CHECK(body("BODY=7BIT") == smtp::Body::seven_bit);
  CHECK(body("body=8bitmime") == smtp::Body::eight_bit_mime);
  CHECK(body("") == smtp::Body::unstated);
  for (const auto* parameter : {"BODY", "BODY=", "BODY=9BIT", "BODY=7BIT BODY=7BIT"}) {
    CAPTURE(parameter);
    const auto command = smtp::parse_command("MAIL FROM:<> " + std::string(parameter), false);
    REQUIRE_FALSE(command.has_value());
    CHECK(command.error().code == 501);
  }
}

TEST_CASE("RFC 6152 §3: octets over 127 are seen wherever they stand") {
  for (std::size_t length = 1; length < 40; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string line(length, '\x7f');
      smtp::DataScanner plain;
      plain.scan(line + "\r\n.\r\n");
      REQUIRE_FALSE(plain.eight_bit());
      line[at] = '\x80';
      smtp::DataScanner eight;
      eight.scan(line + "\r\n.\r\n");
      REQUIRE(eight.eight_bit());
    }
  }
  smtp::DataScanner behind;
  behind.scan("a\r\n.\r\n\x80");
  CHECK_FALSE(behind.eight_bit());
}
