#include "smtp/reply.h"

#include <catch2/catch.hpp>

#include "base/limits.h"

using smtp::EnhancedCode;
using smtp::make_reply;
using smtp::Reply;
using smtp::ReplyParser;
using smtp::Stage;

namespace {

// Every reply in `octets`, fed in pieces of `step` octets.
std::vector<Reply> parse_all(std::string_view octets, std::size_t step) {
  std::vector<Reply> out;
  ReplyParser parser;
  while (!octets.empty()) {
    const auto used = parser.feed(octets.substr(0, step));
    REQUIRE(used.has_value());
    octets.remove_prefix(*used);
    if (parser.done()) out.push_back(parser.take());
  }
  REQUIRE_FALSE(parser.done());
  return out;
}

Reply parse(std::string_view octets) {
  const auto all = parse_all(octets, octets.size());
  REQUIRE(all.size() == 1);
  return all.front();
}

void bad(std::string_view octets) {
  CAPTURE(octets);
  CHECK_FALSE(ReplyParser().feed(octets).has_value());
}

}  // namespace

TEST_CASE("a reply is read alike however it arrives, and stops at its own end") {
  const std::string_view octets =
      "220 mx.example ESMTP\r\n250-mx.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"
      "550-5.1.1 no such\r\n550 5.1.1 user\r\n354\r\n250 \n";
  const auto whole = parse_all(octets, octets.size());
  REQUIRE(whole.size() == 5);
  CHECK(whole[1].lines == std::vector<std::string>{"mx.example", "SIZE 1000", "STARTTLS"});
  CHECK(whole[2].enhanced == EnhancedCode{5, 1, 1});
  CHECK(whole[2].str() == "550 5.1.1 no such user");
  CHECK(whole[3].code == 354);
  CHECK(whole[4].lines == std::vector<std::string>{""});
  for (std::size_t step = 1; step < 20; ++step) CHECK(parse_all(octets, step) == whole);
}

TEST_CASE("an enhanced code that only some lines have stays where it differs") {
  const Reply reply = parse("550-5.1.1 a\r\n550-b\r\n550 5.7.1 c\r\n");
  CHECK(reply.enhanced == EnhancedCode{5, 1, 1});
  CHECK(reply.lines == std::vector<std::string>{"a", "b", "5.7.1 c"});
}

TEST_CASE("what is no reply is refused") {
  bad("hello\r\n");
  bad("\r\n");
  bad("25\r\n");
  bad("250x\r\n");
  bad("250_OK\r\n");
  bad(" 250 OK\r\n");
  bad("2500 OK\r\n");
  bad("250-a\r\n251 b\r\n");
  bad("HTTP/1.1 200 OK\r\n");
  bad("250 " + std::string(base::limits::reply_line_in, 'a'));
  std::string lines;
  for (std::size_t i = 0; i < base::limits::reply_lines; ++i) lines += "250-a\r\n";
  bad(lines + "250 a\r\n");
  std::string octets;
  for (int i = 0; i < 20; ++i) octets += "250-" + std::string(4000, 'a') + "\r\n";
  bad(octets);
}

TEST_CASE("a long text is folded at spaces, and each line keeps within the limit") {
  std::string words;
  for (int i = 0; i < 300; ++i) words += "word" + std::to_string(i) + " ";
  words.pop_back();
  const Reply reply = make_reply(451, {4, 7, 5}, words);
  CHECK(reply.lines.size() > 3);
  CHECK(reply.str() == "451 4.7.5 " + words);
  const std::string wire = to_wire(smtp::with_id(reply, "0123456789ABC"));
  std::size_t begin = 0;
  while (begin < wire.size()) {
    const std::size_t end = wire.find("\r\n", begin);
    REQUIRE(end != std::string::npos);
    CHECK(end + 2 - begin <= base::limits::reply_line_out);
    begin = end + 2;
  }
  CHECK(parse(wire).str() == "451 4.7.5 " + words + " [0123456789ABC]");
}

TEST_CASE("a text without spaces is cut where the line is full") {
  const Reply reply = make_reply(451, {4, 7, 5}, std::string(1200, 'x'));
  std::string joined;
  for (const auto& line : parse(to_wire(reply)).lines) joined += line;
  CHECK(joined == std::string(1200, 'x'));
}

TEST_CASE("an ID that does not fit the last line gets its own") {
  const Reply full = make_reply(451, {4, 7, 5}, std::string(500, 'x'));
  REQUIRE(full.lines.size() == 1);
  const Reply reply = smtp::with_id(full, "0123456789ABC");
  CHECK(reply.lines == std::vector<std::string>{std::string(500, 'x'), "[0123456789ABC]"});
  CHECK(smtp::with_id(make_reply(421, ""), "X").str() == "421 [X]");
}

TEST_CASE("nothing of a peer can end a line, and no line is longer than allowed") {
  Reply reply;
  reply.code = 550;
  reply.enhanced = EnhancedCode{5, 1, 1};
  reply.lines = {"a\r\n250 forged\t\x7f é", std::string(9000, 'y'), ""};
  const std::string wire = to_wire(reply);
  CHECK(wire.starts_with("550-5.1.1 a??250 forged?? ??\r\n550-5.1.1 yyy"));
  CHECK(wire.ends_with("\r\n550 5.1.1 \r\n"));
  CHECK(wire.find("\r\n", 40) < 30 + 512);
  CHECK(parse(wire).lines.size() == 3);
}

TEST_CASE("an MX's reply is passed on with its code, enhanced code and text") {
  const Reply reply = parse("550 5.1.1 <x@example.com>: no such user\r\n");
  CHECK(relayed(reply, Stage::rcpt, false) == reply);
  CHECK(relayed(parse("250 2.1.5 fine\r\n"), Stage::rcpt, true).str() == "250 2.1.5 fine");
}

TEST_CASE("where an MX gave no enhanced code, or one of another class, X.0.0 is added") {
  CHECK(relayed(parse("250 OK\r\n"), Stage::mail, false).str() == "250 2.0.0 OK");
  CHECK(relayed(parse("451 later\r\n"), Stage::mail, false).str() == "451 4.0.0 later");
  CHECK(relayed(parse("550 4.2.1 odd\r\n"), Stage::dot, false).str() == "550 5.0.0 odd");
}

TEST_CASE("421 from an MX becomes 451: our connection stays") {
  CHECK(relayed(parse("421 4.3.2 closing\r\n"), Stage::dot, false).str() == "451 4.3.2 closing");
  CHECK(relayed(parse("421 closing\r\n"), Stage::rcpt, false).str() == "451 4.0.0 closing");
}

TEST_CASE("530 is passing in cleartext and final under TLS") {
  const Reply reply = parse("530 5.7.0 Must issue a STARTTLS command first\r\n");
  CHECK(relayed(reply, Stage::mail, true).str() ==
        "451 4.7.4 Must issue a STARTTLS command first");
  CHECK(relayed(reply, Stage::mail, false) == reply);
}

TEST_CASE("a code that has no place becomes 451 4.4.2 and is quoted") {
  for (const auto* octets : {"150 hm\r\n", "650 hm\r\n", "999 hm\r\n", "354 hm\r\n"}) {
    const Reply reply = relayed(parse(octets), Stage::rcpt, false);
    CHECK(reply.code == 451);
    CHECK(reply.enhanced == EnhancedCode{4, 4, 2});
    CHECK(reply.str().find(std::string(octets, 6)) != std::string::npos);
  }
  CHECK(relayed(parse("354 go\r\n"), Stage::dot, false).code == 451);
}

TEST_CASE("only 3yz says yes to DATA: a 2yz must not look like a delivery") {
  CHECK(relayed(parse("354 go ahead\r\n"), Stage::data, false).str() == "354 go ahead");
  CHECK(relayed(parse("250 2.0.0 OK\r\n"), Stage::data, false).code == 451);
  CHECK(relayed(parse("554 5.5.1 no valid recipients\r\n"), Stage::data, false).code == 554);
}
