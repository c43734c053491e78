#include "tlsrpt/mail_encode.h"

#include <catch2/catch.hpp>

#include "base/encode.h"

using Words = std::vector<std::string>;

namespace {

// What a mail program shows for the words of a display name.
std::string shown(const Words& words) {
  std::string out;
  for (const std::string& word : words) {
    static constexpr std::string_view opening = "=?utf-8?B?";
    REQUIRE(word.starts_with(opening));
    REQUIRE(word.ends_with("?="));
    REQUIRE(word.size() <= 75);  // RFC 2047 §2
    const auto octets =
        base::from_base64(std::string_view(word).substr(opening.size(), word.size() - 12));
    REQUIRE(octets.has_value());
    const std::string text(octets->begin(), octets->end());
    CHECK(base::is_utf8(text));  // RFC 2047 §5: no character is cut in two
    out += text;
  }
  return out;
}

std::string repeated(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("RFC 5322 §3.2.4: short ASCII names are quoted strings") {
  const auto good = [](std::string_view name, const Words& want) {
    CHECK(tlsrpt::display_name(name) == want);
  };
  good("Example Corp", {"\"Example Corp\""});
  good("", {});
  good("   ", {});
  good("A \"B\" \\ C", {"\"A \\\"B\\\" \\\\ C\""});
  good("a, b <c@d>; (e)", {"\"a, b <c@d>; (e)\""});
  good("a\r\nBcc: x@y", {"\"a  Bcc: x@y\""});
  good(std::string_view("a\0b\x7f", 4), {"\"a b \""});
  good(repeated("x", 60), {"\"" + repeated("x", 60) + "\""});
}

TEST_CASE("RFC 2047 §5: other names are encoded-words, cut between characters") {
  const auto good = [](const std::string& name) {
    INFO(name);
    CHECK(shown(tlsrpt::display_name(name)) == name);
  };
  good("\xc3\x84rzte GmbH");
  good(repeated("\xc3\xa4", 100));
  good(repeated("\xe9\x9b\xbb", 100));
  good("x" + repeated("\xf0\x9f\x92\x8c", 100));
  good(repeated("x", 61));
  good("=?utf-8?Q?looks_encoded?=");
  CHECK(shown(tlsrpt::display_name("\xc3\xa4\r\n\xc2\x85.")) == "\xc3\xa4   .");
  CHECK(shown(tlsrpt::display_name("bad \xff\xc3")) == "bad \xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("RFC 5322 §2.2.3: fields are folded between words") {
  const auto good = [](const Words& words, std::string_view want) {
    CHECK(tlsrpt::folded("Name", words) == want);
  };
  good({"a", "b"}, "Name: a b\r\n");
  good({}, "Name:\r\n");
  good({repeated("x", 72)}, "Name: " + repeated("x", 72) + "\r\n");
  good({repeated("x", 73)}, "Name:\r\n " + repeated("x", 73) + "\r\n");
  good({"a", repeated("x", 70), "b"}, "Name: a " + repeated("x", 70) + "\r\n b\r\n");
  good({repeated("x", 300), "b"}, "Name:\r\n " + repeated("x", 300) + "\r\n b\r\n");
  good({"a", "", "b"}, "Name: a b\r\n");              // no space for an empty word
  good({"a\r\nX: y", "b"}, "Name: a??X: y b\r\n");  // a word cannot end its field
}

TEST_CASE("text without control characters") {
  const auto good = [](std::string_view text, std::string_view want) {
    CHECK(tlsrpt::clean_text(text) == want);
  };
  good("", "");
  good("a\tb\nc", "a b c");
  good("\xc3\xa4\xe9\x9b\xbb\xf0\x9f\x92\x8c", "\xc3\xa4\xe9\x9b\xbb\xf0\x9f\x92\x8c");
  good("\xc2\x9b[1m", " [1m");                  // CSI as one character
  good("\xc2\xa0", "\xc2\xa0");                 // what stands behind C1
  good("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"); // cut short
  good("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  // a surrogate
}

TEST_CASE("RFC 2045 §6.7: quoted-printable") {
  const auto good = [](const std::string& text, const std::string& want) {
    CHECK(tlsrpt::quoted_printable(text) == want);
  };
  good("", "");
  good("a\nb\n", "a\r\nb\r\n");
  good("a", "a\r\n");
  good("\n\n", "\r\n\r\n");
  good("1=2\n", "1=3D2\r\n");
  good("\xc3\xa4\n", "=C3=A4\r\n");
  good("a \nb\t\n", "a=20\r\nb=09\r\n");               // no space at the end of a line
  good("a b\n", "a b\r\n");                            // in between they stay
  good("\r\n", "=0D\r\n");                             // only "\n" is a line's end
  good(repeated("x", 76) + "\n", repeated("x", 76) + "\r\n");
  good(repeated("x", 77) + "\n", repeated("x", 75) + "=\r\nxx\r\n");
  good(repeated("x", 74) + "==\n", repeated("x", 74) + "=\r\n=3D=3D\r\n");
  good(repeated("x", 73) + "=\n", repeated("x", 73) + "=3D\r\n");
  good(repeated("x", 75) + " \n", repeated("x", 75) + "=\r\n=20\r\n");
}

TEST_CASE("RFC 2045 §6.8: base64 in lines of 76") {
  CHECK(tlsrpt::base64_lines("").empty());
  CHECK(tlsrpt::base64_lines("abc") == "YWJj\r\n");
  CHECK(tlsrpt::base64_lines(repeated("abc", 19)) == repeated("YWJj", 19) + "\r\n");
  CHECK(tlsrpt::base64_lines(repeated("abc", 20)) == repeated("YWJj", 19) + "\r\nYWJj\r\n");
}
