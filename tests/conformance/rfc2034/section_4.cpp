#include <catch2/catch.hpp>

#include "smtp/reply.h"

using smtp::EnhancedCode;

TEST_CASE("RFC 2034 §4: class 2, 4 or 5, subject and detail of one to three digits, then a space") {
  CHECK(EnhancedCode::parse_prefix("2.1.5 fine") == EnhancedCode{2, 1, 5});
  CHECK(EnhancedCode::parse_prefix("5.7.30") == EnhancedCode{5, 7, 30});
  CHECK(EnhancedCode::parse_prefix("4.999.0 x") == EnhancedCode{4, 999, 0});
  for (const auto* text : {"", "3.1.1 x", "1.0.0 x", "5 x", "5.1 x", "5.1. x", "5..1 x", "5.1.1x",
                           "5.1.1.1 x", "5.1000.1 x", "5.1.1000 x", " 5.1.1 x", "55.1.1 x"}) {
    CAPTURE(text);
    CHECK_FALSE(EnhancedCode::parse_prefix(text));
  }
}

TEST_CASE("RFC 2034 §4: the code stands on every line of a 2yz, 4yz or 5yz reply, in no 3yz") {
  smtp::Reply reply = smtp::make_reply(550, {5, 1, 1}, "a");
  reply.lines.push_back("b");
  CHECK(to_wire(reply) == "550-5.1.1 a\r\n550 5.1.1 b\r\n");
  reply = smtp::make_reply(354, {2, 0, 0}, "go");
  CHECK(to_wire(reply) == "354 go\r\n");
  CHECK(to_wire(smtp::make_reply(220, "relay ESMTP")) == "220 relay ESMTP\r\n");
}

TEST_CASE("RFC 2034 §4: the class agrees with the reply's first digit in what is passed on") {
  smtp::Reply reply = smtp::make_reply(450, {5, 2, 1}, "odd");
  CHECK(relayed(reply, smtp::Stage::rcpt, false).enhanced == EnhancedCode{4, 0, 0});
  reply.enhanced.reset();
  CHECK(relayed(reply, smtp::Stage::rcpt, false).enhanced == EnhancedCode{4, 0, 0});
}
