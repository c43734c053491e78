#include <catch2/catch.hpp>

#include "smtp/data_scanner.h"

namespace {

// The message as scanned in one piece; checks that nothing was lost.
struct Scanned {
  smtp::DataScanner scanner;
  std::string content;
  std::string rest;
  explicit Scanned(std::string_view input) {
    const auto result = scanner.scan(input);
    content = result.content;
    rest = result.rest;
    if (result.ended) CHECK(content + ".\r\n" + rest == input);
  }
};

}  // namespace

TEST_CASE("RFC 5321 §4.5.2: a line of one dot ends the data, another line's first dot does not") {
  const Scanned s("a\r\n..\r\n.b\r\n...\r\n.\r\nQUIT\r\n");
  CHECK(s.scanner.ended());
  CHECK(s.content == "a\r\n..\r\n.b\r\n...\r\n");
  CHECK(s.rest == "QUIT\r\n");
  CHECK_FALSE(s.scanner.bare_cr_or_lf());
}

TEST_CASE("RFC 5321 §4.5.2: a message without any line ends at once") {
  const Scanned s(".\r\nRSET\r\n");
  CHECK(s.scanner.ended());
  CHECK(s.content.empty());
  CHECK(s.rest == "RSET\r\n");
  CHECK(s.scanner.octets() == 0);
}

TEST_CASE("RFC 5321 §4.5.2: a dot in a line is text") {
  for (const auto* text : {"a.\r\n", "a\r\n b.\r\n", "a\r\n. \r\n", "a\r\n.\r", "a\r\n.",
                           "a.\r\n\r\n"}) {
    CAPTURE(text);
    CHECK_FALSE(Scanned(text).scanner.ended());
  }
}

TEST_CASE("RFC 5321 §2.3.8: nothing but CRLF.CRLF ends the data (smuggling)") {
  for (const auto* text :
       {"a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r.\r", "a\r.\r\n", "a\r\n.\r", "a\n.\r",
        "a\r\n.\r\r\n", "a\n\n.\n\n", "a\r\r\n\n.\r\n", ".\n", ".\r", "\n.\r\n", "\r.\r\n",
        "a\r\n\r.\r\n"}) {
    CAPTURE(text);
    const std::string smuggled = std::string(text) + "MAIL FROM:<evil@example.com>\r\n";
    const Scanned inside(smuggled);
    CHECK_FALSE(inside.scanner.ended());
    CHECK(inside.scanner.bare_cr_or_lf());
    const Scanned whole(smuggled + ".\r\nQUIT\r\n");
    CHECK(whole.scanner.ended());
    CHECK(whole.scanner.bare_cr_or_lf());
    CHECK(whole.rest == "QUIT\r\n");
  }
}

TEST_CASE("RFC 5321 §2.3.8: a bare CR or LF is flagged wherever it stands") {
  for (const auto* text : {"a\rb\r\n.\r\n", "a\nb\r\n.\r\n", "\n\r\n.\r\n", "\r\r\n.\r\n",
                           "A: b\n\r\n.\r\n", "A: b\r\n\r\nc\r\r\n.\r\n", "a\r\n.\rb\r\n.\r\n"}) {
    CAPTURE(text);
    const Scanned s(text);
    CHECK(s.scanner.ended());
    CHECK(s.scanner.bare_cr_or_lf());
  }
}

TEST_CASE("RFC 5321 §4.1.1.4: what ends the data is not of the message, its last CRLF is") {
  const Scanned s("a\r\n\r\n.\r\n");
  CHECK(s.content == "a\r\n\r\n");
}

TEST_CASE("RFC 5321 §6.3: Received fields are counted, so that a loop can be refused") {
  std::string header;
  for (int i = 0; i < 101; ++i) header += "received: from a by b; now\r\n";
  const Scanned s(header + "\r\nReceived: in the body\r\n.\r\n");
  CHECK(s.scanner.received_fields() == 101);
}
