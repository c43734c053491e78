// The report as text and as JSON: every key documented, nothing of strangers obeyed by a terminal;
// several resolvers compared; the daemon's cache as a row.
#include <nlohmann/json.hpp>

#include "audit/record.h"
#include "check/json.h"
#include "check/run.h"
#include "check/text.h"
#include "tests/unit/check/check_support.h"

using namespace check_test;
using nlohmann::json;
namespace pt = plan_test;

namespace {

const std::string evil = "evil\x1b[31m\nname\xc2\x9b" "2J";

// A report that has something everywhere.
check::Report full() {
  Made one = made(2);
  one.hosts[0].dane = pt::usable();
  one.setup.with(pt::sts(policy::StsMode::enforce, {"other.example.com"}));
  one.plan();
  one.shows(pt::session());
  one.seen().matches.push_back({pt::tlsa(), false, "the certificate matches no TLSA record"});
  one.seen().helo = evil;
  one.gathered.asked.push_back({dns::Type::MX, "example.com", std::nullopt});
  check::Report report = one.report();
  report.resolvers = {{"a", "validates", {"x"}}, {"b", "validates", {"y"}}};
  report.differences = {{"MX", "example.com", {"secure data: 10 x", evil}}};
  report.answers[0].records.push_back(evil);
  report.problems.push_back({"no-policy", false, evil, "publish one"});
  return report;
}

}  // namespace

TEST_CASE("docs/check.md names exactly the keys of the JSON") {
  compare_keys(json::parse(check::to_json(full())), "check.md");
}

TEST_CASE("neither text nor JSON carries a stranger's control characters") {
  const check::Report report = full();
  for (const std::string& out : {check::to_text(report, false), check::to_json(report)}) {
    CHECK(out.find('\x1b') == std::string::npos);
    CHECK(out.find("\xc2\x9b") == std::string::npos);
    CHECK(out.find("evil") != std::string::npos);
  }
  CHECK(check::to_text(report, true).find("\033[1m") != std::string::npos);
  CHECK(check::to_text(report, true).find("\033[31m\nname") == std::string::npos);
}

TEST_CASE("resolvers: differing answers are told, order of records and TTL do not differ") {
  const auto answer = [](std::vector<std::string> records, int ttl, dns::Security security) {
    dns::RawAnswer raw;
    raw.existence = dns::Existence::data;
    raw.security = security;
    raw.records = std::move(records);
    raw.ttl = std::chrono::seconds(ttl);
    return raw;
  };
  const std::string one("\xc0\x00\x02\x01", 4);
  const std::string two("\xc0\x00\x02\x02", 4);
  const auto secure = dns::Security::secure;
  std::vector<check::Gathered> all(2);
  all[0].asked = {{dns::Type::A, "a.example", answer({one, two}, 60, secure)},
                  {dns::Type::A, "b.example", answer({one}, 60, secure)},
                  {dns::Type::A, "c.example", answer({one}, 60, secure)},
                  {dns::Type::A, "d.example", answer({one}, 60, secure)}};
  all[1].asked = {{dns::Type::A, "a.example", answer({two, one}, 30, secure)},
                  {dns::Type::A, "b.example", answer({two}, 60, secure)},
                  {dns::Type::A, "c.example", answer({one}, 60, dns::Security::insecure)}};
  for (check::Gathered& each : all) each.validation.state = dns::Validation::validates;
  all.emplace_back();  // one that answers nothing is no difference
  const auto differences = check::differences_of(all);
  REQUIRE(differences.size() == 3);
  CHECK(differences[0].answers[2] == "no answer to anything");
  CHECK(differences[0].name == "b.example");
  CHECK(differences[0].answers[1] == "secure data: 192.0.2.2");
  CHECK(differences[1].answers[1] == "insecure data: 192.0.2.1");
  CHECK(differences[2].answers[1] == "not asked");
}

TEST_CASE("--at: a policy that was fetched for the question is not called old") {
  check::Report report;
  report.policy.state = "active";
  report.policy.source = "fetched";
  report.policy.fetched = base::WallTime(std::chrono::days(7305));
  report.time_given = true;
  const std::string text = check::to_text(report, false);
  CHECK(text.find("fetched now, and taken as if at that time; expires") != std::string::npos);
  report.policy.source = "cached";
  CHECK(check::to_text(report, false).find("cached 1990-01-01") != std::string::npos);
}

TEST_CASE("the daemon's cache: a row, none, and what cannot be read") {
  using Reply = base::Result<json, proxy::DaemonError>;
  const auto cached = [](const json& value) {
    return check::cache_of(Reply(boost::system::in_place_value, value), pt::name("example.com"));
  };
  json policy;
  policy["id"] = "1";
  policy["fetched"] = "2026-01-01T00:00:00.000Z";
  policy["expires"] = "2026-01-02T00:00:00.000Z";
  policy["policy"] = {"version: STSv1", "mode: none"};
  json reply;
  reply["policy"] = policy;
  const auto row = cached(reply).row;
  REQUIRE(row);
  CHECK(row->body == "version: STSv1\nmode: none\n");
  // --at: what was fetched later was not there then.
  const auto then = [&](const char* text) {
    const auto time = audit::parse_rfc3339(text);
    REQUIRE(time);
    return check::as_of(cached(reply), *time);
  };
  CHECK(then("2026-01-01T00:00:00.000Z").row.has_value());
  CHECK_FALSE(then("2025-12-31T23:59:59.999Z").row.has_value());
  CHECK(then("1990-01-01T00:00:00.000Z").words ==
        "the daemon fetched its policy later than that, at 2026-01-01T00:00:00.000Z: what is "
        "published now counts");
  reply["policy"]["policy"] = {1};
  CHECK_FALSE(cached(reply).row);
  reply["policy"] = nullptr;
  CHECK(cached(reply).words == "the daemon has no policy cached: what is published now counts");
  proxy::DaemonError error;
  error.not_running = true;
  const Reply none = base::fail(error);
  CHECK(check::cache_of(none, pt::name("example.com")).words ==
        "no daemon runs: what is published now counts");
}
