// `doctor`: what is made of what was seen, how it is printed, and the exit status.
#include <catch2/catch.hpp>
#include <sstream>

#include "cli/commands.h"
#include "proxy/doctor_judge.h"
#include "proxy/tls_store.h"

namespace {

using proxy::Finding;
using proxy::Health;
using Kind = dns::LookupError::Kind;
using Lines = std::vector<std::string>;

dns::RawLookup answer(dns::Security security) {
  dns::RawAnswer answer;
  answer.existence = dns::Existence::data;
  answer.security = security;
  return answer;
}
dns::RawLookup error(Kind kind) { return base::fail(dns::LookupError{kind, "why"}); }

using Text = base::Result<std::string, base::Error>;
Text text(const char* words) { return {boost::system::in_place_value, words}; }

const auto secure = answer(dns::Security::secure);
const auto insecure = answer(dns::Security::insecure);

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

Outcome run(const Lines& words, const std::vector<Finding>& findings,
            std::string* asked = nullptr) {
  std::ostringstream out;
  std::ostringstream err;
  cli::World world;
  world.default_config = "/nowhere.toml";
  world.load = [](const config::Path&) {
    config::LoadResult result;
    result.config = std::make_shared<const config::Config>();
    return result;
  };
  world.doctor = [&](const config::Config&, const proxy::DoctorQuestions& questions) {
    if (asked) {
      *asked = questions.signed_name + " " + questions.partner + " " + questions.user +
               (questions.user_named ? "! " : " ") + questions.config_file.string();
    }
    return findings;
  };
  Lines arguments{"doctor"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  const int status = cli::run(arguments, {out, err}, world);
  return {status, out.str(), err.str()};
}

std::chrono::sys_days date(const char* words) {
  unsigned y = 0;
  unsigned m = 0;
  unsigned d = 0;
  REQUIRE(std::sscanf(words, "%u-%u-%u", &y, &m, &d) == 3);
  return std::chrono::year(static_cast<int>(y)) / static_cast<int>(m) / static_cast<int>(d);
}

}  // namespace

TEST_CASE("doctor: RFC 4035 §4.3: a resolver must tell secure, bogus and insecure apart") {
  CHECK(proxy::judge_signed("a", secure).health == Health::pass);
  CHECK(proxy::judge_signed("a", insecure).health == Health::fail);
  CHECK(proxy::judge_signed("a", error(Kind::bogus)).health == Health::fail);
  CHECK(proxy::judge_signed("a", error(Kind::timeout)).health == Health::unknown);
  CHECK(proxy::judge_signed("a", error(Kind::servfail)).health == Health::unknown);
  CHECK(proxy::judge_bogus("a", error(Kind::bogus), true).health == Health::pass);
  CHECK(proxy::judge_bogus("a", error(Kind::servfail), true).health == Health::pass);
  CHECK(proxy::judge_bogus("a", error(Kind::servfail), false).health == Health::unknown);
  CHECK(proxy::judge_bogus("a", error(Kind::bogus), false).health == Health::pass);
  CHECK(proxy::judge_bogus("a", insecure, true).health == Health::fail);
  CHECK(proxy::judge_bogus("a", secure, true).health == Health::fail);
  CHECK(proxy::judge_bogus("a", error(Kind::timeout), true).health == Health::unknown);
  CHECK(proxy::judge_unsigned("a", insecure).health == Health::pass);
  CHECK(proxy::judge_unsigned("a", error(Kind::bogus)).health == Health::fail);
  CHECK(proxy::judge_unsigned("a", secure).health == Health::warn);
  CHECK(proxy::judge_unsigned("a", error(Kind::refused)).health == Health::unknown);
  CHECK(proxy::judge_root({dns::Validation::validates, "x"}).health == Health::pass);
  CHECK(proxy::judge_root({dns::Validation::does_not_validate, "x"}).health == Health::fail);
  CHECK(proxy::judge_root({dns::Validation::unknown, "x"}).health == Health::unknown);
}

TEST_CASE("doctor: whoever fails says what to do") {
  for (const Finding& one :
       {proxy::judge_signed("a", insecure), proxy::judge_bogus("a", insecure, true),
        proxy::judge_unsigned("a", error(Kind::bogus)),
        proxy::judge_anchor("/x", Text(boost::system::in_place_error, base::Error{"/x: gone"})),
        proxy::judge_anchor("/x", text("nothing"))}) {
    CHECK(one.health == Health::fail);
    CHECK_FALSE(one.remedy.empty());
  }
  CHECK(proxy::judge_anchor("/x", text(". IN DS 1 2 3 ab")).health == Health::pass);
}

TEST_CASE("doctor: the daemon runs, is not ready, cannot write its log, is not there") {
  using Status = base::Result<nlohmann::json, proxy::DaemonError>;
  const auto health = [](const char* text) {
    const Status status(boost::system::in_place_value, nlohmann::json::parse(text));
    return proxy::judge_daemon("/s", status).health;
  };
  CHECK(health(R"({"ready":true,"log_healthy":true,"status":"relaying"})") == Health::pass);
  CHECK(health(R"({"ready":false,"log_healthy":true,"status":"x"})") == Health::fail);
  CHECK(health(R"({"ready":true,"log_healthy":false})") == Health::fail);
  const Status away(boost::system::in_place_error, proxy::DaemonError{true, "x", 69});
  CHECK(proxy::judge_daemon("/s", away).health == Health::warn);
  const Status denied(boost::system::in_place_error, proxy::DaemonError{false, "x", 69});
  CHECK(proxy::judge_daemon("/s", denied).health == Health::unknown);
}

TEST_CASE("doctor: global weakenings, and exceptions near their end and past it") {
  config::Config config;
  CHECK(proxy::judge_policy(config, date("2026-11-26")).size() == 2);
  config.policy.mode = config::Mode::Observe;
  config.dane.enabled = false;
  config.policy.combine = config::Combine::DaneAlone;
  config::Exception exception;
  exception.domains = {{*base::Domain::parse("broken.example"), false}};
  exception.owner = "postmaster@example.com";
  exception.reason = "ticket 4711";
  using namespace std::chrono;
  exception.until = year(2026) / 12 / 11;
  config.policy.exceptions = {exception};
  const auto of = [&](const char* today) { return proxy::judge_policy(config, date(today)); };
  REQUIRE(of("2026-11-26").size() == 4);
  CHECK(of("2026-11-26")[0].text.find("policy.mode = observe") != std::string::npos);
  CHECK(of("2026-11-26")[3].health == Health::pass);
  CHECK(of("2026-11-27")[3].health == Health::warn);
  CHECK(of("2026-12-11")[3].text ==
        "exception for broken.example (postmaster@example.com: ticket 4711) ends with 2026-12-11");
  CHECK(of("2026-12-12")[3].text.find("is void since the end of 2026-12-11") !=
        std::string::npos);
}

TEST_CASE("doctor: the report identity (RFC 8460 §3)") {
  config::Config config;
  CHECK(proxy::judge_identity(config, std::nullopt).health == Health::warn);
  config.tls_rpt.organization_name = "Example Corp";
  config.tls_rpt.contact_info = "postmaster@example.com";
  config.tls_rpt.report_domain = *base::Domain::parse("example.com");
  CHECK(proxy::judge_identity(config, std::nullopt).text.find("not signed here") !=
        std::string::npos);
  config.tls_rpt.dkim_key = "/key";
  CHECK(proxy::judge_identity(config, std::nullopt).health == Health::pass);
  CHECK(proxy::judge_identity(config, "s= does not allow it").health == Health::fail);
  config.tls_rpt.enabled = false;
  CHECK(proxy::judge_identity(config, std::nullopt).health == Health::pass);
}

TEST_CASE("doctor: the CA store") {
  CHECK(proxy::trust_store("/nowhere.pem").has_error());
  CHECK(proxy::trust_store("").has_value());
}

TEST_CASE("doctor: a line each with what to do, or JSON; the status") {
  const Finding fine{"clock", Health::pass, "kept", ""};
  const Finding warned{"enforcement", Health::warn, "weak\x1b[31m", "mend it"};
  const Finding failed{"port 25", Health::fail, "refused", "ask the provider"};
  const Finding unknown{"resolver", Health::unknown, "no answer", ""};
  const Outcome text = run({}, {fine, warned});
  CHECK(text.status == 0);
  CHECK(text.out ==
        "pass     clock            kept\n"
        "warn     enforcement      weak?[31m\n"
        "                          -> mend it\n");
  CHECK(run({}, {fine, failed, unknown}).status == 1);
  CHECK(run({}, {fine, unknown}).status == 75);
  const auto reply = nlohmann::json::parse(run({"--json"}, {failed}).out);
  CHECK(reply["schema"] == 1);
  CHECK(reply["findings"][0]["health"] == "fail");
  CHECK(reply["findings"][0]["remedy"] == "ask the provider");
  std::string asked;
  CHECK(run({"--signed", "Good.Example.", "--partner", "p.example"}, {}, &asked).status == 0);
  CHECK(asked == "good.example p.example sternpost /nowhere.toml");
  CHECK(run({"--user", "sternpost", "-c", "/x.toml"}, {}, &asked).status == 0);
  CHECK(asked == "ietf.org gmail.com sternpost! /x.toml");
  CHECK(run({"--bogus", "a b"}, {}).status == 2);
}
