#include "tlsrpt/mime.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace {

using Leaves = std::vector<std::pair<std::string, std::string>>;  // type, octets

struct Walked {
  Leaves leaves;
  tlsrpt::MimeMessage message;
};

Walked walk(const std::string& text, const tlsrpt::MimeLimits& limits = {}) {
  Walked out;
  out.message = tlsrpt::walk_message(text, limits, [&](const tlsrpt::MimeLeaf& leaf) {
    out.leaves.emplace_back(leaf.type, std::string(leaf.octets));
  });
  return out;
}

void good(const std::string& text, const Leaves& want) {
  INFO(text);
  const Walked walked = walk(text);
  CHECK(walked.message.problem.empty());
  CHECK(walked.leaves == want);
}

std::string nested(std::size_t depth) {
  std::string out = "Content-Type: text/plain\n\nin";
  for (std::size_t i = 0; i < depth; ++i) out = "Content-Type: message/rfc822\n\n" + out;
  return out;
}

}  // namespace

TEST_CASE("RFC 2046 §5.1.1: the parts of a multipart, whatever its line ends") {
  const std::string lf =
      "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n"
      "Content-Type: text/plain\n\none\n--b\n\ntwo\n--b--\nepilogue\n";
  good(lf, {{"text/plain", "one\n"}, {"", "two\n"}});
  std::string crlf;
  for (const char c : lf) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  good(crlf, {{"text/plain", "one\r\n"}, {"", "two\r\n"}});
}

TEST_CASE("RFC 2045 §5.1: the boundary is found among the parameters") {
  const std::string body = "\n\n--a b\n\nx\n--a b--\n";
  good("Content-Type: multipart/report; report-type=tlsrpt; boundary=\"a b\"" + body,
       {{"", "x\n"}});
  good("content-type:Multipart/Report;boundary=\"a b\";report-type=\"tlsrpt\"" + body,
       {{"", "x\n"}});
  good("Content-Type: multipart/report; name=\"; boundary=c\"; BOUNDARY = \"a\\ b\"" + body,
       {{"", "x\n"}});
  good("Content-Type: multipart/report; flowed; boundary=\"a b\"" + body, {{"", "x\n"}});
}

TEST_CASE("a folded field is one, also where the indentation was lost") {
  const std::string body = "\n\n--q\n\nx\n--q--\n";
  good("Content-Type: multipart/report;\n\tboundary=q" + body, {{"", "x\n"}});
  good("Content-Type: multipart/report;\nboundary=\"q\"; report-type=tlsrpt" + body,
       {{"", "x\n"}});
}

TEST_CASE("RFC 2046 §5.1.1: a delimiter is a whole line; the last one may be missing") {
  good("Content-Type: multipart/mixed; boundary=b\n\n--bb\nx\n--b \t\n\n--b1\n b\n--b\n--b--\n",
       {{"", "--b1\n b\n"}, {"", ""}});
  good("Content-Type: multipart/mixed; boundary=b\n\n--b\n\ncut short", {{"", "cut short"}});
  good("Content-Type: multipart/mixed; boundary=b\n\nno part at all", {});
}

TEST_CASE("RFC 2045 §6: transfer encodings are undone") {
  good("Content-Transfer-Encoding: BASE64\n\n aGVs\nbG8h \n", {{"", "hello!"}});
  good("Content-Transfer-Encoding: base64\n\naGVsbG8=\naGk=", {{"", "hellohi"}});
  good("Content-Transfer-Encoding: quoted-printable\n\na=3Db=\nc=\r\nd=20\n", {{"", "a=bcd \n"}});
  good("Content-Transfer-Encoding: quoted-printable\n\n=zz = \nx=", {{"", "=zz x"}});
  good("Content-Transfer-Encoding: 8bit\n\n\xc3\xa9=3D", {{"", "\xc3\xa9=3D"}});
  good("Content-Transfer-Encoding: x-unheard-of\n\nas it is", {{"", "as it is"}});
}

TEST_CASE("RFC 2046 §5.2.1: a message in a message is walked through") {
  good(nested(3), {{"text/plain", "in"}});
  good("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
       "Content-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b--\n",
       {{"", "x\n"}});
}

TEST_CASE("RFC 8460 §5.3: TLS-Report-Domain is that of the outermost message") {
  CHECK(walk("TLS-Report-Domain: Example.COM\n\nx").message.report_domain == "example.com");
  CHECK(walk("Content-Type: message/rfc822\n\nTLS-Report-Domain: a.example\n\nx")
            .message.report_domain.empty());
  CHECK(walk("TLS-Report-Domain: a.example\nTLS-Report-Domain: b.example\n\nx")
            .message.report_domain == "a.example");
}

TEST_CASE("messages have bounds in depth and parts") {
  CHECK(walk(nested(8)).message.problem.empty());
  CHECK(walk(nested(9)).message.problem == "parts nested more than 8 deep");
  std::string parts = "Content-Type: multipart/mixed; boundary=b\n\n";
  for (int i = 0; i < 4; ++i) parts += "--b\n\nx\n";
  CHECK(walk(parts, {8, 4}).message.problem.empty());
  const Walked more = walk(parts, {8, 3});
  CHECK(more.message.problem == "more than 3 parts");
  CHECK(more.leaves.size() == 3);
  CHECK(walk("Content-Type: multipart/mixed\n\n--b\n\nx\n").message.problem ==
        "a multipart without a boundary");
}

TEST_CASE("RFC 5322 §2.2: what opens like a message") {
  for (const char* text : {"From: a", "Return-Path: <>\nx", "X-1 : y"}) {
    CHECK(tlsrpt::opens_like_message(text));
  }
  for (const char* text : {"", "From a", " Folded: x", ": x", "two words: x", "\n"}) {
    INFO(text);
    CHECK_FALSE(tlsrpt::opens_like_message(text));
  }
}
