// RFC 8463 §A: the example message and its Ed25519 signature, by the canonical forms of ours.
#include <catch2/catch.hpp>

#include "tests/unit/tlsrpt/dkim_support.h"

namespace {

const std::string signature =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n";

const std::string message =
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n"
    "\r\n"
    "We lost the game.  Are you hungry yet?\r\n"
    "\r\n"
    "Joe.\r\n";

// What was signed: each field of h=, in its order, those that are there no more left out.
std::string signed_text() {
  const auto parts = tlsrpt::message_parts(message);
  std::string out;
  for (const std::size_t i : {0U, 1U, 2U, 3U, 4U}) {
    out += tlsrpt::relaxed_field(parts.fields[i]) + "\r\n";
  }
  return out + tlsrpt::relaxed_field(signature.substr(0, signature.find("b=/gCr") + 2));
}

}  // namespace

TEST_CASE("RFC 8463 §A.3: the body hash of the example") {
  const auto body = tlsrpt::relaxed_body(tlsrpt::message_parts(message).body);
  CHECK(base::to_base64(dkim_test::sha256(body)) == dkim_test::tag(signature, "bh"));
}

TEST_CASE("RFC 8463 §A.3: the Ed25519 signature of the example holds over our relaxed forms") {
  const std::string text = signed_text();
  const std::string value = dkim_test::tag(signature, "b");
  CHECK(dkim_test::ed25519_holds(dkim_test::ed25519_public, value, text));
  CHECK_FALSE(dkim_test::ed25519_holds(dkim_test::ed25519_public, value, text + " "));
}
