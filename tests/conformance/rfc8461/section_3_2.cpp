// RFC 8461 §3.2: the policy file.
#include <catch2/catch.hpp>

#include "policy/sts.h"

namespace {

using policy::StsMode;

const std::string plain =
    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n";

policy::StsPolicy good(const std::string& body) {
  const auto parsed = policy::parse_sts_policy(body);
  INFO(body);
  if (!parsed) FAIL(parsed.error().front().str());
  return *parsed;
}

// `where`: "LINE:COLUMN", or "" for an error of no line.
void bad(const std::string& body, const std::string& where, const std::string& why) {
  const auto parsed = policy::parse_sts_policy(body);
  INFO(body);
  REQUIRE(!parsed);
  const policy::PolicyError first = parsed.error().front();  // error() is a value
  INFO(first.str());
  const std::string at =
      first.line == 0 ? "" : std::to_string(first.line) + ":" + std::to_string(first.column);
  CHECK(at == where);
  CHECK(first.text.find(why) != std::string::npos);
}

std::string with_mode(const std::string& line) {
  return "version: STSv1\n" + line + "\nmx: a.example\nmax_age: 1\n";
}
std::string with_mx(const std::string& value) {
  return "version: STSv1\nmode: testing\nmx: " + value + "\nmax_age: 1\n";
}
std::string with_max_age(const std::string& value) {
  return "version: STSv1\nmode: testing\nmx: a.example\nmax_age: " + value + "\n";
}
std::string with_line(const std::string& line) { return plain + line + "\n"; }

}  // namespace

TEST_CASE("RFC 8461 §3.2: the plain policy") {
  const auto policy = good(plain);
  CHECK(policy.mode == StsMode::enforce);
  CHECK(policy.mx == std::vector<std::string>{"mail.example.com", "*.example.net"});
  CHECK(policy.max_age == std::chrono::seconds(604800));
  CHECK(policy.lines == std::vector<std::string>{"version: STSv1", "mode: enforce",
                                                 "mx: mail.example.com", "mx: *.example.net",
                                                 "max_age: 604800"});
  CHECK(policy.leniencies.empty());
}

TEST_CASE("STS-3.2-d, erratum 6253: LF and CRLF, mixed, the last one optional") {
  auto body = plain;
  body.pop_back();
  CHECK(good(body) == good(plain));
  std::string crlf;
  for (const char c : plain) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(good(crlf) == good(plain));
  CHECK(good("version: STSv1\r\nmode: none\nmax_age: 5\r\n").mode == StsMode::none);
  bad("version: STSv1\rmode: none\rmax_age: 5\r", "1:10", "version is not STSv1");
  bad("version: STSv1\nmode: none\nmax_age: 5\r", "3:10", "max_age");
}

TEST_CASE("STS-3.2-e: the order of the fields is free") {
  CHECK(good("max_age: 5\nmx: a.example\nmode: testing\nversion: STSv1\n").mode ==
        StsMode::testing);
}

TEST_CASE("STS-3.2-f: white space after the colon and at the end of a line alone") {
  CHECK(good("version:STSv1\nmode:\t enforce \t\nmx:a.example  \nmax_age:  5\n").mx ==
        std::vector<std::string>{"a.example"});
  bad(" version: STSv1\nmode: none\nmax_age: 5\n", "1:1", "white space before a field's name");
  bad("version : STSv1\nmode: none\nmax_age: 5\n", "1:8", "white space before the colon");
}

TEST_CASE("STS-3.2-g: names and the values of version and mode are case-sensitive") {
  bad("Version: STSv1\nmode: none\nmax_age: 5\n", "", "no version");
  bad("version: stsv1\nmode: none\nmax_age: 5\n", "1:10", "not STSv1");
  bad("version: STSv2\nmode: none\nmax_age: 5\n", "1:10", "not STSv1");
  bad(with_mode("Mode: enforce"), "", "no mode");
  bad(with_mode("mode: Enforce"), "2:7", "mode is not");
  bad(with_mode("mode: report"), "2:7", "mode is not");
  bad(with_mode("mode:"), "2:6", "mode is not");
  bad("version: STSv1\nmode: none\nMax_Age: 5\n", "", "no max_age");
}

TEST_CASE("STS-3.2-h: but for mx the first occurrence counts, the rest is not looked at") {
  CHECK(good(with_line("mode: none")).mode == StsMode::enforce);
  CHECK(good(with_line("mode: foo")).mode == StsMode::enforce);
  CHECK(good(with_line("version: STSv9")).mode == StsMode::enforce);
  CHECK(good(with_line("max_age: 7")).max_age == std::chrono::seconds(604800));
  CHECK(good(with_line("max_age:")).max_age == std::chrono::seconds(604800));
  bad("version: STSv1\nmode: foo\nmode: enforce\nmx: a.example\nmax_age: 1\n", "2:7", "mode");
}

TEST_CASE("STS-3.2-i, -j, -k: an mx is one name or *.name, in A-labels") {
  CHECK(good(with_mx("MAIL.Example.COM")).mx.front() == "mail.example.com");
  CHECK(good(with_mx("xn--mnchen-3ya.example")).mx.front() == "xn--mnchen-3ya.example");
  CHECK(good(with_mx("localhost")).mx.front() == "localhost");
  CHECK(good(with_mx("*.com")).mx.front() == "*.com");
  CHECK(good(with_mx(std::string(63, 'a') + ".example")).mx.size() == 1);
  bad(with_mx(""), "3:5", "mx is empty");
  bad(with_mx("*"), "3:5", "not a host name");
  bad(with_mx("*."), "3:5", "not a host name");
  bad(with_mx("*.*.example"), "3:5", "not a host name");
  bad(with_mx("mail*.example"), "3:5", "not a host name");
  bad(with_mx(".example"), "3:5", "not a host name");
  bad(with_mx("a..example"), "3:5", "not a host name");
  bad(with_mx("a.example."), "3:5", "not a host name");
  bad(with_mx("bad_host.example"), "3:5", "not a host name");
  bad(with_mx("-a.example"), "3:5", "hyphen");
  bad(with_mx("a-.example"), "3:5", "hyphen");
  bad(with_mx("a.example, b.example"), "3:5", "not a host name");
  bad(with_mx("a.example b.example"), "3:5", "not a host name");
  bad(with_mx("[192.0.2.1]"), "3:5", "not a host name");
  bad(with_mx("m\xc3\xbcnchen.example"), "3:5", "A-labels");
  bad(with_mx(std::string(64, 'a') + ".example"), "3:5", "63");
  std::string longest;
  for (int i = 0; i < 64; ++i) longest += "abc.";
  bad(with_mx(longest + "example"), "3:5", "253");
}

TEST_CASE("STS-3.2-l2: one bad mx line makes the policy invalid") {
  bad(with_line("mx: bad_host"), "6:5", "not a host name");
  bad(with_line("nmx: a.example\nmx:"), "7:4", "mx is empty");
}

TEST_CASE("STS-3.2-l: unknown fields are ignored, missing ones are an error") {
  CHECK(good(with_line("foo: bar baz")).lines.back() == "foo: bar baz");
  CHECK(good(with_line("x-1_2.3:m\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x93\xa7")).mx.size() == 2);
  bad("mode: none\nmax_age: 5\n", "", "no version");
  bad("version: STSv1\nmax_age: 5\n", "", "no mode");
  bad("version: STSv1\nmode: none\n", "", "no max_age");
  const auto parsed = policy::parse_sts_policy("foo: bar\n");
  REQUIRE(!parsed);
  CHECK(parsed.error().size() == 3);
}

TEST_CASE("RFC 8461 §3.2: a line that is no field makes the policy invalid") {
  bad(with_line("foo"), "6:4", "no colon");
  bad(with_line(": bar"), "6:1", "no field's name");
  bad(with_line("foo:"), "6:5", "empty value");
  bad(with_line("foo: \t"), "6:7", "empty value");
  bad(with_line("-foo: bar"), "6:1", "'-'");
  bad(with_line("f\xc3\xb6: bar"), "6:2", "in a field's name");
  bad(with_line(std::string(33, 'n') + ": bar"), "6:33", "32 characters");
  bad(with_line("foo: a\tb"), "6:7", "control character");
  bad(with_line("foo: a\x7f"), "6:7", "control character");
  bad(with_line("foo: \xc3("), "6:6", "no UTF-8");
  bad(with_line("foo: \xc0\xaf"), "6:6", "no UTF-8");
  bad(with_line("foo: \xed\xa0\x80"), "6:6", "no UTF-8");
  bad(with_line("foo: \xe2\x82"), "6:6", "no UTF-8");
  bad("<!DOCTYPE html>\n<html></html>\n", "1:1", "'<'");
}

TEST_CASE("STS-3.2-m: none needs no mx, enforce and testing do") {
  CHECK(good("version: STSv1\nmode: none\nmax_age: 86400\n").mx.empty());
  bad("version: STSv1\nmode: enforce\nmax_age: 86400\n", "", "no mx");
  bad("version: STSv1\nmode: testing\nmax_age: 86400\n", "", "no mx");
}

TEST_CASE("STS-3.2-n, erratum 7282: max_age is 1 to 10 digits, clamped to a year") {
  CHECK(good(with_max_age("0")).max_age.count() == 0);
  CHECK(good(with_max_age("0000000060")).max_age.count() == 60);
  CHECK(good(with_max_age("31557600")).leniencies.empty());
  CHECK(good(with_max_age("31557601")).max_age.count() == 31557600);
  CHECK(good(with_max_age("9999999999")).max_age.count() == 31557600);
  CHECK(good(with_max_age("9999999999")).leniencies.size() == 1);
  bad(with_max_age(""), "4:10", "max_age");
  bad(with_max_age("-1"), "4:10", "max_age");
  bad(with_max_age("+1"), "4:10", "max_age");
  bad(with_max_age("1.5"), "4:10", "max_age");
  bad(with_max_age("1e6"), "4:10", "max_age");
  bad(with_max_age("1 000"), "4:10", "max_age");
  bad(with_max_age("604800s"), "4:10", "max_age");
  bad(with_max_age("10000000000"), "4:10", "max_age");
}

TEST_CASE("STS-3.2-q: blank lines at the end are tolerated and named, all else is not") {
  const auto policy = good(plain + "\n\r\n  \n");
  CHECK(policy.lines == good(plain).lines);
  CHECK(policy.leniencies == std::vector<std::string>{"blank lines at the end"});
  bad("\n" + plain, "1:1", "blank line");
  bad("version: STSv1\n\nmode: none\nmax_age: 5\n", "2:1", "blank line");
  bad("\xef\xbb\xbf" + plain, "1:1", "byte order mark");
  bad(plain + std::string(1, '\0'), "6:1", "in a field's name");
  bad("", "", "empty");
  bad("\n\n", "", "no version");
}

TEST_CASE("RFC 8461 §3.2: all errors are told, each with line and column") {
  const auto parsed = policy::parse_sts_policy("version: 1\nmode: x\nmx: *\nmax_age: y\n");
  REQUIRE(!parsed);
  REQUIRE(parsed.error().size() == 4);
  CHECK(parsed.error()[0].str() == "line 1, column 10: version is not STSv1");
  CHECK(parsed.error()[3].line == 4);
}

TEST_CASE("STS-10.5-a: the number of errors is bounded") {
  std::string body;
  for (int i = 0; i < 10000; ++i) body += "mx: *\n";
  const auto parsed = policy::parse_sts_policy(body);
  REQUIRE(!parsed);
  CHECK(parsed.error().size() == 50);
}
