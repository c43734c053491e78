#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <regex>

#include "config/defaults.h"
#include "config/schema.h"
#include "support.h"
#include "tests/source_folder.h"

using namespace config_test;

TEST_CASE("an empty configuration with a listener holds the defaults of the structs") {
  const auto result = load_text("[[listen]]\n");
  REQUIRE(texts(result.errors, "error").empty());
  CHECK(result.warnings.empty());
  config::Config want;
  want.listen.emplace_back();
  want.server.hostname = "edge.example.com";
  CHECK(*result.config == want);
}

TEST_CASE("what `config defaults` prints loads back to the same values") {
  const auto result = load_text(config::defaults_toml());
  CHECK(texts(result.errors, "error") == std::vector<std::string>{});
  CHECK(texts(result.warnings, "warning") == std::vector<std::string>{});
  REQUIRE(result.config);
  CHECK(*result.config == *load_text("[[listen]]\n").config);
}

TEST_CASE("every example among the defaults is read and refused for no reason of its own") {
  const std::string text = std::regex_replace(config::defaults_toml(), std::regex("#(?=[a-z\\[])"),
                                              "");
  const std::map<std::string, std::string> files{
      {"/etc/sternpost/edge.pem", "-----BEGIN CERTIFICATE-----"},
      {"/etc/sternpost/edge.key", "-----BEGIN PRIVATE KEY-----"},
      {"/etc/sternpost/clients.pem", "-----BEGIN CERTIFICATE-----"},
      {"/etc/sternpost/unbound.conf", "server:"},
      {"/etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----"},
      {"/etc/sternpost/partner-ca.pem", "-----BEGIN CERTIFICATE-----"},
      {"/etc/sternpost/dkim.key",  // RFC 8463 §A.2
       "-----BEGIN PRIVATE KEY-----\n"
       "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
       "-----END PRIVATE KEY-----\n"},
      {"/etc/sternpost/admin.token", "0123456789abcdef"}};
  std::size_t others = 0;
  for (const std::string& error : errors_of(text, files)) {
    INFO(error);
    const bool expected = error.find("not part of this version") != std::string::npos ||
                          error.find("is for a Unix socket") != std::string::npos;
    CHECK(expected);
    if (error.find("not part of this version") == std::string::npos) ++others;
  }
  CHECK(others == 2);  // mode and group, on the default TCP address
}

TEST_CASE("every key has a comment and either a default or an example") {
  for (const config::Section& section : config::schema()) {
    CHECK_FALSE(section.comment.empty());
    for (const config::Key& key : section.keys) {
      INFO(section.name << "." << key.name);
      CHECK_FALSE(key.comment.empty());
      CHECK(key.default_text.empty() == !key.example.empty());
    }
  }
}

TEST_CASE("the defaults are those that the documentation states") {
  const config::Config c = *load_text("[[listen]]\n").config;
  using namespace std::chrono_literals;
  CHECK(c.server.state_dir == "/var/lib/sternpost");
  CHECK(c.server.control == "/run/sternpost/control.sock");
  CHECK(c.server.threads == 0);
  CHECK(c.server.drain == 30s);
  REQUIRE(c.listen.size() == 1);
  CHECK(c.listen[0].protocol == config::Protocol::Smtp);
  CHECK(config::text_of(c.listen[0].address) == "127.0.0.1:10025");
  REQUIRE(c.listen[0].clients.size() == 2);
  CHECK(c.listen[0].clients[0].str() == "127.0.0.0/8");
  CHECK(c.listen[0].clients[1].str() == "::1/128");
  CHECK(c.listen[0].max_sessions == 10000);
  CHECK(c.outbound.port == 25);
  CHECK(c.outbound.connect_timeout == 30s);
  CHECK(c.outbound.greeting_timeout == 5min);
  CHECK(c.outbound.rcpt_timeout == 5min);
  CHECK(c.outbound.recipient_wait == 4min);
  CHECK(c.outbound.data_wait == 100s);
  CHECK(c.outbound.stall == 150s);
  CHECK(c.outbound.final_wait == 580s);
  CHECK(c.outbound.lmtp_wait == 30s);
  CHECK(c.outbound.host_memory == 5min);
  CHECK(c.outbound.max_connections_per_mx == 20);
  CHECK(c.outbound.idle_keepalive == 5s);
  CHECK(c.outbound.max_transactions_per_connection == 100);
  CHECK(c.outbound.add_received);
  CHECK(c.outbound.private_destinations.empty());
  CHECK(c.outbound.max_message_size == 104857600);
  CHECK(c.dns.trust_anchor_file == "/usr/share/dns/root.key");
  CHECK(c.dns.timeout == 12s);
  CHECK(c.tls.min_version == config::TlsVersion::Tls12);
  CHECK(c.mta_sts.refresh_interval == 24h);
  CHECK(c.mta_sts.fetch_timeout == 60s);
  CHECK(c.mta_sts.max_policy_size == 65536);
  CHECK(c.mta_sts.https_port == 443);
  CHECK(c.mta_sts.first_contact_wait == 15s);
  CHECK(c.mta_sts.on_lookup_error == config::OnError::Deliver);
  CHECK(c.mta_sts.on_fetch_error == config::OnError::Deliver);
  CHECK(c.dane.insecure_mx == config::InsecureMx::Dane);
  CHECK(c.policy.mode == config::Mode::Enforce);
  CHECK(c.policy.combine == config::Combine::DaneFirst);
  CHECK(c.policy.default_requirement == config::Default::Opportunistic);
  CHECK(c.policy.on_downgrade == config::OnDowngrade::Log);
  CHECK(c.tls_rpt.keep == 400 * 24h);
  CHECK(c.log.enforcement == "/var/log/sternpost/enforcement.jsonl");
  CHECK(c.log.rotate == 24h);
  CHECK(c.log.retention == 400 * 24h);
  CHECK(c.log.on_failure == config::OnLogFailure::Defer);
  CHECK(c.store.sqlite_file() == "/var/lib/sternpost/state.db");
}

TEST_CASE("docs/configuration.md is what the schema prints; contrib's example is good") {
  const std::string top = tests_folder() + "/../";
  const auto contents = [](const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  CHECK((contents(top + "docs/configuration.md") == config::defaults_markdown()));
  const std::string example = contents(top + "contrib/sternpost.toml");
  REQUIRE_FALSE(example.empty());
  CHECK(errors_of(example) == std::vector<std::string>{});
}
