#include "smtp/command.h"

#include <catch2/catch.hpp>

#include "base/limits.h"

using smtp::parse_command;

namespace {

template <class T>
T good(std::string_view line, bool smtputf8 = false) {
  CAPTURE(line);
  const auto command = parse_command(line, smtputf8);
  REQUIRE(command.has_value());
  REQUIRE(std::holds_alternative<T>(*command));
  return std::get<T>(*command);
}

void bad(std::string_view line, std::string_view want, bool smtputf8 = false) {
  CAPTURE(line);
  const auto command = parse_command(line, smtputf8);
  REQUIRE_FALSE(command.has_value());
  CHECK(command.error().str().substr(0, want.size()) == want);
}

}  // namespace

TEST_CASE("each command is known in any case and with white space at its end") {
  good<smtp::Data>("DATA");
  good<smtp::Data>("data \t");
  good<smtp::Rset>("Rset");
  good<smtp::Quit>("QUIT");
  good<smtp::Noop>("NOOP");
  good<smtp::Noop>("NOOP anything");
  good<smtp::Help>("HELP me");
  good<smtp::Starttls>("STARTTLS");
  CHECK(good<smtp::Vrfy>("VRFY joe").text == "joe");
  CHECK(good<smtp::Ehlo>("EHLO [IPv6:2001:db8::1]").name == "[IPv6:2001:db8::1]");
  CHECK(good<smtp::Helo>("helo my_host").name == "my_host");
  CHECK(good<smtp::Lhlo>("LHLO mta.example ").name == "mta.example");
}

TEST_CASE("arguments where none belong, or none where one belongs, are 501") {
  for (const auto* line : {"DATA x", "RSET x", "QUIT x", "STARTTLS x", "EHLO", "HELO ", "LHLO",
                           "EHLO a b", "EHLO b\xc3\xbc.example", "VRFY", "MAIL", "RCPT",
                           "MAIL TO:<a@b.example>", "RCPT FROM:<a@b.example>", "MAIL FROM",
                           "XFORWARD"}) {
    bad(line, "501 5.5.4");
  }
  bad("EHLO " + std::string(256, 'a'), "501 5.5.4");
}

TEST_CASE("what is not implemented is 502, what is no command 500") {
  for (const auto* line : {"EXPN x", "AUTH PLAIN x", "BDAT 3 LAST", "ETRN x", "TURN"}) {
    bad(line, "502 5.5.1");
  }
  for (const auto* line : {"", " ", "FOO", "MAILFROM:<a@b.example>", "GET / HTTP/1.1", " DATA",
                           "\x16\x03\x01", "DATA\x01", "NO\tOP"}) {
    bad(line, "500 5.5.2");
  }
  bad(std::string_view("DATA\0", 5), "500 5.5.2");
  bad("NOOP\r", "500 5.5.2");
  bad("NOOP a\nMAIL FROM:<>", "500 5.5.2");
}

TEST_CASE("a line over the limit is refused, one at the limit is not") {
  const std::size_t most = base::limits::command_line - 2;
  good<smtp::Noop>("NOOP " + std::string(most - 5, 'a'));
  bad("NOOP " + std::string(most - 4, 'a'), "500 5.5.2");
}

TEST_CASE("XFORWARD attributes are decoded, made printable and the last of a name counts") {
  using Name = smtp::Xforward::Name;
  const auto x = good<smtp::Xforward>(
      "XFORWARD name=a.example ADDR=192.0.2.1 PORT=[UNAVAILABLE] HELO=a+20b IDENT=A+0D+0AB "
      "PROTO=ESMTP SOURCE=[tempunavail] IDENT=4XyZ");
  REQUIRE(x.attributes.size() == 7);
  CHECK(x.attributes[0].name == Name::name);
  CHECK(x.attributes[0].value == "a.example");
  CHECK(x.attributes[2].name == Name::port);
  CHECK_FALSE(x.attributes[2].value);
  CHECK(x.attributes[3].value == "a b");
  CHECK_FALSE(x.attributes[5].value);
  CHECK(x.attributes[6].name == Name::ident);
  CHECK(x.attributes[6].value == "4XyZ");
  CHECK(good<smtp::Xforward>("XFORWARD IDENT=A+0D+0AB").attributes[0].value == "A??B");
  for (const auto* line : {"XFORWARD LOGIN=x", "XFORWARD NAME", "XFORWARD NAME=+4", "XFORWARD =a",
                           "XFORWARD NAME=a=b"}) {
    bad(line, "501 5.5.4");
  }
}

TEST_CASE("a source route is stripped and must be one") {
  CHECK(good<smtp::Mail>("MAIL FROM:<@a.example,@b.example:u@c.example>").reverse_path ==
        "u@c.example");
  CHECK(good<smtp::Rcpt>("RCPT TO:<@a.example:u@c.example>").recipient.address() == "u@c.example");
  for (const auto* path : {"<@a.example>", "<@:u@c.example>", "<@a.example,b.example:u@c.example>",
                           "<@a.example,@b.example>", "<@a b:u@c.example>"}) {
    bad("RCPT TO:" + std::string(path), "501 5.1.3");
  }
}

TEST_CASE("a space in front of the path is tolerated") {
  CHECK(good<smtp::Mail>("MAIL FROM: <a@b.example> SIZE=5").parameters.size == 5U);
  CHECK(good<smtp::Rcpt>("rcpt to:   <a@b.example>").recipient.local_part == "a");
}

TEST_CASE("postmaster without a domain has its own refusal, other bare names another") {
  bad("RCPT TO:<PostMaster>", "550 5.1.3");
  bad("RCPT TO:<joe>", "501 5.1.3");
  bad("MAIL FROM:<postmaster>", "501 5.1.7");
}

TEST_CASE("DATA is known by what has come, only whole") {
  CHECK(smtp::is_data_line("DATA\r\n"));
  CHECK(smtp::is_data_line("dAtA\r\nFrom: x\r\n"));
  for (const char* const text : {"", "D", "DATA", "DATA\r", "DATA\n", "DATA \r\n", "DATUM\r\n",
                                 "RCPT TO:<a@b.example>\r\nDATA\r\n", " DATA\r\n"}) {
    CAPTURE(text);
    CHECK_FALSE(smtp::is_data_line(text));
  }
}
