#include <catch2/catch.hpp>

#include "smtp/reply.h"

namespace {

smtp::Reply parse(std::string_view octets) {
  smtp::ReplyParser parser;
  REQUIRE(parser.feed(octets).value() == octets.size());
  REQUIRE(parser.done());
  return parser.take();
}

}  // namespace

TEST_CASE("RFC 5321 §4.2.1: all lines of one reply carry the same code, the last no hyphen") {
  CHECK(parse("250-a\r\n250-b\r\n250 c\r\n").lines.size() == 3);
  CHECK_FALSE(smtp::ReplyParser().feed("250-a\r\n550 b\r\n").has_value());
}

TEST_CASE("RFC 5321 §4.2: the text may be missing") {
  CHECK(parse("250\r\n").code == 250);
  CHECK(parse("250 \r\n").code == 250);
  CHECK(parse("250-\r\n250\r\n").lines.size() == 2);
}

TEST_CASE("RFC 5321 §4.2.1: a code that is not known is taken by its first digit") {
  CHECK(parse("299 x\r\n").is_positive());
  CHECK(parse("499 x\r\n").is_transient());
  CHECK(parse("599 x\r\n").is_permanent());
  CHECK(relayed(parse("599 x\r\n"), smtp::Stage::rcpt, false).code == 599);
}

TEST_CASE("RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets with its code and CRLF") {
  const std::string wire = to_wire(parse("550 " + std::string(2000, 'x') + "\r\n"));
  CHECK(wire.size() == 512);
  CHECK(wire.ends_with("x\r\n"));
}

TEST_CASE("RFC 5321 §4.5.3.1.10: 552 to RCPT for too many recipients is taken as 452") {
  const auto many = parse("552 5.5.3 Too many recipients\r\n");
  CHECK(relayed(many, smtp::Stage::rcpt, false).str() == "452 4.5.3 Too many recipients");
  CHECK(relayed(parse("552 Too many recipients\r\n"), smtp::Stage::rcpt, false).code == 452);
  CHECK(relayed(many, smtp::Stage::dot, false).code == 552);
  CHECK(relayed(parse("552 5.2.2 mailbox full\r\n"), smtp::Stage::rcpt, false).str() ==
        "552 5.2.2 mailbox full");
}
