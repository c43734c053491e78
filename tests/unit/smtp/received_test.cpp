#include "smtp/received.h"

#include <catch2/catch.hpp>

using smtp::received_field;
using smtp::TraceFacts;

namespace {

TraceFacts facts() {
  TraceFacts out;
  out.helo = "mta.example.com";
  out.peer = base::Ip::parse("192.0.2.1").value();
  out.hostname = "relay.example.com";
  out.tls = true;
  out.id = "0123456789ABC";
  out.only_recipient = "joe@example.org";
  using namespace std::chrono;
  out.when = sys_days(year(2026) / 2 / 28) + 23h + 59min + 58s;
  return out;
}

}  // namespace

TEST_CASE("the Received field as a whole") {
  CHECK(received_field(facts()) ==
        "Received: from mta.example.com ([192.0.2.1])\r\n"
        "\tby relay.example.com with ESMTPS id 0123456789ABC for <joe@example.org>;\r\n"
        "\tSat, 28 Feb 2026 23:59:58 +0000\r\n");
}

TEST_CASE("the date is local, with its numeric zone") {
  auto f = facts();
  f.zone = std::chrono::minutes(90);
  CHECK(received_field(f).find("Sun, 1 Mar 2026 01:29:58 +0130\r\n") != std::string::npos);
  f.zone = std::chrono::minutes(-210);
  CHECK(received_field(f).find("Sat, 28 Feb 2026 20:29:58 -0330\r\n") != std::string::npos);
}

TEST_CASE("nothing that a client gives can break out of its place") {
  auto f = facts();
  f.helo = "a) by evil\r\nX-Injected: yes (";
  const std::string field = received_field(f);
  CHECK(field.starts_with(
      "Received: from [192.0.2.1] (HELO a?\?by?evil?\?X-Injected:?yes?\?)\r\n\tby "));
  f.helo = "b\xc3\xbc.example";
  CHECK(received_field(f).find('\xc3') == std::string::npos);
  f.only_recipient = "a\r\nb@example.org";
  CHECK(received_field(f).find("for ") == std::string::npos);
}

TEST_CASE("a client on a Unix socket has no address") {
  auto f = facts();
  f.peer.reset();
  CHECK(received_field(f).starts_with("Received: from mta.example.com\r\n"));
  f.helo = "@";
  CHECK(received_field(f).starts_with("Received: from unknown (HELO ?)\r\n"));
}

TEST_CASE("lines stay within 78 octets where words allow it") {
  auto f = facts();
  f.hostname = std::string(40, 'h') + ".example.com";
  f.only_recipient = std::string(50, 'r') + "@example.org";
  const std::string field = received_field(f);
  std::size_t begin = 0;
  while (begin < field.size()) {
    const std::size_t end = field.find("\r\n", begin);
    CHECK(end - begin <= 78);
    CHECK((begin == 0 || field[begin] == '\t'));
    begin = end + 2;
  }
}
