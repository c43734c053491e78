// RFC 8460 §5.3: report mail; §5.1 and §5.2: the file in it.
#include <catch2/catch.hpp>
#include <regex>

#include "tests/unit/tlsrpt/message_support.h"

namespace mt = message_test;

TEST_CASE("RFC 8460 §5.3: multipart/report of the type tlsrpt with two parts") {
  const std::string text = mt::message(mt::report());
  const std::string type = mt::header(text).at("content-type");
  CHECK(type.starts_with("multipart/report; report-type=\"tlsrpt\"; boundary=\""));
  CHECK(mt::header(text).at("mime-version") == "1.0");

  const mt::Parts parts = mt::parts(text);
  CHECK(mt::header(parts.text).at("content-type") == "text/plain; charset=utf-8");
  const mt::Header second = mt::header(parts.report);
  CHECK(second.at("content-type") == "application/tlsrpt+gzip");
  CHECK(second.at("content-transfer-encoding") == "base64");
  CHECK(second.at("content-disposition") ==
        "attachment; filename=\"example.com!recv.example!1795564800!1795651199.json.gz\"");
}

TEST_CASE("RFC 8460 §5.2: the second part is the gzip of the report") {
  const std::string text = mt::message(mt::report());
  const auto json = tlsrpt::gunzip(mt::attachment(text));
  REQUIRE(json.has_value());
  CHECK(*json == tlsrpt::to_json(mt::report()));
}

TEST_CASE("RFC 8460 §5.3: the TLS-Report fields; the submitter is the domain of contact-info") {
  const mt::Header header = mt::header(mt::message(mt::report()));
  CHECK(header.at("tls-report-domain") == "recv.example");
  CHECK(header.at("tls-report-submitter") == "example.com");
  const std::string contact = mt::report().submitter.contact_info;
  CHECK(contact.ends_with("@" + header.at("tls-report-submitter")));
  CHECK(header.at("from").ends_with("<" + contact + ">"));
}

TEST_CASE("RFC 8460 §5.3: the subject has the grammar's words and the id of the JSON") {
  const std::regex grammar(
      "Report Domain: ([a-z0-9.-]+) Submitter: ([a-z0-9.-]+) Report-ID: <([^@<> ]+@[^@<> ]+)>");
  const std::string subject = mt::header(mt::message(mt::report())).at("subject");
  std::smatch found;
  REQUIRE(std::regex_match(subject, found, grammar));
  CHECK(found[1] == "recv.example");
  CHECK(found[2] == "example.com");
  CHECK(found[3] == mt::report().id);
}

TEST_CASE("RFC 8460 §5.3.1: report mail asks for delivery despite TLS failures and is marked") {
  const mt::Header header = mt::header(mt::message(mt::report()));
  CHECK(header.at("tls-required") == "No");               // RFC 8689 §3
  CHECK(header.at("auto-submitted") == "auto-generated");  // RFC 3834 §5
}
