#include "tlsrpt/return_path.h"

#include <catch2/catch.hpp>
#include <set>

namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using tlsrpt::ReturnPath;

constexpr std::chrono::sys_days day = 2026y / 11 / 25;
constexpr std::string_view recipient = "reports@example.net";

base::Domain domain(std::string_view text) { return base::Domain::parse(text).value(); }

ReturnPath::Secret secret() {
  ReturnPath::Secret out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
  return out;
}

ReturnPath ours() { return ReturnPath(secret(), domain("example.com")); }

base::WallTime at(std::chrono::sys_days date, std::chrono::milliseconds time = 12h) {
  return base::WallTime(date) + time;
}

std::string upper(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

}  // namespace

TEST_CASE("RFC 8460 §5.3: a return path is date and codes; other HMACs give the same") {
  // Reckoned with Python's hmac and base64 over "recipient|DATE|RECIPIENT" and "own|DATE|CODE".
  CHECK(ours().make(day, recipient) ==
        "tlsrpt+20261125.mhfc765qe64wh3eq32zjbwmsiatzexqe@example.com");
  CHECK(ours().make(2024y / 2 / 29, "J\xc3\xb6rg@b\xc3\xbc" "cher.EXAMPLE") ==
        "tlsrpt+20240229.za56baukjgqwwfwihxpbsatu33puc7y4@example.com");
}

TEST_CASE("RFC 5321 §4.5.3.1.1: the local part stays within 64 octets, letters and digits") {
  const std::string path = ours().make(day, std::string(256, 'x') + "@example.net");
  const std::string local = path.substr(0, path.rfind('@'));
  CHECK(local.size() <= 64);
  CHECK(local.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+.") == std::string::npos);
}

TEST_CASE("RFC 8460 §5.3.1: exactly the pair that was made is freed") {
  const std::string path = ours().make(day, recipient);
  CHECK(ours().frees(path, recipient, at(day)));
  CHECK_FALSE(ours().frees(path, "other@example.net", at(day)));
  CHECK_FALSE(ours().frees(path, "reports@example.org", at(day)));
  CHECK_FALSE(ours().frees(path, "reports@sub.example.net", at(day)));
  CHECK_FALSE(ours().frees(path, "reports", at(day)));
  CHECK_FALSE(ours().frees(path, "", at(day)));
  CHECK_FALSE(ours().frees(path, path, at(day)));
}

TEST_CASE("the pair's domains are compared without case, the recipient's local part with it") {
  const std::string path = ours().make(day, recipient);
  CHECK(ours().frees(path, "reports@EXAMPLE.Net", at(day)));
  CHECK(ours().frees(upper(path), recipient, at(day)));
  CHECK_FALSE(ours().frees(path, "Reports@example.net", at(day)));
  CHECK(ours().make(day, "reports@EXAMPLE.NET") == path);
  CHECK(ours().make(day, "Reports@example.net") != path);

  const std::string international = ours().make(day, "a@b\xc3\xbc" "cher.example");
  CHECK(ours().frees(international, "a@xn--bcher-kva.example", at(day)));
  CHECK(ours().frees(international, "a@XN--BCHER-KVA.example", at(day)));
  const std::string literal = ours().make(day, "a@[IPv6:2001:DB8::1]");
  CHECK(ours().frees(literal, "a@[ipv6:2001:db8::1]", at(day)));
  const std::string quoted = ours().make(day, "\"a@b\"@example.net");
  CHECK(ours().frees(quoted, "\"a@b\"@Example.net", at(day)));
  CHECK_FALSE(ours().frees(quoted, "\"a@B\"@example.net", at(day)));
}

TEST_CASE("a return path is good from the day before its date to eight days behind it") {
  const std::string path = ours().make(day, recipient);
  const auto free_and_own = [&](base::WallTime now) {
    const bool freed = ours().frees(path, recipient, now);
    CHECK(ours().is_own(path, now) == freed);
    return freed;
  };
  CHECK_FALSE(free_and_own(at(day - days(1), -1ms)));
  CHECK(free_and_own(at(day - days(1), 0ms)));
  CHECK(free_and_own(at(day, 0ms)));
  CHECK(free_and_own(at(day + ReturnPath::lifetime, 24h - 1ms)));
  CHECK_FALSE(free_and_own(at(day + ReturnPath::lifetime, 24h)));
  CHECK_FALSE(free_and_own(at(day + days(36525))));
  CHECK_FALSE(free_and_own(at(day - days(36525))));
}

TEST_CASE("every octet of the local part counts, in either question") {
  const std::string path = ours().make(day, recipient);
  for (std::size_t i = 0; i < path.size(); ++i) {
    for (const char other : {'a', 'q', '2', '7', '0', '+', '.', '@', '\0', '\xff'}) {
      if (path[i] == other) continue;
      std::string changed = path;
      changed[i] = other;
      INFO(changed);
      CHECK_FALSE(ours().frees(changed, recipient, at(day)));
      CHECK_FALSE(ours().is_own(changed, at(day)));
    }
    std::string shorter = path;
    shorter.erase(i, 1);
    CHECK_FALSE(ours().frees(shorter, recipient, at(day)));
    CHECK_FALSE(ours().is_own(shorter, at(day)));
    std::string longer = path;
    longer.insert(i, 1, 'a');
    CHECK_FALSE(ours().frees(longer, recipient, at(day)));
    CHECK_FALSE(ours().is_own(longer, at(day)));
  }
}

TEST_CASE("a code is good for its date and its pair alone, however the parts are mixed") {
  const std::string path = ours().make(day, recipient);
  const std::string next = ours().make(day + days(1), recipient);
  const std::string other = ours().make(day, "other@example.net");
  const std::size_t codes = path.find('.') + 1;
  const std::size_t own = path.find('@') - 12;

  const std::string redated = next.substr(0, codes) + path.substr(codes);
  CHECK_FALSE(ours().frees(redated, recipient, at(day)));
  CHECK_FALSE(ours().is_own(redated, at(day)));
  const std::string mixed = path.substr(0, own) + other.substr(own);
  CHECK_FALSE(ours().frees(mixed, recipient, at(day)));
  CHECK_FALSE(ours().frees(mixed, "other@example.net", at(day)));
  CHECK_FALSE(ours().is_own(mixed, at(day)));
}

TEST_CASE("dates that no calendar has are refused") {
  const std::string path = ours().make(day, recipient);
  const auto dated = [&](const std::string& date) {
    return path.substr(0, 7) + date + path.substr(15);
  };
  REQUIRE(dated("20261125") == path);
  for (const char* date : {"20261131", "20261100", "20261325", "20260025", "00000000", "99999999",
                           "2026112a", "-0261125", "20261 25", "20260229"}) {
    INFO(date);
    CHECK_FALSE(ours().frees(dated(date), recipient, at(day)));
    CHECK_FALSE(ours().is_own(dated(date), at(day)));
  }
}

TEST_CASE("an address that is none of ours is never freed and never ours") {
  const std::string path = ours().make(day, recipient);
  const std::string local = path.substr(0, path.find('@'));
  const std::string others[] = {"",
                                "@",
                                "@example.com",
                                "tlsrpt@example.com",
                                "tlsrpt+@example.com",
                                local,
                                local + "@",
                                local + "@example.org",
                                local + "@sub.example.com",
                                local + "@example.co",
                                local + "@example.com.",
                                "\"" + local + "\"@example.com",
                                "<" + path + ">",
                                path + "@example.com",
                                std::string(100000, 'x')};
  for (const std::string& address : others) {
    INFO(address.substr(0, 100));
    CHECK_FALSE(ours().frees(address, recipient, at(day)));
    CHECK_FALSE(ours().is_own(address, at(day)));
  }
}

TEST_CASE("RFC 3464 §2: what bounces to is ours without the recipient being known") {
  CHECK(ours().is_own(ours().make(day, recipient), at(day)));
  CHECK(ours().is_own(upper(ours().make(day, recipient)), at(day)));
  CHECK(ours().is_own(ours().make(day, ""), at(day)));
  CHECK_FALSE(ours().is_own(recipient, at(day)));
}

TEST_CASE("another secret or another domain neither frees nor owns") {
  const std::string path = ours().make(day, recipient);
  for (std::size_t i = 0; i < secret().size(); ++i) {
    auto changed = secret();
    changed[i] ^= 1;
    const ReturnPath others(changed, domain("example.com"));
    CHECK_FALSE(others.frees(path, recipient, at(day)));
    CHECK_FALSE(others.is_own(path, at(day)));
  }
  const ReturnPath elsewhere(secret(), domain("example.org"));
  CHECK_FALSE(elsewhere.frees(path, recipient, at(day)));
  CHECK_FALSE(elsewhere.is_own(path, at(day)));
}

TEST_CASE("each pair has a path of its own") {
  std::set<std::string> seen;
  for (int d = 0; d < 10; ++d) {
    for (int r = 0; r < 100; ++r) {
      const std::string to = "r" + std::to_string(r) + "@example.net";
      CHECK(seen.insert(ours().make(day + days(d), to)).second);
    }
  }
}
