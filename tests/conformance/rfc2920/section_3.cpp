#include <catch2/catch.hpp>

#include "smtp/data_scanner.h"
#include "smtp/reply.h"

TEST_CASE("RFC 2920 §3.1: replies are told apart one by one, however many arrive at once") {
  const std::string_view octets = "250 2.1.0 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n354 d\r\n";
  smtp::ReplyParser parser;
  std::string_view left = octets;
  std::vector<int> codes;
  while (!left.empty()) {
    left.remove_prefix(parser.feed(left).value());
    REQUIRE(parser.done());
    CHECK(parser.feed(left).value() == 0);  // nothing of the next one is taken before take()
    codes.push_back(parser.take().code);
  }
  CHECK(codes == std::vector<int>{250, 550, 354});
}

TEST_CASE("RFC 2920 §3.2: commands that came with the final dot are not lost") {
  smtp::DataScanner scanner;
  CHECK(scanner.scan("a\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n").rest == "MAIL FROM:<>\r\nQUIT\r\n");
}
