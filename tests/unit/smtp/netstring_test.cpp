// Netstrings: what is one, what may become one, and what never will.
#include "smtp/netstring.h"

#include <catch2/catch.hpp>

namespace {

using State = smtp::NetstringFrame::State;
constexpr std::size_t limit = 100;

State state_of(std::string_view octets) { return smtp::netstring_at(octets, limit).state; }

}  // namespace

TEST_CASE("a whole netstring is found at the start of what came") {
  const auto frame = smtp::netstring_at("17:QUERY example.com,11:QUERY a", limit);
  REQUIRE(frame.state == State::whole);
  CHECK(frame.payload == "QUERY example.com");
  CHECK(frame.size == 21);
  CHECK(smtp::netstring_at("0:,", limit).state == State::whole);
  CHECK(smtp::netstring_at("0:,", limit).payload.empty());
  const std::string binary("3:\0\r\n,", 6);
  CHECK(smtp::netstring_at(binary, limit).payload == std::string_view("\0\r\n", 3));
  CHECK(state_of("100:" + std::string(100, 'x') + ",") == State::whole);
}

TEST_CASE("every beginning of a netstring waits for more") {
  const std::string whole = "17:QUERY example.com,";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    CHECK(state_of(whole.substr(0, n)) == State::partial);
  }
  CHECK(state_of("100:") == State::partial);
}

TEST_CASE("what is no netstring is told from the first octet that shows it") {
  for (const char* const text :
       {":", ",", "x", " 5:hello,", "-1:", "+5:hello,", "05:hello,", "00:,", "5;hello,",
        "5 :hello,", "5:hello;", "5:helloo,", "0:x", "GET / HTTP/1.1\r\n",
        "QUERY example.com\n", "\n", "1a:x,"}) {
    CAPTURE(text);
    CHECK(state_of(text) == State::bad);
  }
  CHECK(state_of(std::string_view("\0", 1)) == State::bad);
  CHECK(state_of("5:hello\r\n,") == State::bad);
}

TEST_CASE("a length over the limit is refused from its digits") {
  for (const char* const text : {"101", "101:", "999", "1000", "99999999999999999999999999999999",
                                 "18446744073709551617:", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK(state_of(text) == State::bad);
  }
  CHECK(smtp::netstring_at("5", 0).state == State::bad);
  CHECK(smtp::netstring_at("0:,", 0).state == State::whole);
  CHECK(smtp::netstring_at("7", 5).state == State::bad);
}

TEST_CASE("what is written is read again") {
  std::string out;
  for (const std::string& payload :
       {std::string(), std::string("NOTFOUND "), std::string(99, ',')}) {
    const std::size_t before = out.size();
    smtp::append_netstring(out, payload);
    const auto frame = smtp::netstring_at(std::string_view(out).substr(before), limit);
    REQUIRE(frame.state == State::whole);
    CHECK(frame.payload == payload);
    CHECK(frame.size == out.size() - before);
  }
  CHECK(out.starts_with("0:,9:NOTFOUND ,"));
}
