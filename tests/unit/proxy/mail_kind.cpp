// What the envelope says of a recipient: report mail of our own, a bounce of it, or ordinary mail.
#include "proxy/mail_kind.h"

#include <catch2/catch.hpp>

#include "smtp/path.h"

namespace {

using namespace std::chrono_literals;
using proxy::MailKind;

const std::chrono::sys_days day = std::chrono::year(2026) / 11 / 25;
const base::WallTime now = day + 1h;

tlsrpt::ReturnPath ours(std::uint8_t first = 7) {
  tlsrpt::ReturnPath::Secret secret{};
  secret[0] = first;
  return {secret, *base::Domain::parse("reports.test")};
}

smtp::Path path(const std::string& address) {
  const std::string bracketed = "<" + address + ">";
  std::string_view text = bracketed;
  return *smtp::take_path(text);
}

MailKind kind(const std::string& from, const std::string& to, base::WallTime at = now) {
  const tlsrpt::ReturnPath known = ours();
  smtp::Envelope envelope;
  envelope.reverse_path = path(from).address;
  return proxy::mail_kind(&known, envelope, *path(to).mailbox, at);
}

const std::string to = "tls-reports@example.com";
const std::string from = ours().make(day, to);

// The last octet of the local part changed.
std::string tampered(std::string address) {
  char& last = address[address.rfind('@') - 1];
  last = last == 'a' ? 'b' : 'a';
  return address;
}

}  // namespace

TEST_CASE("RFC 8460 §5.3: a return path of ours and its own recipient are report mail") {
  CHECK(kind(from, to) == MailKind::report);
  CHECK(kind(from, "tls-reports@EXAMPLE.com") == MailKind::report);
  // RFC 5321 §3.3: a source route is no part of the address.
  CHECK(kind("@hop.test:" + from, "@hop.test,@hop2.test:" + to) == MailKind::report);
  CHECK(kind(from, to, day + tlsrpt::ReturnPath::lifetime) == MailKind::report);
  const std::string literal = "rua@[192.0.2.1]";
  CHECK(kind(ours().make(day, literal), literal) == MailKind::report);
}

TEST_CASE("a domain written as U-labels is compared as A-labels") {
  const std::string made = ours().make(day, "rua@xn--bcher-kva.example");
  CHECK(kind(made, "rua@b\xC3\xBC"
                   "cher.example") == MailKind::report);
}

TEST_CASE("what only looks like report mail is ordinary mail") {
  struct Bad {
    std::string from;
    std::string to;
    std::string why;
  };
  const std::string local = from.substr(0, from.rfind('@'));
  const Bad bad[] = {
      {"", to, "the null reverse-path frees nothing"},
      {"a@front.test", to, "no return path of ours"},
      {tampered(from), to, "guessed"},
      {from, "other@example.com", "redirected to another mailbox"},
      {from, "TLS-Reports@example.com", "local parts have case"},
      {from, "tls-reports@example.org", "redirected to another domain"},
      {from, "tls-reports@sub.example.com", "redirected to a subdomain"},
      {local + "@elsewhere.test", to, "another domain's"},
      {ours(8).make(day, to), to, "made with another secret"},
      {ours().make(day + std::chrono::days(3), to), to, "of a day to come"},
      {"tlsrpt+20261125.a@reports.test", to, "hardly a MAC"},
      {"tlsrpt+20261125@reports.test", to, "no MAC at all, and no dot"},
      {to, from, "the wrong way round"},
  };
  for (const Bad& one : bad) {
    INFO(one.why);
    CHECK(kind(one.from, one.to) == MailKind::ordinary);
  }
  const auto late = day + tlsrpt::ReturnPath::lifetime + std::chrono::days(1);
  CHECK(kind(from, to, late) == MailKind::ordinary);
}

TEST_CASE("the null reverse-path to a return path of ours is a bounce") {
  CHECK(kind("", from) == MailKind::bounce);
  CHECK(kind("", from, day + std::chrono::days(30)) == MailKind::ordinary);
  CHECK(kind("", tampered(from)) == MailKind::ordinary);
  CHECK(kind("", "tlsrpt@reports.test") == MailKind::ordinary);
  CHECK(kind("", "postmaster@reports.test") == MailKind::ordinary);
  CHECK(kind("a@front.test", from) == MailKind::ordinary);  // an answer, read by whoever has it
}

TEST_CASE("where no report mail goes out all mail is ordinary") {
  smtp::Envelope envelope;
  CHECK(proxy::mail_kind(nullptr, envelope, *path(from).mailbox, now) == MailKind::ordinary);
  envelope.reverse_path = from;
  CHECK(proxy::mail_kind(nullptr, envelope, *path(to).mailbox, now) == MailKind::ordinary);
}
