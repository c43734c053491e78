// What is no mistake but must be known: weakness, and exceptions near or past their end.
#include <catch2/catch.hpp>

#include "support.h"

using namespace config_test;
using Lines = std::vector<std::string>;

namespace {

std::string exception_until(const std::string& day) {
  return with_listener("[[policy.exception]]\ndomains = [\"b.example\"]\nallow = \"encrypted\"\n"
                       "until = " + day + "\nowner = \"o\"\nreason = \"r\"");
}

}  // namespace

TEST_CASE("the global ways to weaken are warned of, at the key") {
  CHECK(warnings_of(with_listener("[policy]\nmode = \"observe\"\ncombine = \"dane-alone\"\n"
                                  "[mta_sts]\nenabled = false\n[dane]\nenabled = false")) ==
        Lines{"main.toml:2:8: warning: policy.mode is \"observe\": policies are told, not enforced",
              "main.toml:3:11: warning: policy.combine is \"dane-alone\": MTA-STS is not asked "
              "where a host has TLSA",
              "main.toml:5:11: warning: MTA-STS is turned off",
              "main.toml:7:11: warning: DANE is turned off"});
}

TEST_CASE("an exception is warned of from 14 days before its end, and void after it") {
  CHECK(warnings_of(exception_until("2026-06-16")) == Lines{});
  CHECK(warnings_of(exception_until("2026-06-15")) ==
        Lines{"main.toml:4:9: warning: the exception for \"b.example\" ends after 2026-06-15"});
  CHECK(warnings_of(exception_until("2026-06-01")) ==
        Lines{"main.toml:4:9: warning: the exception for \"b.example\" ends after 2026-06-01"});
  CHECK(warnings_of(exception_until("2026-05-31")) ==
        Lines{"main.toml:4:9: warning: the exception for \"b.example\" ended on 2026-05-31 and is "
              "void"});
  CHECK(errors_of(exception_until("2026-05-31")) == Lines{});
}

TEST_CASE("an exception is in force to the end of its last day") {
  using namespace std::chrono;
  const auto config = load_text(exception_until("2026-06-15")).config;
  REQUIRE(config);
  const config::Exception& exception = config->policy.exceptions.at(0);
  CHECK(exception.in_force(sys_days(year{2026} / 6 / 1)));
  CHECK(exception.in_force(sys_days(year{2026} / 6 / 15)));
  CHECK_FALSE(exception.in_force(sys_days(year{2026} / 6 / 16)));
  CHECK_FALSE(config::Exception{}.in_force(sys_days(year{2026} / 6 / 1)));
}

TEST_CASE("clients: an open relay and an empty list are warned of") {
  CHECK(warnings_of("[[listen]]\nclients = [\"0.0.0.0/0\"]\n") ==
        Lines{"main.toml:2:11: warning: clients has 0.0.0.0/0: anyone may relay through this "
              "listener"});
  CHECK(warnings_of("[[listen]]\nclients = []\n") ==
        Lines{"main.toml:2:11: warning: clients is empty: nobody may relay here"});
}

TEST_CASE("a policy map that others can reach is warned of") {
  CHECK(warnings_of(with_listener("[socketmap]\nlisten = \"192.0.2.1:8461\"\n"
                                  "sendmail_listen = \"[::]:5461\"")) ==
        Lines{"main.toml:2:10: warning: 192.0.2.1:8461 is not loopback: whoever reaches it may "
              "ask, and an answer can be forged on the way",
              "main.toml:3:19: warning: [::]:5461 is not loopback: whoever reaches it may ask, and "
              "an answer can be forged on the way"});
  CHECK(warnings_of(with_listener("[socketmap]\nlisten = \"[::1]:8461\"\n"
                                  "sendmail_listen = \"unix:/run/m.sock\"")) == Lines{});
}

TEST_CASE("a milter's socket that others can reach is warned of") {
  for (const std::string open : {"inet:8891", "inet:8891@192.0.2.1", "inet6:8891@[::]"}) {
    CHECK(warnings_of(with_listener("[milter]\nsocket = \"" + open + "\"")) ==
          Lines{"main.toml:2:10: warning: " + open + " is not loopback: whoever reaches it may "
                "ask, hold its connections, and read what is said of domains"});
  }
  for (const std::string good : {"inet:8891@127.0.0.1", "inet:8891@localhost",
                                 "inet6:8891@[::1]", "unix:/run/sternpost/milter.sock"}) {
    CHECK(warnings_of(with_listener("[milter]\nsocket = \"" + good + "\"")) == Lines{});
  }
}

TEST_CASE("a missing default trust anchor is a warning, since nobody named it") {
  auto machine = config_test::machine();
  machine.read_file = [](const config::Path&) -> base::Result<std::string, base::Error> {
    return base::fail("No such file or directory");
  };
  const auto result = config::load_sources({{"main.toml", "[[listen]]\n"}}, machine);
  CHECK(result.config);
  CHECK(texts(result.warnings, "warning") ==
        Lines{"main.toml:1:1: warning: dns.trust_anchor_file: \"/usr/share/dns/root.key\" cannot "
              "be read: No such file or directory"});
}

TEST_CASE("hostname: as set, else the host's; no domain is a warning, no name an error") {
  auto machine = config_test::machine();
  const auto with_name = [&](const std::string& name) {
    machine.host_name = [name] { return name; };
    return config::load_sources({{"main.toml", "[[listen]]\n"}}, machine);
  };
  CHECK(with_name("Edge.Example.COM").config->server.hostname == "edge.example.com");
  const auto bare = with_name("edge");
  REQUIRE(bare.config);
  CHECK(bare.config->server.hostname == "edge");
  CHECK(bare.warnings.size() == 1);
  CHECK(texts(with_name("").errors, "error") ==
        Lines{"main.toml:1:1: error: server.hostname is not set, and the host has no name that "
              "could stand for it"});
  CHECK(load_text(with_listener("[server]\nhostname = \"MX.Example.Org.\"")).config->server
            .hostname == "mx.example.org");
}

TEST_CASE("tls_rpt: who has begun to name himself is told what is missing") {
  const auto told = [](const std::string& keys) {
    return warnings_of(with_listener("[tls_rpt]\n" + keys));
  };
  const std::string organization = "organization_name = \"E\"\n";
  const std::string contact = "contact_info = \"a@b.example\"\n";
  const std::string domain = "report_domain = \"b.example\"\n";
  const auto missing = [](const std::string& words) {
    return Lines{"main.toml:1:2: warning: " + words +
                 " not set: TLS reports are kept and not sent"};
  };
  CHECK(told(contact + domain) == missing("organization_name is"));
  CHECK(told(organization + domain) == missing("contact_info is"));
  CHECK(told(organization + contact) == missing("report_domain is"));
  CHECK(told(organization) == missing("contact_info and report_domain are"));
  CHECK(told(organization + contact + domain) == Lines{});
  CHECK(told("") == Lines{});  // serve says it once, at start
  CHECK(told(organization + "send = false") == Lines{});
}

TEST_CASE("a transparent listener for loopback alone is warned of") {
  CHECK(warnings_of("[[listen]]\nprotocol = \"transparent\"\n") ==
        Lines{"main.toml:2:12: warning: clients is not set, so that loopback alone may relay: what "
              "the firewall redirects comes from this machine's own addresses"});
  CHECK(warnings_of("[[listen]]\nprotocol = \"transparent\"\nclients = [\"192.0.2.1\"]\n") ==
        Lines{});
}
