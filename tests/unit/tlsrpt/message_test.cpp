#include "tlsrpt/message.h"

#include <catch2/catch.hpp>

#include "tests/unit/tlsrpt/message_support.h"
#include "tlsrpt/message_text.h"

namespace mt = message_test;

namespace {

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("RFC 5322 §3.6: the header of report mail, octet for octet") {
  const std::string text = mt::message(mt::report());
  const std::string boundary = text.substr(text.find("=_tlsrpt_"), 9 + 32);
  const std::string want =
      "From: \"Example Corp\" <postmaster@example.com>\r\n"
      "To: <tls@recv.example>\r\n"
      "Date: Thu, 26 Nov 2026 03:25:07 +0000\r\n"
      "Message-ID: <20261125.recv.example.0123456789abcdef.fde33a0da2c7@example.com>\r\n"
      "Subject: Report Domain: recv.example Submitter: example.com Report-ID:\r\n"
      " <20261125.recv.example.0123456789abcdef@example.com>\r\n"
      "MIME-Version: 1.0\r\n"
      "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
      " boundary=\"" + boundary + "\"\r\n"
      "TLS-Report-Domain: recv.example\r\n"
      "TLS-Report-Submitter: example.com\r\n"
      "Auto-Submitted: auto-generated\r\n"
      "TLS-Required: No\r\n"
      "\r\n"
      "--" + boundary + "\r\n";
  CHECK(text.substr(0, want.size()) == want);
}

TEST_CASE("a repeat is the same octet for octet, another recipient gets another Message-ID") {
  const std::string text = mt::message(mt::report());
  CHECK(mt::message(mt::report()) == text);
  const std::string other = mt::message(mt::report(), "other@recv.example");
  CHECK(mt::header(other)["message-id"] != mt::header(text)["message-id"]);
  CHECK(mt::header(other)["subject"] == mt::header(text)["subject"]);
  CHECK(mt::parts(other).report == mt::parts(text).report);
  auto next = mt::report();
  next.id = "20261126.recv.example.0123456789abcdef@example.com";
  CHECK(mt::header(mt::message(next))["content-type"] != mt::header(text)["content-type"]);
}

TEST_CASE("hostile names of the organization stay in their field") {
  for (const std::string& name :
       {std::string("Evil\r\nBcc: x@y.example\r\n\r\nbody"), std::string("\" <x@y.example>, \"a"),
        std::string("a\\"), std::string("\xc3\x84\r\nTo: x"), repeated("long ", 200),
        std::string("\0\x01\x7f\xff", 4), std::string("=?utf-8?Q?=22?="),
        std::string("--=_tlsrpt_")}) {
    INFO(base::printable(name));
    auto report = mt::report();
    report.submitter.organization_name = name;
    const std::string text = mt::message(report);
    CHECK(base::is_ascii(text));
    CHECK_FALSE(mt::lines(text).bare);
    CHECK(mt::lines(text).longest <= 78);
    CHECK(tlsrpt::message_parts(text).fields.size() == 11);
    CHECK(mt::header(text)["from"].ends_with(" <postmaster@example.com>"));
    CHECK(mt::header(text)["to"] == "<tls@recv.example>");
    CHECK(mt::attachment(text) == tlsrpt::gzip(tlsrpt::to_json(report)));
  }
}

TEST_CASE("hostile addresses cannot add a field") {
  auto report = mt::report();
  report.submitter.contact_info = "a@example.com>\r\nBcc: <x@y.example";
  const std::string text = mt::message(report, "b@recv.example>\r\nCc: <x@y.example");
  CHECK(tlsrpt::message_parts(text).fields.size() == 11);
  CHECK_FALSE(mt::lines(text).bare);
}

TEST_CASE("an organization without a name is known by its address alone") {
  auto report = mt::report();
  report.submitter.organization_name.clear();
  CHECK(mt::header(mt::message(report))["from"] == "<postmaster@example.com>");
  CHECK(contains(mt::message(report), "Reported by:  example.com\r\n"));
}

TEST_CASE("RFC 5322 §2.1.1: the longest names that DNS and SMTP allow fit the lines") {
  auto report = mt::report();
  const std::string longest = repeated(std::string(63, 'c') + ".", 3) + std::string(61, 'd');
  REQUIRE(longest.size() == 253);
  report.domain = longest;
  report.submitter.domain = longest;
  report.submitter.contact_info = std::string(64, 'a') + "@" + longest;
  report.id = tlsrpt::report_id(report.day, longest, longest, "edge.example.com");
  report.policies[0].policy.domain = longest;
  const std::string text = mt::message(report, std::string(256, 'e') + "@" + longest);
  CHECK(mt::lines(text).longest <= 998);
  CHECK(mt::lines(tlsrpt::message_parts(text).body).longest <= 600);
  CHECK(mt::header(text)["subject"] == "Report Domain: " + longest + " Submitter: " + longest +
                                           " Report-ID: <" + report.id + ">");
  CHECK(mt::attachment(text) == tlsrpt::gzip(tlsrpt::to_json(report)));
}

TEST_CASE("RFC 6532 §3.2: an address in UTF-8 stands as it is, and nothing else does") {
  const std::string address = "\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b.example";
  std::string text = mt::message(mt::report(), address);
  CHECK(mt::header(text)["to"] == "<" + address + ">");
  text.erase(text.find(address), address.size());
  CHECK(base::is_ascii(text));
}

TEST_CASE("the part for people says who, what, when, how many, and whom to ask") {
  const std::string part = mt::parts(mt::message(mt::report())).text;
  CHECK(mt::header(part)["content-transfer-encoding"] == "7bit");
  for (const char* words :
       {"RFC 8460", "Reported by:  Example Corp\r\n", "Mail to:      recv.example\r\n",
        "Day:          2026-11-25, 00:00 to 24:00 UTC\r\n",
        "  MTA-STS: the policy of recv.example\r\n", " 812  sessions went well\r\n",
        " 6  sessions failed\r\n", " 5  starttls-not-supported:\r\n",
        " 1  certificate-expired:\r\n", "the certificate has expired", "gunzip",
        "_smtp._tls.recv.example\r\n", "Questions: postmaster@example.com"}) {
    INFO(words);
    CHECK(contains(part, words));
  }
}

TEST_CASE("RFC 2045 §6.7: a part for people that is not ASCII is quoted-printable") {
  auto report = mt::report();
  report.submitter.organization_name = "\xc3\x84rzte = GmbH";
  const std::string part = mt::parts(mt::message(report)).text;
  CHECK(mt::header(part)["content-type"] == "text/plain; charset=utf-8");
  CHECK(mt::header(part)["content-transfer-encoding"] == "quoted-printable");
  CHECK(contains(part, "Reported by:  =C3=84rzte =3D GmbH\r\n"));
  CHECK(mt::lines(part).longest <= 76);
}

TEST_CASE("the part for people has words for each policy and result type, and an end") {
  auto report = mt::report();
  report.policies.resize(1);
  auto& rows = report.policies[0];
  rows.details.clear();
  for (int i = 0; i <= static_cast<int>(tlsrpt::ResultType::dane_required); ++i) {
    tlsrpt::FailureRow row;
    row.type = static_cast<tlsrpt::ResultType>(i);
    row.count = 100 + static_cast<std::uint64_t>(i);
    rows.details.push_back(row);
  }
  std::string text = tlsrpt::message_text(report);
  for (const auto& row : rows.details) {
    INFO(to_string(row.type));
    CHECK(contains(text, std::to_string(row.count) + "  " + std::string(to_string(row.type)) +
                             ":\n              "));
  }
  rows.policy.type = tlsrpt::PolicyType::tlsa;
  rows.policy.domain = "mx.recv.example";
  CHECK(contains(tlsrpt::message_text(report), "DANE: the TLSA records of mx.recv.example\n"));
  rows.policy.type = tlsrpt::PolicyType::no_policy_found;
  CHECK(contains(tlsrpt::message_text(report), "Neither MTA-STS nor DANE: mx.recv.example\n"));
  report.policies.assign(500, rows);
  CHECK(contains(tlsrpt::message_text(report), "\n  480 more in the attachment\n"));
  CHECK(tlsrpt::message_text(report).size() < 40000);
}
