#include <catch2/catch.hpp>

#include "smtp/command.h"
#include "smtp/data_scanner.h"

namespace {

std::string refused(std::string_view line, bool smtputf8) {
  CAPTURE(line);
  const auto command = smtp::parse_command(line, smtputf8);
  REQUIRE_FALSE(command.has_value());
  return command.error().str().substr(0, 9);
}

bool header_non_ascii(std::string_view data) {
  smtp::DataScanner scanner;
  CHECK(scanner.scan(data).ended);
  return scanner.header_has_non_ascii();
}

}  // namespace

TEST_CASE("RFC 6531 §3.5: a non-ASCII address needs SMTPUTF8 at MAIL") {
  CHECK(refused("MAIL FROM:<jos\xc3\xa9@example.com>", false) == "553 5.6.7");
  CHECK(refused("MAIL FROM:<joe@b\xc3\xbc.example>", false) == "553 5.6.7");
  CHECK(refused("RCPT TO:<jos\xc3\xa9@example.com>", false) == "553 5.6.7");
  CHECK(refused("RCPT TO:<joe@b\xc3\xbc""cher.example>", false) == "553 5.6.7");
  const auto mail = smtp::parse_command("MAIL FROM:<jos\xc3\xa9@example.com> SMTPUTF8", false);
  CHECK(std::get<smtp::Mail>(mail.value()).parameters.smtputf8);
}

TEST_CASE("RFC 6531 §3.2: a U-label is looked up as an A-label and passed on as it was written") {
  const auto command =
      smtp::parse_command("RCPT TO:<\xe7\x94\xa8@b\xc3\xbc""cher.example>", true).value();
  const auto& mailbox = std::get<smtp::Rcpt>(command).recipient;
  CHECK(std::get<base::Domain>(mailbox.domain).str() == "xn--bcher-kva.example");
  CHECK(mailbox.address() == "\xe7\x94\xa8@b\xc3\xbc""cher.example");
  CHECK_FALSE(mailbox.is_ascii());
}

TEST_CASE("RFC 6531 §3.3: local parts are UTF-8, quoted or not") {
  CHECK(smtp::parse_command("RCPT TO:<\"jos\xc3\xa9 x\"@example.com>", true).has_value());
  for (const auto* local : {"\xff", "jos\xc3", "\xc0\xaf", "\xed\xa0\x80", "\"\xc3(\""}) {
    CHECK(refused("RCPT TO:<" + std::string(local) + "@example.com>", true) == "501 5.1.3");
  }
}

TEST_CASE("RFC 6531 §3.4: SMTPUTF8 has no value and is MAIL's alone") {
  CHECK(refused("MAIL FROM:<> SMTPUTF8=1", false) == "501 5.5.4");
  CHECK(refused("MAIL FROM:<> SMTPUTF8 SMTPUTF8", false) == "501 5.5.4");
  CHECK(refused("RCPT TO:<a@b.example> SMTPUTF8", true) == "555 5.5.4");
}

TEST_CASE("RFC 6531 §3.6: a header with UTF-8 needs SMTPUTF8, a body with it does not") {
  CHECK(header_non_ascii("Subject: caf\xc3\xa9\r\n\r\nx\r\n.\r\n"));
  CHECK(header_non_ascii("Subject: x\r\n caf\xc3\xa9\r\n\r\nx\r\n.\r\n"));
  CHECK_FALSE(header_non_ascii("Subject: x\r\n\r\ncaf\xc3\xa9\r\n.\r\n"));
  CHECK_FALSE(header_non_ascii("\r\ncaf\xc3\xa9: x\r\n.\r\n"));
}

TEST_CASE("RFC 6531 §3.7.1: the name in EHLO is ASCII") {
  CHECK(refused("EHLO b\xc3\xbc""cher.example", true) == "501 5.5.4");
}
