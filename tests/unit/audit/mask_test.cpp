#include "audit/mask.h"

#include <catch2/catch.hpp>
#include <vector>

using audit::mask_local_parts;

namespace {
void masked(const std::string& text, const std::string& want) {
  CAPTURE(text);
  CHECK(mask_local_parts(text) == want);
}
void kept(const std::string& text) { masked(text, text); }
}  // namespace

TEST_CASE("mask: RFC 5321 §4.1.2: a local part before @ goes, the domain stays") {
  masked("550 5.1.1 <alice@example.com>: User unknown", "550 5.1.1 <…@example.com>: User unknown");
  masked("alice@example.com", "…@example.com");
  masked("alice.b+tag_=x@example.com rejected", "…@example.com rejected");
  masked("to=<a@b.example>, from=<c@d.example>", "to=<…@b.example>, from=<…@d.example>");
  masked("mailto:bob@example.com", "mailto:…@example.com");
  masked("<@relay.example:bob@example.com>", "<@relay.example:…@example.com>");
  masked("o'brien@example.com", "…@example.com");
  masked("550 (bob@example.com)", "550 (…@example.com)");
  masked("user@[192.0.2.1]", "…@[192.0.2.1]");
}

TEST_CASE("mask: quoted local parts, with spaces, quoted pairs and @ in them") {
  masked("<\"john doe\"@example.com> no", "<…@example.com> no");
  masked("\"john \\\" x\"@example.com", "…@example.com");
  masked("\"john doe@home\"@example.com", "…@example.com");
  masked("said \"hello\" to \"a b\"@example.com", "said \"hello\" to …@example.com");
  masked("a.\"b c\".d@example.com", "…@example.com");
  masked("john\\ doe@example.com", "…@example.com");
  masked("unopened\"@example.com", "…@example.com");
}

TEST_CASE("mask: RFC 6531 §3.3: UTF-8 and other octets in a local part") {
  masked("<jos\xC3\xA9@example.com>", "<…@example.com>");
  masked("\xE7\x94\xA8\xE6\x88\xB7@example.com", "…@example.com");
  masked("\xFF\xFE@example.com", "…@example.com");
}

TEST_CASE("mask: other ways to write the @") {
  masked("https://x.example/?u=bob%40example.com", "https:…%40example.com");
  masked("bob&#64;example.com", "…&#64;example.com");
  masked("bob\xEF\xBC\xA0" "example.com", "…\xEF\xBC\xA0" "example.com");
  masked("bob @ example.com", "…@ example.com");
  masked("bob\r\n@example.com", "…@example.com");
  masked("a@b@example.com", "…@example.com");
}

TEST_CASE("mask: what holds no local part stays as it is") {
  kept("");
  kept("@");
  kept("@example.com");
  kept("250 2.0.0 Ok: queued as 4F2A31");
  kept("certificate name mx.example.com does not match *.example.net");
  kept("<@relay.example>");
  kept("451 4.7.5 MX mx1.example.com: TLSA 3 1 1 did not match [0ABCDEFGHJKMN]");
}

TEST_CASE("mask: a masked text masks to itself") {
  for (const char* text :
       {"<alice@example.com>", "\"a b\"@x", "a@b@c", "x @ y", "@@@@", "a%40b@c"}) {
    const std::string once = mask_local_parts(text);
    CHECK(mask_local_parts(once) == once);
  }
}

TEST_CASE("mask: known local parts go wherever they stand as a word") {
  const std::vector<std::string> known{"Alice", "bob+news", "\"john doe\"", ""};
  const auto with = [&](const char* text) { return mask_local_parts(text, known); };
  CHECK(with("550 5.1.1 alice... User unknown") == "550 5.1.1 …... User unknown");
  CHECK(with("no mailbox ALICE, sorry") == "no mailbox …, sorry");
  CHECK(with("<alice> is full") == "<…> is full");
  CHECK(with("bob has moved; bob+news too") == "… has moved; … too");
  CHECK(with("john doe is gone") == "… is gone");
  CHECK(with("malice and alices stay, as does alice.example.com") ==
        "malice and alices stay, as does alice.example.com");
}

TEST_CASE("mask: takes time linear in the text", "[asan-only]") {
  // Quadratic work on half a megabyte would not end within any test's patience.
  for (const std::string unit : {"@", "\\", "\"@", "a@", " @", "\"", "%40"}) {
    std::string text;
    while (text.size() < (1U << 19)) text += unit;
    CHECK(mask_local_parts(text + "x").size() > 0);
  }
}
