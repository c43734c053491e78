#include <catch2/catch.hpp>

#include "smtp/received.h"

namespace {

smtp::TraceFacts facts() {
  smtp::TraceFacts out;
  out.helo = "mta.example.com";
  out.peer = base::Ip::parse("2001:db8::1").value();
  out.hostname = "relay.example.com";
  out.id = "ID";
  out.only_recipient = "joe@example.org";
  return out;
}

bool has(const smtp::TraceFacts& f, std::string_view text) {
  return received_field(f).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("RFC 5321 §4.4: FROM has the name given and the address seen, BY our own name") {
  CHECK(has(facts(), "from mta.example.com ([IPv6:2001:db8::1])\r\n\tby relay.example.com "));
  auto f = facts();
  f.peer = base::Ip::parse("::ffff:192.0.2.1").value();
  f.helo = "[192.0.2.1]";
  CHECK(has(f, "from [192.0.2.1] ([192.0.2.1])"));
}

TEST_CASE("RFC 5321 §4.4, §7.6: FOR names a recipient only where there is no other") {
  CHECK(has(facts(), " for <joe@example.org>;"));
  auto f = facts();
  f.only_recipient.clear();
  CHECK_FALSE(has(f, " for "));
}

TEST_CASE("RFC 5321 §4.4: the date has a numeric zone") {
  CHECK(has(facts(), "Thu, 1 Jan 1970 00:00:00 +0000\r\n"));
}

TEST_CASE("RFC 3848, RFC 6531 §4.3: the WITH keyword tells protocol, TLS and SMTPUTF8") {
  struct Row {
    bool lmtp, extended, tls, utf8;
    std::string_view want;
  };
  const Row rows[] = {
      {false, false, false, false, "SMTP"},    {false, true, false, false, "ESMTP"},
      {false, true, true, false, "ESMTPS"},    {true, true, false, false, "LMTP"},
      {true, true, true, false, "LMTPS"},      {false, true, false, true, "UTF8SMTP"},
      {false, true, true, true, "UTF8SMTPS"},  {true, true, false, true, "UTF8LMTP"},
      {true, true, true, true, "UTF8LMTPS"}};
  for (const Row& row : rows) {
    auto f = facts();
    f.lmtp = row.lmtp;
    f.extended = row.extended;
    f.tls = row.tls;
    f.smtputf8 = row.utf8;
    CHECK(with_keyword(f) == row.want);
    CHECK(has(f, " with " + std::string(row.want) + " id ID"));
  }
}

TEST_CASE("RFC 6531 §3.7.3: FOR may be UTF-8 only in a message that goes with SMTPUTF8") {
  auto f = facts();
  f.only_recipient = "jos\xc3\xa9@example.org";
  CHECK_FALSE(has(f, " for "));
  f.smtputf8 = true;
  CHECK(has(f, " for <jos\xc3\xa9@example.org>;"));
}
