// Every class of mistake, with its exact line and column.
#include <catch2/catch.hpp>

#include "config/nearest.h"
#include "support.h"

using namespace config_test;
using Lines = std::vector<std::string>;

namespace {

struct Bad {
  const char* text;
  const char* error;
};

void each(const std::vector<Bad>& list) {
  for (const Bad& bad : list) {
    INFO(bad.text);
    CHECK(errors_of(with_listener(bad.text)) == Lines{bad.error});
  }
}

}  // namespace

TEST_CASE("unknown keys and sections are told with the nearest known one") {
  each({
      {"[outbound]\nprot = 25",
       "main.toml:2:1: error: unknown key \"prot\"; the nearest known key is \"port\""},
      {"[outbound]\n  conect_timeout = \"1s\"",
       "main.toml:2:3: error: unknown key \"conect_timeout\"; the nearest known key is "
       "\"connect_timeout\""},
      {"[server]\nport = 25",
       "main.toml:2:1: error: unknown key \"port\"; the nearest known key is \"outbound.port\""},
      {"hostname = \"a.example\"",
       "main.toml:1:1: error: unknown key \"hostname\"; the nearest known key is "
       "\"server.hostname\""},
      {"[outbuond]\nport = 25",
       "main.toml:1:2: error: unknown section \"outbuond\"; the nearest known section is "
       "[outbound]"},
      {"[[policy.rules]]\ndomains = []",
       "main.toml:1:10: error: unknown section \"policy.rules\"; the nearest known section is "
       "[[policy.rule]]"},
      {"[[listener]]\n",
       "main.toml:1:3: error: unknown section \"listener\"; the nearest known section is "
       "[[listen]]"},
      {"outbound.prot = 25",
       "main.toml:1:10: error: unknown key \"prot\"; the nearest known key is \"port\""},
  });
}

TEST_CASE("a slip names what was meant, a word of it too, and a guess is none") {
  const auto keys = [](const char* section, const char* key) {
    return config::nearest_keys(section, key);
  };
  CHECK(keys("server", "host-name") == Lines{"hostname"});
  CHECK(keys("tls", "Min-Version") == Lines{"min_version"});
  CHECK(keys("tls_rpt", "contact") == Lines{"contact_info"});
  CHECK(keys("tls_rpt", "key") == Lines{"dkim_key"});
  CHECK(keys("admin", "token") == Lines{"token_file"});
  CHECK(keys("outbound", "source_ip") == Lines{"source_ipv4", "source_ipv6"});
  CHECK(keys("outbound", "max_connections") == Lines{"max_connections_per_mx"});
  CHECK(keys("outbound", "private_destination") == Lines{"private_destinations"});
  CHECK(keys("dane", "mode") == Lines{"listen.mode", "policy.mode"});
  CHECK(keys("tls_rpt", "email").empty());
  CHECK(keys("tls", "min_protocol").empty());
  CHECK(keys("dns", "resolver").empty());
  const auto sections = [](const char* name) { return config::nearest_sections(name); };
  CHECK(sections("mta-sts") == Lines{"[mta_sts]"});
  CHECK(sections("policies") == Lines{"[policy]"});
  CHECK(sections("logging") == Lines{"[log]"});
  CHECK(sections("exception") == Lines{"[[policy.exception]]"});
  CHECK(sections("rule") == Lines{"[[policy.rule]]", "[[milter.rule]]"});
  CHECK(sections("metrics").empty());
  each({
      {"[store]\npath = \"/x\"",
       "main.toml:2:1: error: unknown key \"path\"; [store] has \"url\""},
      {"[dane]\ntlsa = true",
       "main.toml:2:1: error: unknown key \"tlsa\"; [dane] has \"enabled\" and "
       "\"insecure_mx\""},
      {"[outbound]\nfoo = 1",
       "main.toml:2:1: error: unknown key \"foo\"; sternpost config defaults shows those of "
       "[outbound]"},
      {"zzz = 1",
       "main.toml:1:1: error: unknown key \"zzz\"; a key stands in a section, under its "
       "[header]"},
  });
  CHECK(errors_of(with_listener("[metrics]\nx = 1"))[0].starts_with(
      "main.toml:1:2: error: unknown section \"metrics\"; the sections are [server], "
      "[[listen]], "));
}

TEST_CASE("what was meant by an unknown name is not missing besides") {
  CHECK(errors_of(with_listener("[[policy.rule]]\ndomain = [\"a.example\"]\nreqire = \"dane\"")) ==
        Lines{"main.toml:2:1: error: unknown key \"domain\"; the nearest known key is "
              "\"domains\"",
              "main.toml:3:1: error: unknown key \"reqire\"; the nearest known key is "
              "\"require\""});
  CHECK(errors_of("[[listeners]]\nprotocol = \"smtp\"") ==
        Lines{"main.toml:1:3: error: unknown section \"listeners\"; the nearest known section "
              "is [[listen]]"});
  config::Surroundings bare = machine();
  bare.host_name = [] { return std::string("vm"); };
  const auto warned = [&](const char* text) {
    return config::load_sources({{"main.toml", with_listener(text)}}, bare).warnings.size();
  };
  CHECK(warned("[server]\n") == warned("[server]\nhost_name = \"a.example\"") + 1);
}

TEST_CASE("edit distance counts insertions, deletions, replacements and swaps") {
  CHECK(config::edit_distance("port", "port") == 0);
  CHECK(config::edit_distance("prot", "port") == 1);
  CHECK(config::edit_distance("", "port") == 4);
  CHECK(config::edit_distance("ports", "port") == 1);
  CHECK(config::edit_distance("part", "port") == 1);
  CHECK(config::edit_distance("abc", "xyz") == 3);
}

TEST_CASE("wrong types are told, with what stands there") {
  each({
      {"[outbound]\nport = \"25\"", "main.toml:2:8: error: port: must be a port number, not text"},
      {"[outbound]\nport = 25.0",
       "main.toml:2:8: error: port: must be a port number, not a decimal number"},
      {"[server]\nthreads = true",
       "main.toml:2:11: error: threads: must be a whole number, not true or false"},
      {"[server]\nstate_dir = 1",
       "main.toml:2:13: error: state_dir: must be an absolute path in quotes, not a whole number"},
      {"[server]\nstate_dir = \"\"",
       "main.toml:2:13: error: state_dir: must be an absolute path in quotes, not \"\""},
      {"[dane]\nenabled = \"yes\"",
       "main.toml:2:11: error: enabled: must be true or false, not text"},
      {"[outbound]\nprivate_destinations = \"10.0.0.0/8\"",
       "main.toml:2:24: error: private_destinations: must be a list, not text"},
      {"[outbound]\nconnect_timeout = 30",
       "main.toml:2:19: error: connect_timeout: must be a time such as \"90s\", \"5m\" or \"1d\", "
       "not a whole number"},
      {"[policy]\nmode = [\"enforce\"]",
       "main.toml:2:8: error: mode: must be \"enforce\" or \"observe\", not a list"},
      {"outbound = 25", "main.toml:1:12: error: must be a section [outbound], not a whole number"},
      {"[[outbound]]\nport = 25",
       "main.toml:1:1: error: must be a section [outbound], not a list"},
      {"policy.rule = [1]",
       "main.toml:1:16: error: must be a section [[policy.rule]], not a whole number"},
      {"[policy.exception]\ndomains = []",
       "main.toml:1:1: error: must be a list of sections, each under [[policy.exception]]"},
  });
  CHECK(errors_of("[listen]\naddress = \"127.0.0.1:1\"") ==
        Lines{"main.toml:1:2: error: must be a list of sections, each under [[listen]]"});
}

TEST_CASE("values out of range or of the wrong form are told") {
  each({
      {"[outbound]\nport = 0",
       "main.toml:2:8: error: port: must be a port from 1 to 65535, not 0"},
      {"[outbound]\nport = 65536",
       "main.toml:2:8: error: port: must be a port from 1 to 65535, not 65536"},
      {"[outbound]\ndata_wait = \"0s\"",
       "main.toml:2:13: error: data_wait: must be from \"1ms\" to \"3650d\""},
      {"[outbound]\nmax_connections_per_mx = 0",
       "main.toml:2:26: error: max_connections_per_mx: must be from 1 to 100000"},
      {"[server]\nthreads = -1",
       "main.toml:2:11: error: threads: must not be negative, as -1 is"},
      {"[server]\nthreads = 4294967296",
       "main.toml:2:11: error: threads: is too large: 4294967296"},
      {"[server]\nthreads = 1025", "main.toml:2:11: error: threads: must be from 0 to 1024"},
      {"[server]\nhostname = \"a_b.example\"",
       "main.toml:2:12: error: hostname: must be a host name of letters, digits and hyphens"},
      {"[outbound]\nsource_ipv4 = \"::1\"",
       "main.toml:2:15: error: source_ipv4: must be an IPv4 address"},
      {"[outbound]\nsource_ipv6 = \"127.0.0.1\"",
       "main.toml:2:15: error: source_ipv6: must be an IPv6 address"},
      {"[outbound]\nsource_ipv6 = \"localhost\"",
       "main.toml:2:15: error: source_ipv6: must be an IP address, not \"localhost\""},
      {"[policy]\nmode = \"Enforce\"",
       "main.toml:2:8: error: mode: must be \"enforce\" or \"observe\", not \"Enforce\""},
      {"[policy]\ncombine = \"dane\"",
       "main.toml:2:11: error: combine: must be \"dane-first\", \"both\" or \"dane-alone\", not "
       "\"dane\""},
      {"[tls]\nmin_version = \"1.1\"",
       "main.toml:2:15: error: min_version: must be \"1.2\" or \"1.3\", not \"1.1\""},
      {"[dns]\nforwarders = [\"192.0.2.1\", \"192.0.2.1@0\"]",
       "main.toml:2:28: error: forwarders: must be an address such as \"192.0.2.53\" or "
       "\"192.0.2.53@5353\", not \"192.0.2.1@0\""},
      {"[store]\nurl = \"/var/lib/x.db\"",
       "main.toml:2:7: error: url: must be \"sqlite:\" and an absolute path, not "
       "\"/var/lib/x.db\""},
      {"[store]\nurl = \"sqlite:state.db\"",
       "main.toml:2:7: error: url: must be \"sqlite:\" and an absolute path, not "
       "\"sqlite:state.db\""},
      {"[tls_rpt]\ndirectory = \"reports\"",
       "main.toml:2:13: error: directory: must be an absolute path in quotes, not \"reports\""},
      {"[tls_rpt]\ncollector = \"./c.sock\"",
       "main.toml:2:13: error: collector: must be an absolute path in quotes, not \"./c.sock\""},
      {"[log]\nenforcement = \"log.jsonl\"",
       "main.toml:2:15: error: enforcement: must be an absolute path in quotes, not "
       "\"log.jsonl\""},
      {"[tls_rpt]\nkeep = \"47h\"",
       "main.toml:2:8: error: keep: must be \"2d\" or more: yesterday's reports are sent today"},
      {"[tls_rpt]\nkeep = \"3651d\"",
       "main.toml:2:8: error: keep: must be from \"1ms\" to \"3650d\""},
      {"[tls_rpt]\norganization_name = \" \"",
       "main.toml:2:21: error: organization_name: must not be blank"},
      {"[log]\nretention = \"1h\"",
       "main.toml:2:13: error: log.retention is shorter than log.rotate"},
  });
}

TEST_CASE("times: a whole number and a unit") {
  const auto time = [](const std::string& text) {
    return load_text("[outbound]\nstall = \"" + text + "\"\n[[listen]]\n");
  };
  const auto good = [&](const std::string& text, std::int64_t milliseconds) {
    INFO(text);
    const auto result = time(text);
    REQUIRE(result.config);
    CHECK(result.config->outbound.stall.count() == milliseconds);
  };
  good("500ms", 500);
  good("90s", 90000);
  good("5m", 300000);
  good("2h", 7200000);
  good("1d", 86400000);
  for (const char* bad : {"", "s", "5", "5 m", "-5s", "+5s", "1.5s", "5M", "5min", "1m30s", " 5s",
                          "5s ", "99999999999999999999s", "9223372036854775807d", "0x5s"}) {
    INFO(bad);
    CHECK(time(bad).errors.size() == 1);
  }
}

TEST_CASE("sizes: a number of bytes, or a whole number and a binary unit") {
  const auto size = [](const std::string& text) {
    return load_text("[outbound]\nmax_message_size = " + text + "\n[[listen]]\n");
  };
  const auto good = [&](const std::string& text, std::uint64_t bytes) {
    INFO(text);
    const auto result = size(text);
    REQUIRE(result.config);
    CHECK(result.config->outbound.max_message_size == bytes);
  };
  good("1", 1);
  good("65536", 65536);
  good("\"10B\"", 10);
  good("\"64KiB\"", 65536);
  good("\"100MiB\"", 104857600);
  good("\"1GiB\"", 1073741824);
  for (const char* bad : {"0", "-1", "1.5", "\"\"", "\"64\"", "\"64K\"", "\"64KB\"", "\"64 KiB\"",
                          "\"-1KiB\"", "\"9223372036854775807KiB\"", "\"2000000TiB\"", "true"}) {
    INFO(bad);
    CHECK(size(bad).errors.size() == 1);
  }
}

TEST_CASE("addresses of listeners") {
  const auto address = [](const std::string& text) {
    return load_text("[[listen]]\naddress = \"" + text + "\"\n");
  };
  const auto good = [&](const std::string& text, const std::string& want) {
    INFO(text);
    const auto result = address(text);
    REQUIRE(result.config);
    CHECK(config::text_of(result.config->listen[0].address) == want);
  };
  good("127.0.0.1:10025", "127.0.0.1:10025");
  good("localhost:25", "127.0.0.1:25");
  good("[::1]:10025", "[::1]:10025");
  good("[2001:DB8:0::1]:25", "[2001:db8::1]:25");
  good("0.0.0.0:25", "0.0.0.0:25");
  good("unix:/run/sternpost/lmtp.sock", "unix:/run/sternpost/lmtp.sock");
  const std::string too_long(120, 'x');
  for (const std::string& bad :
       {std::string("127.0.0.1"), std::string("127.0.0.1:"), std::string("127.0.0.1:0"),
        std::string("127.0.0.1:65536"), std::string("127.0.0.1:2 5"), std::string("::1:25"),
        std::string("[127.0.0.1]:25"), std::string("[::1]"), std::string("[::1]25"),
        std::string("mail.example.com:25"), std::string(":25"), std::string("unix:relative"),
        std::string("unix:"), "unix:/" + too_long, std::string("")}) {
    INFO(bad);
    const auto errors = texts(address(bad).errors, "error");
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].starts_with("main.toml:2:11: error: address: must be an address such as"));
  }
}

TEST_CASE("networks and domains are told at the element that is wrong") {
  const auto networks = errors_of("[[listen]]\nclients = [\"10.0.0.0/8\", \"10.0.0.1/8\",\n"
                                  "  \"x\", 7]\n");
  REQUIRE(networks.size() == 3);
  CHECK(networks[0].starts_with("main.toml:2:26: error: clients: must be a network"));
  CHECK(networks[1].starts_with("main.toml:3:3: error: clients: must be a network"));
  CHECK(networks[2].starts_with("main.toml:3:8: error: clients: must be a network"));

  const auto domains = errors_of(with_listener("[[policy.rule]]\nrequire = \"verified\"\n"
                                               "domains = [\"good.example\", \"a..b\", \".\",\n"
                                               "\"*.example\"]"));
  REQUIRE(domains.size() == 3);
  CHECK(domains[0].starts_with("main.toml:3:28: error: domains: must be a domain, not \"a..b\""));
  CHECK(domains[1].starts_with("main.toml:3:36: error: domains: must be a domain, not \".\""));
  CHECK(domains[2] ==
        "main.toml:4:1: error: domains: must be a domain; all subdomains are written \".example\"");
}

TEST_CASE("rules: what must be there, and what contradicts") {
  each({
      {"[[policy.rule]]\nrequire = \"verified\"",
       "main.toml:1:1: error: [[policy.rule]] without domains"},
      {"[[policy.rule]]\ndomains = [\"a.example\"]",
       "main.toml:1:1: error: [[policy.rule]] without require"},
      {"[[policy.rule]]\nrequire = \"verified\"\ndomains = []",
       "main.toml:3:11: error: domains: must not be empty"},
      {"[[policy.rule]]\ndomains = [\"a.example\"]\nrequire = \"encrypted\"\n"
       "spki_sha256 = [\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]",
       "main.toml:4:15: error: spki_sha256 needs require = \"verified\", not \"encrypted\""},
      {"[[policy.rule]]\ndomains = [\"a.example\"]\nrequire = \"verified\"\n"
       "spki_sha256 = [\"47DEQpj8HBSa\"]",
       "main.toml:4:16: error: spki_sha256: must be a SHA-256 in base64, 44 characters, not "
       "\"47DEQpj8HBSa\""},
      {"[dane]\nenabled = false\n[[policy.rule]]\ndomains = [\"a.example\"]\nrequire = \"dane\"",
       "main.toml:5:11: error: the rule demands DANE, which dane.enabled = false turns off"},
  });
  const auto mx = errors_of(with_listener("[[policy.rule]]\ndomains = [\"a.example\"]\n"
                                          "require = \"verified\"\nmx = [\"*.b.example\", \"*\"]"));
  REQUIRE(mx.size() == 1);
  CHECK(mx[0].starts_with("main.toml:4:22: error: mx: must be a host name or \"*.\""));
}

TEST_CASE("an exception has domains, allow, until, owner and reason") {
  CHECK(errors_of(with_listener("[[policy.exception]]\n")) ==
        Lines{"main.toml:1:1: error: [[policy.exception]] without domains",
              "main.toml:1:1: error: [[policy.exception]] without allow",
              "main.toml:1:1: error: [[policy.exception]] without until",
              "main.toml:1:1: error: [[policy.exception]] without owner",
              "main.toml:1:1: error: [[policy.exception]] without reason"});
  const std::string good = "[[policy.exception]]\ndomains = [\"b.example\"]\n"
                           "allow = \"encrypted\"\nreason = \"r\"\n";
  CHECK(errors_of(with_listener(good + "until = 2027-01-01\nowner = \"\"")) ==
        Lines{"main.toml:6:9: error: owner: must not be empty"});
  CHECK(errors_of(with_listener(good + "until = \"2027-01-01\"\nowner = \"o\"")) ==
        Lines{"main.toml:5:9: error: until: must be a date without quotes such as 2026-12-31, not "
              "text"});
  CHECK(errors_of(with_listener(good + "until = 2027-01-01T00:00:00Z\nowner = \"o\"")) ==
        Lines{"main.toml:5:9: error: until: must be a date without quotes such as 2026-12-31, not "
              "a time of day"});
}

TEST_CASE("listeners: none, twice the same, and what contradicts") {
  CHECK(errors_of("") == Lines{"main.toml:1:1: error: no [[listen]]: at least one is needed"});
  CHECK(errors_of("[[listen]]\naddress = \"127.0.0.1:25\"\n[[listen]]\n"
                  "address = \"127.0.0.1:25\"\n") ==
        Lines{"main.toml:4:11: error: 127.0.0.1:25 is taken by another [[listen]] at "
              "main.toml:2:11"});
  CHECK(errors_of("[[listen]]\naddress = \"0.0.0.0:25\"\n[[listen]]\n"
                  "address = \"127.0.0.1:25\"\n").size() == 1);
  CHECK(errors_of("[[listen]]\naddress = \"127.0.0.1:25\"\n[[listen]]\n"
                  "address = \"127.0.0.2:25\"\n[[listen]]\naddress = \"[::1]:25\"\n") == Lines{});
  CHECK(errors_of("[[listen]]\n[[listen]]\n") ==
        Lines{"main.toml:2:1: error: 127.0.0.1:10025 is taken by another [[listen]] at "
              "main.toml:1:1"});
  CHECK(errors_of("[[listen]]\nmode = \"0660\"\ngroup = \"postfix\"\n") ==
        Lines{"main.toml:2:8: error: mode is for a Unix socket; 127.0.0.1:10025 is none",
              "main.toml:3:9: error: group is for a Unix socket; 127.0.0.1:10025 is none"});
  const std::string socket = "[[listen]]\naddress = \"unix:/run/s\"\n";
  CHECK(errors_of(socket + "mode = \"0660\"\ngroup = \"postfix\"\n") ==
        Lines{});
  CHECK(errors_of(socket + "mode = \"0899\"\ngroup = \"nobody's\"\n") ==
        Lines{"main.toml:3:8: error: mode: must be permissions in octal such as \"0660\", not "
              "\"0899\"",
              "main.toml:4:9: error: there is no group \"nobody's\""});
  CHECK(errors_of("[[listen]]\naddress = \"unix:/run/s\"\nproxy_clients = [\"10.0.0.0/8\"]\n") ==
        Lines{"main.toml:3:17: error: proxy_clients has no meaning on a Unix socket"});
  CHECK(errors_of("[[listen]]\nprotocol = \"transparent\"\naddress = \"127.0.0.1:10026\"\n") ==
        Lines{});
  CHECK(errors_of("[[listen]]\nprotocol = \"transparent\"\naddress = \"unix:/run/s\"\n") ==
        Lines{"main.toml:3:11: error: a transparent listener needs a TCP address: the firewall "
              "redirects to no Unix socket"});
  CHECK(errors_of("[[listen]]\nprotocol = \"transparent\"\nproxy_clients = [\"10.0.0.0/8\"]\n") ==
        Lines{"main.toml:3:17: error: proxy_clients has no meaning for a transparent listener: "
              "what is redirected has no PROXY header"});
}

TEST_CASE("what the TLS library cannot use, and a trust anchor that is none, have their place") {
  config::Surroundings here = config_test::machine({{"/etc/passwd", "root:x:0:0\n"}});
  here.tls_fault = [](const config::Tls& tls) {
    std::optional<std::pair<std::string, std::string>> fault;
    if (tls.groups == "X9") fault = {"groups", "OpenSSL cannot use 'X9'"};
    return fault;
  };
  const auto result = config::load_sources(
      {{"main.toml", "[[listen]]\n[tls]\ngroups = \"X9\"\n[dns]\n"
                     "trust_anchor_file = \"/etc/passwd\"\n"}},
      here);
  CHECK(config_test::texts(result.errors, "error") ==
        Lines{"main.toml:3:10: error: OpenSSL cannot use 'X9'",
              "main.toml:5:21: error: trust_anchor_file: \"/etc/passwd\" holds no DNSKEY and no "
              "DS record"});
}

TEST_CASE("files that are named must be there and be what they are named as") {
  const std::map<std::string, std::string> files{{"/c.pem", "-----BEGIN CERTIFICATE-----\n"},
                                                 {"/k.pem", "-----BEGIN EC PRIVATE KEY-----\n"},
                                                 {"/text", "hello\n"}};
  CHECK(errors_of("[[listen]]\ntls_certificate = \"/c.pem\"\ntls_key = \"/k.pem\"\n", files) ==
        Lines{});
  CHECK(errors_of("[[listen]]\ntls_key = \"/k.pem\"\n", files) ==
        Lines{"main.toml:2:11: error: tls_key needs tls_certificate beside it"});
  CHECK(errors_of("[[listen]]\ntls_certificate = \"/c.pem\"\n", files) ==
        Lines{"main.toml:2:19: error: tls_certificate needs tls_key beside it"});
  CHECK(errors_of("[[listen]]\nclient_ca = \"/c.pem\"\n", files) ==
        Lines{"main.toml:2:13: error: client_ca needs tls_certificate beside it"});
  CHECK(errors_of("[[listen]]\ntls_certificate = \"/k.pem\"\ntls_key = \"/text\"\n", files) ==
        Lines{"main.toml:2:19: error: tls_certificate: \"/k.pem\" holds no certificate in PEM",
              "main.toml:3:11: error: tls_key: \"/text\" holds no private key in PEM"});
  for (const char* key : {"dns]\ntrust_anchor_file", "dns]\nunbound_config", "tls]\nca_file"}) {
    const auto errors = errors_of("[" + std::string(key) + " = \"/gone\"\n[[listen]]\n", files);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].find("\"/gone\" cannot be read: No such file or directory") !=
          std::string::npos);
    CHECK(errors[0].starts_with("main.toml:2:"));
  }
}

TEST_CASE("the policy map's addresses are its own") {
  CHECK(errors_of(with_listener("[socketmap]\nlisten = \"127.0.0.1:8461\"\n"
                                "sendmail_listen = \"unix:/run/x.sock\"")) == Lines{});
  CHECK(errors_of(with_listener("[socketmap]\nlisten = \"127.0.0.1:8461\"\n"
                                "sendmail_listen = \"0.0.0.0:8461\"")) ==
        Lines{"main.toml:3:19: error: 0.0.0.0:8461 is taken by socketmap.listen at "
              "main.toml:2:10"});
  CHECK(errors_of("[[listen]]\naddress = \"127.0.0.1:8461\"\n[socketmap]\n"
                  "listen = \"127.0.0.1:8461\"\n") ==
        Lines{"main.toml:4:10: error: 127.0.0.1:8461 is taken by a [[listen]] at main.toml:2:11"});
}

TEST_CASE("the milter: its socket, its rules, what they need") {
  const std::string socket = "[milter]\nsocket = \"inet:8891@127.0.0.1\"\n";
  const std::string rule = "[[milter.rule]]\nheader = \"X-Class\"\nvalue = \"y\"\n";
  CHECK(errors_of(with_listener(socket + "own_domains = [\"a.example\", \".a.example\"]\n" +
                                rule)) == Lines{});
  CHECK(errors_of(with_listener(rule)) ==
        Lines{"main.toml:2:10: error: [[milter.rule]] needs socket in [milter]"});
  CHECK(errors_of(with_listener(socket + rule + "require = \"dane\"\n[dane]\nenabled = false")) ==
        Lines{"main.toml:6:11: error: the rule demands DANE, which dane.enabled = false turns "
              "off"});
}

TEST_CASE("sections whose feature this version lacks are refused, not ignored") {
  each({
      {"[store]\nurl = \"postgresql://db/sternpost\"",
       "main.toml:2:7: error: url: a PostgreSQL store is not part of this version; use "
       "\"sqlite:/path\""},
  });
  CHECK(errors_of(with_listener("[tls_rpt]\n[milter]\n[socketmap]\n[admin]\n")) == Lines{});
}

TEST_CASE("[admin]: without a token it listens at loopback and Unix sockets alone") {
  for (const char* address : {"127.0.0.1:8470", "[::1]:8470", "127.9.9.9:1", "unix:/run/a.sock"}) {
    INFO(address);
    CHECK(errors_of(with_listener("[admin]\nlisten = \"" + std::string(address) + "\"")) ==
          Lines{});
  }
  each({
      {"[admin]\nlisten = \"192.0.2.1:8470\"",
       "main.toml:2:10: error: 192.0.2.1:8470 is not loopback: it needs token_file"},
      {"[admin]\nlisten = \"0.0.0.0:8470\"",
       "main.toml:2:10: error: 0.0.0.0:8470 is not loopback: it needs token_file"},
      {"[admin]\nlisten = \"[::]:8470\"",
       "main.toml:2:10: error: [::]:8470 is not loopback: it needs token_file"},
  });
  CHECK(errors_of(with_listener("[admin]\nlisten = \"192.0.2.1:80\"\ntokenfile = \"/t\"")) ==
        Lines{"main.toml:2:10: error: 192.0.2.1:80 is not loopback: it needs token_file",
              "main.toml:3:1: error: unknown key \"tokenfile\"; the nearest known key is "
              "\"token_file\""});
}

TEST_CASE("[admin]: the token's file is read, and a token it must be") {
  const std::string text =
      with_listener("[admin]\nlisten = \"192.0.2.1:8470\"\ntoken_file = \"/t\"");
  const auto with = [&](const std::string& token) { return errors_of(text, {{"/t", token}}); };
  CHECK(with("0123456789abcdef\n") == Lines{});
  CHECK(with("0123456789abcdef\r\n") == Lines{});
  CHECK(with(std::string(512, 'x')) == Lines{});
  CHECK(errors_of(text).size() == 1);  // cannot be read
  const Lines too_short{"main.toml:3:14: error: /t: a token of at least 16 characters is expected: "
                        "openssl rand -hex 32"};
  CHECK(with("") == too_short);
  CHECK(with("0123456789abcde\n") == too_short);
  CHECK(with(std::string(513, 'x')) ==
        Lines{"main.toml:3:14: error: /t: a token has at most 512 characters"});
  const Lines odd{"main.toml:3:14: error: /t: a token is one line of printable ASCII without "
                  "spaces"};
  CHECK(with("0123456789 abcdef") == odd);
  CHECK(with("0123456789abcdef\nx") == odd);
  CHECK(with("0123456789abcd\xc3\xa4") == odd);
}

TEST_CASE("[admin]: a token that others can read or change is warned of") {
  using std::filesystem::perms;
  const auto warnings = [](unsigned mode) {
    config::Surroundings machine = config_test::machine({{"/t", "0123456789abcdef"}});
    machine.permissions = [mode](const config::Path&) { return std::optional(perms(mode)); };
    const std::string text =
        with_listener("[admin]\nlisten = \"192.0.2.1:8470\"\ntoken_file = \"/t\"");
    return config_test::texts(config::load_sources({{"main.toml", text}}, machine).warnings,
                              "warning");
  };
  CHECK(warnings(0600) == Lines{});
  CHECK(warnings(0640) == Lines{});
  CHECK(warnings(0644) ==
        Lines{"main.toml:3:14: warning: /t can be read by everybody: chmod 0640 or less"});
  CHECK(warnings(0660) == Lines{"main.toml:3:14: warning: /t can be written by others than its "
                                "owner: chmod 0640 or less"});
  CHECK(config_test::warnings_of(with_listener("[admin]\ntoken_file = \"/t\""),
                                 {{"/t", "0123456789abcdef"}}) ==
        Lines{"main.toml:2:14: warning: token_file has no meaning without listen: nothing "
              "listens"});
}

TEST_CASE("all mistakes are told at once, in the order of the file") {
  CHECK(errors_of("[server]\nthreads = \"two\"\n[[listen]]\naddres = \"x\"\nclients = [\"x/y\"]\n"
                  "[outbound]\nport = 0\n").size() == 4);
}

TEST_CASE("what is no TOML is told with its place, and the rest is read all the same") {
  const auto errors = errors_of("[[listen]]\naddress = \"127.0.0.1:25\nmax_sessions = 5\n"
                                "[outbound]\nport = \nprot = 25\nstall = \"x\"\n");
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].starts_with("main.toml:2:"));
  CHECK(errors[0].find("not TOML") != std::string::npos);
  CHECK(errors[1].starts_with("main.toml:5:8: error: not TOML"));
  CHECK(errors[2].starts_with("main.toml:6:1: error: unknown key \"prot\""));
  CHECK(errors[3].starts_with("main.toml:7:9: error: stall: must be a time"));
}

TEST_CASE("a line that is no TOML makes no other key seem missing") {
  const auto errors =
      errors_of(with_listener("[[policy.exception]]\ndomains = [\"a.example\"]\n"
                              "allow = \"encrypted\"\nuntil = 2026-13-45\nowner = \"o\"\n"
                              "reason = \"r\""));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].starts_with("main.toml:4:"));
}

TEST_CASE("text from the file reaches a terminal without control characters") {
  const auto errors = errors_of(with_listener("[policy]\n\"mo\\u001bde\" = \"\\u001b[31m\""));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].find('\033') == std::string::npos);
}

TEST_CASE("names of endless depth are refused before they exhaust the stack") {
  std::string deep;
  for (int i = 0; i < 200000; ++i) deep += "a.";
  CHECK(errors_of(deep + "a = 1\n").size() == 1);
  std::string lists = "x = ";
  for (int i = 0; i < 100000; ++i) lists += '[';
  CHECK_FALSE(errors_of(lists).empty());
}

TEST_CASE("a header that the library takes for impossible is a mistake like any other") {
  for (const char* text : {"[= 1\n", "[[= 1\n", "[\n", "[]\n", "[a.]\n", "x = {= 1}\n", "= 1\n",
                           "\u03c0 = 1\n", "x = \u03c0\n", "\u00e4.b = 1\n"}) {
    INFO(text);
    const auto errors = errors_of(text);
    REQUIRE_FALSE(errors.empty());
    CHECK(errors[0].starts_with("main.toml:1:"));
  }
}

TEST_CASE("a section that is not closed is told, and what follows is read in it") {
  const Lines errors = errors_of(
      "[server]\nhostname = edge.example.com\n[[listen]\nprotocol = \"lmtp\"\n"
      "address = \"127.0.0.1:10024\"\n[outbound\nprot = 25\n");
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].starts_with("main.toml:2:12: error: not TOML"));
  CHECK(errors[0].find("text stands in quotes") != std::string::npos);
  CHECK(errors[1].starts_with("main.toml:3:10: error: not TOML"));
  CHECK(errors[2].starts_with("main.toml:6:10: error: not TOML"));
  CHECK(errors[3] ==
        "main.toml:7:1: error: unknown key \"prot\"; the nearest known key is \"port\"");
}

TEST_CASE("tls_rpt.submit_via: a [[listen]] of our own would have report mail come back") {
  const auto told = [](const std::string& listen, const std::string& reports) {
    const auto errors =
        errors_of("[[listen]]\naddress = \"" + listen + "\"\n[tls_rpt]\n" + reports);
    return errors.empty() ? std::string() : errors[0];
  };
  const auto via = [](const std::string& address) { return "submit_via = \"" + address + "\""; };
  CHECK(told("127.0.0.1:10025", via("localhost:10025")) ==
        "main.toml:4:14: error: submit_via 127.0.0.1:10025 is the [[listen]] at main.toml:2: "
        "report mail needs an MTA with a queue, not this relay");
  CHECK_FALSE(told("0.0.0.0:10025", via("127.0.0.1:10025")).empty());
  CHECK_FALSE(told("192.0.2.1:25", via("192.0.2.1:25")).empty());
  CHECK_FALSE(told("unix:/run/a.sock", via("unix:/run/a.sock")).empty());
  CHECK(told("127.0.0.1:10025", via("127.0.0.1:25")).empty());
  CHECK(told("127.0.0.1:25", via("127.0.0.2:25")).empty());
  CHECK(told("0.0.0.0:25", via("192.0.2.1:25")).empty());  // it may be another host
  CHECK(told("127.0.0.1:25", via("127.0.0.1:25") + "\nenabled = false").empty());
  // The default counts where mail would go to it.
  CHECK(told("127.0.0.1:25", "").empty());
  const std::string identity = "organization_name = \"E\"\ncontact_info = \"a@b.example\"\n"
                               "report_domain = \"b.example\"\n";
  CHECK(told("127.0.0.1:25", identity).starts_with("main.toml:3:2: error: submit_via 127.0.0.1:"));
  CHECK(told("127.0.0.1:25", identity + "send = false").empty());
}
