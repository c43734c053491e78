#include "proxy/milter_recipient.h"

#include <catch2/catch.hpp>

#include "tests/unit/policy/plan_support.h"

namespace {

config::Config lab_config() {
  config::Config config;
  config.listen.resize(3);
  config.listen[0].address = config::Tcp{plan_test::ip("127.0.0.1"), 10024};
  config.listen[1].address = config::Unix{"/var/spool/postfix/sternpost/lmtp.sock"};
  config.listen[2].address = config::Tcp{plan_test::ip("0.0.0.0"), 10025};
  config.milter.own_domains = {{plan_test::name("own.example"), false},
                               {plan_test::name("own.example"), true}};
  return config;
}

// The domain, or "- why".
std::string asked(std::optional<std::string> mailer, std::optional<std::string> host,
                  const char* argument = "<user@example.com>",
                  std::optional<std::string> address = {}) {
  const auto config = lab_config();
  const auto found = proxy::policy_domain_of({std::move(mailer), std::move(host),
                                              std::move(address)}, argument, config);
  return found ? found->str() : "- " + found.error().text;
}

}  // namespace

TEST_CASE("RFC 8461 §3.4: the policy domain is the next hop where that is a domain") {
  CHECK(asked("smtp", "example.com") == "example.com");
  CHECK(asked("relay", "hub.example.net") == "hub.example.net");
  CHECK(asked("esmtp", "Example.COM.") == "example.com");
  CHECK(asked("smtp", "example.net:2525") == "example.net");
  CHECK(asked("esmtp", "a.example:b.example") == "a.example");
  CHECK(asked("slow", "example.org") == "example.org");
}

TEST_CASE("without a next hop it is the address's domain, as rewritten where that is told") {
  CHECK(asked({}, {}) == "example.com");
  CHECK(asked({}, {}, "<user@example.com>", "user@rewritten.example") == "rewritten.example");
  CHECK(asked({}, {}, "\"a@b\"@Example.com") == "example.com");
  CHECK(asked({}, {}, "<user@example.com>", "user") == "example.com");
  CHECK(asked("esmtp", "") == "example.com");
  CHECK(asked({}, {}, "<postmaster>").starts_with("- "));
  CHECK(asked({}, {}, "<a@[192.0.2.1]>").starts_with("- it is at an address literal"));
  CHECK(asked({}, {}, "").starts_with("- "));
  CHECK(asked({}, {}, "<@>").starts_with("- "));
}

TEST_CASE("behind a listener of this relay it is the recipient's domain, whatever the mailer") {
  CHECK(asked("lmtp", "inet:127.0.0.1:10024") == "example.com");
  CHECK(asked("sternlmtp", "inet:[127.0.0.1]:10024") == "example.com");
  CHECK(asked("sternsmtp", "[127.0.0.1]:10024") == "example.com");
  CHECK(asked("smtp", "[localhost]:10024") == "example.com");
  CHECK(asked("sternpost", "[127.0.0.1]") == "example.com");  // Sendmail: the port is elsewhere
  CHECK(asked("lmtp", "unix:/var/spool/postfix/sternpost/lmtp.sock") == "example.com");
  CHECK(asked("lmtp", "unix:sternpost/lmtp.sock") == "example.com");
  CHECK(asked("smtp", "[192.0.2.9]:10025") == "example.com");  // a listener at any address
}

TEST_CASE("a relay, a mailbox and another mailer have no policy to ask for") {
  CHECK(asked("smtp", "[smart.example]").starts_with("- it goes to the relay"));
  CHECK(asked("smtp", "[smart.example]:587").starts_with("- it goes to the relay"));
  CHECK(asked("smtp", "[127.0.0.1]:10026").starts_with("- it goes to the relay"));
  CHECK(asked("smtp", "192.0.2.1").starts_with("- it goes to the relay"));
  CHECK(asked("local", "example.com").starts_with("- it goes to the mailer local"));
  CHECK(asked("local", "").starts_with("- it goes to the mailer local"));
  CHECK(asked("virtual", "example.com").starts_with("- "));
  CHECK(asked("LMTP", "inet:127.0.0.1:24").starts_with("- "));
  CHECK(asked("dovecotlmtp", "unix:private/dovecot").starts_with("- it goes over LMTP"));
  CHECK(asked("error", "5.1.1").starts_with("- "));
  CHECK(asked("discard", "example.com").starts_with("- "));
}

TEST_CASE("what no policy is about: inside, an address literal, a relay") {
  using Kind = proxy::NotAsked::Kind;
  const auto kind = [](const char* mailer, const char* host, const char* argument) {
    const auto config = lab_config();
    const auto found = proxy::policy_domain_of({mailer, host, std::nullopt}, argument, config);
    return found.error().kind;
  };
  CHECK(kind("local", "", "<a@example.com>") == Kind::inside);
  CHECK(kind("smtp", "own.example", "<a@example.com>") == Kind::inside);
  CHECK(kind("lmtp", "inet:127.0.0.1:24", "<a@example.com>") == Kind::inside);
  CHECK(kind("smtp", "[192.0.2.1]", "<a@[192.0.2.1]>") == Kind::literal);
  CHECK(kind("smtp", "", "<a@[192.0.2.1]>") == Kind::literal);
  CHECK(kind("lmtp", "inet:127.0.0.1:10024", "<a@[192.0.2.1]>") == Kind::literal);
  CHECK(kind("local", "", "<a@[127.0.0.1]>") == Kind::inside);
  CHECK(kind("smtp", "[smart.example]:587", "<a@example.com>") == Kind::relay);
}

TEST_CASE("own domains are not outbound, by address or by next hop") {
  CHECK(asked("smtp", "example.com", "<a@own.example>") == "- its domain is our own");
  CHECK(asked("smtp", "own.example") == "- its next hop is our own");
  CHECK(asked("smtp", "mx.own.example").starts_with("- "));
  CHECK(asked("smtp", "notown.example") == "notown.example");
}

TEST_CASE("a next hop that is no name is not looked at") {
  CHECK(asked("smtp", "a b").starts_with("- "));
  CHECK(asked("smtp", "[").starts_with("- "));
  CHECK(asked("smtp", "[]:").starts_with("- "));
  CHECK(asked("smtp", ":").starts_with("- "));
  CHECK(asked("smtp", "inet:").starts_with("- "));
  CHECK(asked("smtp", "unix:").starts_with("- "));
}
