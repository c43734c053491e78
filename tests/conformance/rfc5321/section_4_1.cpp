#include <catch2/catch.hpp>

#include "smtp/command.h"

namespace {

smtp::Rcpt rcpt(std::string_view path) {
  CAPTURE(path);
  auto command = smtp::parse_command("RCPT TO:" + std::string(path), false);
  REQUIRE(command.has_value());
  return std::get<smtp::Rcpt>(*command);
}

std::string refused(std::string_view line) {
  CAPTURE(line);
  auto command = smtp::parse_command(line, false);
  REQUIRE_FALSE(command.has_value());
  return command.error().str().substr(0, 9);
}

}  // namespace

TEST_CASE("RFC 5321 §4.1.1: verbs and keywords have no case, white space at the end is tolerated") {
  CHECK(smtp::parse_command("mAiL fRoM:<a@b.example> sIzE=1 \t", false).has_value());
  CHECK(smtp::parse_command("QUIT  ", false).has_value());
}

TEST_CASE("RFC 5321 §4.1.1.2: the null reverse-path is MAIL's alone") {
  const auto command = smtp::parse_command("MAIL FROM:<>", false);
  REQUIRE(command.has_value());
  CHECK(std::get<smtp::Mail>(*command).reverse_path.empty());
  CHECK(refused("RCPT TO:<>") == "501 5.1.3");
}

TEST_CASE("RFC 5321 §4.1.2: local parts pass through octet for octet") {
  for (const std::string_view local :
       {"a", "a.b.c", "A+b", "!#$%&'*+-/=?^_`{|}~", "\"\"", "\"a b\"", "\"a@b\"", "\"a>b\"",
        "\"a\\\"b\"", "\"a\\\\\"", "\".a..b.\"", "\"<>:,;[]\""}) {
    const auto got = rcpt("<" + std::string(local) + "@example.com>");
    CHECK(got.recipient.local_part == local);
    CHECK(got.recipient.address() == std::string(local) + "@example.com");
  }
}

TEST_CASE("RFC 5321 §4.1.2: the domain is compared in lower case and kept as written") {
  const auto got = rcpt("<joe@MX-1.Example.COM>");
  CHECK(got.recipient.written_domain == "MX-1.Example.COM");
  CHECK(std::get<base::Domain>(got.recipient.domain).str() == "mx-1.example.com");
}

TEST_CASE("RFC 5321 §4.1.2: what is no forward-path is 501 5.1.3") {
  for (const std::string_view path :
       {"", "joe@example.com", "<joe@example.com", "joe@example.com>", "<@example.com>", "<joe@>",
        "<.joe@example.com>", "<joe.@example.com>", "<a..b@example.com>", "<a b@example.com>",
        "<a@b@example.com>", "<a@exam ple.com>", "<a@example..com>", "<a@.example.com>",
        "<\"a@example.com>", "<\"a\"b@example.com>", "<a\"b\"@example.com>", "<\"a\\@example.com>",
        "<a@example.com>x", "<<a@example.com>>", "<a@example.com>>", "<a(c)@example.com>",
        "<a,b@example.com>", "<a@192.0.2.1>", "<a;b@example.com>", "<a\\b@example.com>"}) {
    CHECK(refused("RCPT TO:" + std::string(path)) == "501 5.1.3");
  }
  CHECK(refused("MAIL FROM:<a..b@example.com>") == "501 5.1.7");
}

TEST_CASE("RFC 5321 §4.1.3: address literals of both families") {
  CHECK(std::get<base::Ip>(rcpt("<a@[192.0.2.1]>").recipient.domain).str() == "192.0.2.1");
  CHECK(std::get<base::Ip>(rcpt("<a@[ipv6:2001:db8::1]>").recipient.domain).str() ==
        "2001:db8::1");
  for (const auto* path :
       {"<a@[192.0.2]>", "<a@[2001:db8::1]>", "<a@[IPv6:192.0.2.1]>", "<a@[]>", "<a@[192.0.2.1>",
        "<a@[192.0.2.1]x>", "<a@[x:y]>", "<a@[IPv6:fe80::1%eth0]>"}) {
    CHECK(refused("RCPT TO:" + std::string(path)) == "501 5.1.3");
  }
}

TEST_CASE("RFC 5321 §4.1.1.11: a parameter that is not known is 555, a malformed one 501") {
  for (const auto* line : {"MAIL FROM:<> FOO", "MAIL FROM:<> RET=HDRS", "MAIL FROM:<> REQUIRETLS",
                           "MAIL FROM:<> AUTH=<>", "RCPT TO:<a@b.example> NOTIFY=NEVER",
                           "RCPT TO:<a@b.example> SIZE=1", "MAIL FROM:<> BODY=BINARYMIME"}) {
    CHECK(refused(line) == "555 5.5.4");
  }
  for (const auto* line : {"MAIL FROM:<> =x", "MAIL FROM:<> A=", "MAIL FROM:<> A=b=c",
                           "MAIL FROM:<> -A", "MAIL FROM:<> A_B", "RCPT TO:<a@b.example> ="}) {
    CHECK(refused(line) == "501 5.5.4");
  }
}

TEST_CASE("RFC 5321 §4.5.3.1: objects of the sizes asked for are taken") {
  const std::string local(64, 'l');
  const std::string label = std::string(62, 'd') + ".";
  const std::string domain = label + label + label + std::string(61, 'd') + ".ab";
  CHECK(rcpt("<" + local + "@" + domain + ">").recipient.local_part == local);
  CHECK(refused("RCPT TO:<a@" + label + label + label + label + "abc>") == "501 5.1.3");
  CHECK(refused("RCPT TO:<" + std::string(300, 'l') + "@b.example>") == "501 5.1.3");
}

TEST_CASE("RFC 5321 §3.3 and appendix C: a source route is ignored") {
  CHECK(rcpt("<@a.example,@b.example:joe@c.example>").recipient.address() == "joe@c.example");
}
