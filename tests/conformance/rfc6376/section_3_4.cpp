// RFC 6376 §3.4: the relaxed forms of header and body.
#include <catch2/catch.hpp>

#include "tlsrpt/dkim_canon.h"

using tlsrpt::message_parts;
using tlsrpt::relaxed_body;
using tlsrpt::relaxed_field;

TEST_CASE("RFC 6376 §3.4.5: the example of relaxed canonicalization") {
  const auto parts = message_parts("A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n");
  REQUIRE(parts.fields.size() == 2);
  CHECK(relaxed_field(parts.fields[0]) == "a:X");
  CHECK(relaxed_field(parts.fields[1]) == "b:Y Z");
  CHECK(relaxed_body(parts.body) == " C\r\nD E\r\n");
}

TEST_CASE("RFC 6376 §3.4.2: the relaxed form of a field") {
  const auto good = [](std::string_view field, std::string_view want) {
    CHECK(relaxed_field(field) == want);
  };
  good("Subject: AbC", "subject:AbC");                      // the name in lower case, no more
  good("SUBJect:AbC", "subject:AbC");                       // no space behind the colon
  good("Subject \t:  \t AbC \t", "subject:AbC");            // spaces around it and at the end
  good("Subject: a\r\n b\r\n\t\tc", "subject:a b c");       // unfolded, one space for each run
  good("Subject:\r\n a", "subject:a");                      // folded at once
  good("Subject: a\r\n \r\n b", "subject:a b");             // a line of white space (obs-FWS)
  good("Subject: a:b : c", "subject:a:b : c");              // only the first colon counts
  good("Subject: a \r\n", "subject:a");                     // with its own line end
  good("Subject:", "subject:");                             // an empty value
  good("Subject: \t", "subject:");                          // and one of spaces
  good("Subject: \xc3\x84 \xc3\x96", "subject:\xc3\x84 \xc3\x96");  // octets stay as they are
  good("no colon", "no colon:");
  good("", ":");
}

TEST_CASE("RFC 6376 §3.4.4: the relaxed form of a body") {
  const auto good = [](std::string_view body, std::string_view want) {
    CHECK(relaxed_body(body) == want);
  };
  good("", "");                          // no body at all stays empty
  good("\r\n", "");                      // empty lines at the end go
  good("\r\n\r\n\r\n", "");              // all of them
  good(" \t\r\n", "");                   // a line of spaces is empty by then
  good("a", "a\r\n");                    // a last line without CRLF gets one
  good("a\r\n", "a\r\n");                // one with CRLF keeps it
  good("a\r\n\r\n \r\n", "a\r\n");       // empty ones behind it go
  good("\r\na\r\n", "\r\na\r\n");        // in front they stay
  good("a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n");  // and in between
  good(" a\t \tb \r\n", " a b\r\n");     // a run of spaces is one, none at the end of a line
  good("a\nb\rc\r\n", "a\nb\rc\r\n");    // bare CR and LF are octets like others
}

TEST_CASE("RFC 6376 §3.4.2: where a header ends") {
  CHECK(message_parts("").fields.empty());
  CHECK(message_parts("\r\nbody").body == "body");
  CHECK(message_parts("\r\nbody").fields.empty());
  CHECK(message_parts("A: b\r\n").fields.size() == 1);
  CHECK(message_parts("A: b").fields.size() == 1);
  CHECK(message_parts("A: b\r\n c\r\nD: e\r\n\r\nF: g\r\n").fields.size() == 2);
  CHECK(message_parts("A: b\r\n c\r\nD: e\r\n\r\nF: g\r\n").body == "F: g\r\n");
}
