#include "smtp/data_scanner.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

using smtp::DataScanner;

namespace {

// What a scan says in all, whatever the chunks were.
struct Outcome {
  std::string content;
  std::string rest;
  bool ended = false;
  bool bare = false;
  bool eight_bit = false;
  bool header_ended = false;
  bool header_non_ascii = false;
  std::uint64_t octets = 0;
  unsigned received = 0;
  std::string queue_id;
  bool operator==(const Outcome&) const = default;
};

Outcome scan(std::string_view input, const std::vector<std::size_t>& cuts) {
  DataScanner scanner;
  Outcome out;
  std::size_t from = 0;
  const auto one = [&](std::size_t to) {
    // Each chunk in a buffer of its own, behind an octet that is not of the message.
    const std::string chunk = "\r\nx"[from % 3] + std::string(input.substr(from, to - from));
    const auto result = scanner.scan(std::string_view(chunk).substr(1));
    out.content.append(result.pending).append(result.content);
    out.rest += result.rest;
    out.ended = result.ended || out.ended;
    from = to;
  };
  for (const std::size_t cut : cuts) one(cut);
  one(input.size());
  CHECK(out.ended == scanner.ended());
  out.bare = scanner.bare_cr_or_lf();
  out.eight_bit = scanner.eight_bit();
  out.header_ended = scanner.header_ended();
  out.header_non_ascii = scanner.header_has_non_ascii();
  out.octets = scanner.octets();
  out.received = scanner.received_fields();
  out.queue_id = scanner.queue_id();
  return out;
}

Outcome scan(std::string_view input) { return scan(input, {}); }

std::string id_of(std::string_view received) {
  return scan("Received: " + std::string(received) + "\r\n\r\n.\r\n").queue_id;
}

// Messages made of what matters to the scanner.
std::string random_message(std::mt19937_64& random) {
  static const std::vector<std::string> pieces{
      ".",    "\r",  "\n",   "\r\n", "\r\n", "\r\n.", "\r\n.\r\n", "..", "a", "Received: from x",
      " id Q1;", "received:", "\xc3\xa9", "To: y", "\r\n\r\n", "\t", ":", "longer text here", "("};
  std::string out;
  for (auto n = random() % 30; n > 0; --n) out += pieces[random() % pieces.size()];
  return out;
}

}  // namespace

TEST_CASE("any chunking of any input gives the same result as one chunk") {
  std::mt19937_64 random(42);
  for (int round = 0; round < 4000; ++round) {
    const std::string input = random_message(random);
    const Outcome whole = scan(input);
    if (whole.ended) {
      REQUIRE(whole.content + ".\r\n" + whole.rest == input);
    } else {
      REQUIRE(input.starts_with(whole.content));
      const std::string held = input.substr(whole.content.size());
      REQUIRE((held.empty() || held == "." || held == ".\r"));
    }
    std::vector<std::size_t> each;
    for (std::size_t i = 1; i < input.size(); ++i) each.push_back(i);
    REQUIRE(scan(input, each) == whole);
    std::vector<std::size_t> some;
    for (std::size_t i = 0; i <= input.size(); ++i) {
      if (random() % 4 == 0) some.push_back(i);
      if (random() % 16 == 0) some.push_back(i);  // an empty chunk
    }
    REQUIRE(scan(input, some) == whole);
  }
}

// Lines of a body long enough that many of them are looked at together; `odd` in a thousand pieces
// are something that matters to the scanner.
std::string long_message(std::mt19937_64& random, unsigned odd) {
  static const std::vector<std::string> marks{"\r",     "\n",  ".",    "\r\n.",
                                              "\r\n..", "\n.", "\xff", "\r\r\n"};
  std::string out = random() % 4 == 0 ? "" : "Subject: x\r\n\r\n";
  for (auto n = random() % 200; n > 0; --n) {
    out.append(random() % 90, static_cast<char>('a' + random() % 20));
    out += random() % 1000 < odd ? marks[random() % marks.size()] : "\r\n";
  }
  if (random() % 2 == 0) out += "\r\n.\r\nQUIT\r\n";
  return out;
}

TEST_CASE("a long body gives the same result as one read octet by octet") {
  std::mt19937_64 random(44);
  for (int round = 0; round < 600; ++round) {
    const std::string input = long_message(random, round % 3 == 0 ? 0 : round % 3 == 1 ? 10 : 300);
    std::vector<std::size_t> each;
    for (std::size_t i = 1; i < input.size(); ++i) each.push_back(i);
    const Outcome slowly = scan(input, each);
    REQUIRE(scan(input) == slowly);
    std::vector<std::size_t> some;
    for (std::size_t i = random() % 700; i < input.size(); i += random() % 700) some.push_back(i);
    REQUIRE(scan(input, some) == slowly);
  }
}

TEST_CASE("what matters is found at every place of a long body") {
  const std::string line(70, 'x');
  std::string body = "Subject: x\r\n\r\n";
  while (body.size() < 1000) body += line + "\r\n";
  REQUIRE_FALSE(scan(body + ".\r\n").bare);
  for (std::size_t at = 14; at < body.size(); ++at) {
    if (body[at - 1] == '\r') continue;  // behind it, a CR or LF would make another line end
    const auto with = [&](std::string_view octets) {
      return scan(body.substr(0, at) + std::string(octets) + body.substr(at) + ".\r\n");
    };
    REQUIRE(with("\rx").bare);
    REQUIRE(with("\nx").bare);
    REQUIRE(with("\xe9").eight_bit);
    REQUIRE(with("\n.\nx").content.size() == body.size() + 4);  // CVE-2023-51764: no end
    REQUIRE(with("\n.\r\nx").content.size() == body.size() + 5);
    const Outcome stuffed = with("\r\n..\r\n");
    REQUIRE_FALSE(stuffed.bare);
    REQUIRE(stuffed.octets == stuffed.content.size() - 1);
    const Outcome ended = with("\r\n.\r\n");
    REQUIRE(ended.ended);
    REQUIRE(ended.content.size() == at + 2);
  }
}

TEST_CASE("a possible end is held back and sent on when it was none") {
  DataScanner scanner;
  auto result = scanner.scan("a\r\n.");
  CHECK(result.content == "a\r\n");
  result = scanner.scan("\r");
  CHECK(result.content.empty());
  CHECK(result.pending.empty());
  result = scanner.scan("x\r\n");
  CHECK(result.pending == ".\r");
  CHECK(result.content == "x\r\n");
  CHECK(scanner.bare_cr_or_lf());
  CHECK(scanner.octets() == 7);  // "a\r\n" and "\rx\r\n": the leading dot is not of the message
  result = scanner.scan(".");
  CHECK(result.content.empty());
  result = scanner.scan("\r\nQUIT\r\n");
  CHECK(result.ended);
  CHECK(result.pending.empty());
  CHECK(result.content.empty());
  CHECK(result.rest == "QUIT\r\n");
  CHECK(scanner.scan("more").rest == "more");
}

TEST_CASE("what stands in memory before a chunk is nothing") {
  for (const char before : {'x', '\r', '\n', '\0'}) {
    const auto behind = [&](std::string_view first, const std::string& second) {
      DataScanner scanner;
      scanner.scan(first);
      const std::string memory = before + second;
      scanner.scan(std::string_view(memory).substr(1));
      return scanner;
    };
    const std::string_view half = "A: b\r\n\r\nx";
    CHECK(behind("A: b\r\n\r\nx\r\n", ".\r\nQUIT\r\n" + std::string(200, 'y')).ended());
    CHECK_FALSE(behind(half, std::string(300, 'y')).bare_cr_or_lf());
    CHECK(behind(half, "\n" + std::string(300, 'y')).bare_cr_or_lf());
  }
}

TEST_CASE("the header ends at the empty line, at a line that is no field, or with the message") {
  CHECK_FALSE(scan("A: b\r\n").header_ended);
  CHECK(scan("A: b\r\n\r\n").header_ended);
  CHECK(scan("\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan("A: b\r\nno field\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan(" A: b\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan(": b\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan("A b: c\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan("A: b\r\nName\r\nReceived: x\r\n.\r\n").received == 0);
  CHECK(scan("A : b\r\nReceived : x\r\n.\r\n").received == 1);
  CHECK(scan("A: b\r\n.\r\n").header_ended);
}

TEST_CASE("Received fields are counted once each, folded or not, and in the header alone") {
  CHECK(scan("Received: a\r\n Received: b\r\nRECEIVED:c\r\nX-Received: d\r\nReceived-SPF: e\r\n"
             "Subject: Received: f\r\n\r\nReceived: g\r\n.\r\n")
            .received == 2);
  std::string many;
  for (int i = 0; i < 150; ++i) many += "Received: x\r\n";
  CHECK(scan(many + "\r\n.\r\n").received == 150);
}

TEST_CASE("a dot-stuffed line of the header is read without its dot") {
  CHECK(scan(".Received: a\r\n\r\n.\r\n").received == 1);
}

TEST_CASE("a dot and a bare CR are text of their line") {
  CHECK(scan(".\rReceived: a\r\n\r\n.\r\n").received == 0);
}

TEST_CASE("of a Received field two thousand octets are kept, folded or not") {
  const std::string line = "\r\n\t" + std::string(78, 'y');
  std::string folded = "by x";
  for (int i = 0; i < 24; ++i) folded += line;
  CHECK(id_of(folded + "\r\n\tid Q;") == "Q");
  for (int i = 0; i < 3; ++i) folded += line;
  CHECK(id_of(folded + "\r\n\tid Q;").empty());
  CHECK(id_of(std::string(1900, 'x') + " id Q;") == "Q");
  CHECK(id_of(std::string(3000, 'x') + " id Q;").empty());
  std::string folds;
  for (int i = 0; i < 3000; ++i) folds += "\r\n\t";
  CHECK(id_of("x" + folds + "id Q;").empty());
}

TEST_CASE("the colon is no part of what a field says, however it is cut") {
  const std::string input = "Received:id Q1;\r\n\r\n.\r\n";
  for (std::size_t cut = 0; cut < input.size(); ++cut) CHECK(scan(input, {cut}).queue_id == "Q1");
}

TEST_CASE("the queue id is that of the topmost Received field") {
  CHECK(id_of("from a (b [192.0.2.1]) by c (Postfix) with ESMTP id 4XyZ for <d@e>; now") == "4XyZ");
  CHECK(id_of("from a by c\r\n\tid\r\n 4XyZ;\r\n\tnow") == "4XyZ");
  CHECK(id_of("by c (Postfix, from userid 0) id 4XyZ; now") == "4XyZ");
  CHECK(id_of("from a ( id FORGED (nested) \\) id TOO) by c ID 4XyZ; now") == "4XyZ");
  CHECK(id_of("from a by c with esmtp (Exim 4.96) id 1abCDe-000001-2X; now") ==
        "1abCDe-000001-2X");
  CHECK(id_of("from a by c with ESMTP id 4XyZ(comment); now") == "4XyZ");
  CHECK(id_of("from a by c; id 4XyZ") == "");
  CHECK(id_of("from a by c id; now") == "");
  CHECK(id_of("from a by c id") == "");
  CHECK(id_of("from a (unended id 4XyZ; now") == "");
  CHECK(id_of("") == "");
  CHECK(id_of("id \x01\xc3;") == "??");
  CHECK(id_of("by c id " + std::string(5000, 'x')).size() == 128);
  CHECK(scan("Received: by a; now\r\nReceived: by b id 4XyZ; now\r\n\r\n.\r\n").queue_id == "");
  CHECK(scan("A: id X;\r\nReceived: by b id 4XyZ; now\r\n\r\n.\r\n").queue_id == "4XyZ");
}
