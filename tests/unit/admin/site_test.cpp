#include <catch2/catch.hpp>

#include "admin/site.h"

using admin::Answer;
using admin::Facts;
using nlohmann::json;

namespace {

admin::Policies policies() {
  admin::Policies policies;
  policies.page = [](const std::string& after, std::size_t most) {
    json page = json::array();
    for (const char* domain : {"a.example", "b.example", "c.example"}) {
      if (std::string(domain) <= after || page.size() == most) continue;
      page.push_back({{"domain", domain}, {"mode", "enforce"}});
    }
    return page;
  };
  policies.one = [](const std::string& domain) -> std::optional<json> {
    if (domain != "a.example") return std::nullopt;
    return json{{"domain", domain}, {"policy", {"version: STSv1"}}};
  };
  return policies;
}

std::shared_ptr<Facts> facts() {
  auto facts = std::make_shared<Facts>();
  facts->status = {{"hostname", "edge.example.com"}, {"version", "1"}, {"config", "/c.toml"},
                   {"uptime", 90061},                {"sessions", 1234567}};
  facts->status["listeners"] = {{{"address", "127.0.0.1:10025"},
                                 {"protocol", "smtp"},
                                 {"sessions", 3},
                                 {"max_sessions", 100}}};
  facts->status["weakenings"] = json::array();
  facts->families = {metrics::gauge("sternpost_mx_connections_open", "Open.", 4),
                     metrics::gauge("sternpost_mx_connections_idle", "Idle.", 1)};
  return facts;
}

Answer ask(const std::string& target) { return admin::answer(target, facts(), policies()); }
json ask_json(const std::string& target) { return json::parse(ask(target).body); }

}  // namespace

TEST_CASE("health: 200 while the relay answers, 503 with words where it is not ready") {
  CHECK(ask("/healthz").body == "alive\n");
  CHECK(ask("/readyz").status == 200);
  auto ill = facts();
  ill->not_ready = {"the store: disk I/O error", "it is ending"};
  const Answer answer = admin::answer("/readyz", ill, policies());
  CHECK(answer.status == 503);
  CHECK(answer.body == "not ready: the store: disk I/O error\nnot ready: it is ending\n");
  CHECK(admin::answer("/healthz", ill, policies()).status == 200);
  for (const char* path : {"/healthz", "/readyz", "/metrics", "/", "/api/v1/status"}) {
    CHECK(admin::answer(path, nullptr, policies()).status == 503);
  }
}

TEST_CASE("the API: status, sessions, counters, policies by page, one policy") {
  CHECK(ask_json("/api/v1/status")["uptime"] == 90061);
  CHECK(ask_json("/api/v1/status")["schema"] == 1);
  CHECK(ask_json("/api/v1/sessions")["mx_connections"] == json{{"open", 4}, {"idle", 1}});
  CHECK(ask_json("/api/v1/counters")["families"].size() == 2);
  CHECK(ask_json("/api/v1/policies")["policies"].size() == 3);
  CHECK(ask_json("/api/v1/policies")["next"].is_null());
  const json page = ask_json("/api/v1/policies?limit=2");
  CHECK(page["policies"].size() == 2);
  CHECK(page["next"] == "b.example");
  CHECK(ask_json("/api/v1/policies?after=b%2Eexample&limit=2")["policies"][0]["domain"] ==
        "c.example");
  CHECK(ask_json("/api/v1/policies/a.example")["policy"][0] == "version: STSv1");
  CHECK(ask_json("/api/v1/policies/a%2eexample")["domain"] == "a.example");
}

TEST_CASE("the API: what is not there, and what is asked wrongly") {
  CHECK(ask("/api/v1/policies/x.example").status == 404);
  CHECK(ask("/api/v1/policies/").status == 404);
  CHECK(ask("/api/v1/policies/../../etc/passwd").status == 404);
  CHECK(ask("/api/v1/nothing").status == 404);
  CHECK(ask("/nothing").status == 404);
  CHECK(ask("//").status == 404);
  for (const char* query : {"limit=0", "limit=1001", "limit=-1", "limit=1x", "limit=", "page=2",
                            "limit=99999999999999999999999"}) {
    INFO(query);
    CHECK(ask(std::string("/api/v1/policies?") + query).status == 400);
  }
  // A cut or wrong escape stands for itself.
  CHECK(ask("/api/v1/policies/a%").status == 404);
  CHECK(ask("/api/v1/policies/a%2").status == 404);
  CHECK(ask("/api/v1/policies/a%zz").status == 404);
}

TEST_CASE("the console escapes every text and loads nothing but its own style") {
  auto odd = facts();
  const std::string script = "<script>alert(\"1\")</script>'&\x1b[31m";
  odd->not_ready = {script};
  odd->status["hostname"] = script;
  odd->status["config"] = script;
  odd->status["version"] = script;
  odd->status["weakenings"] = {script};
  odd->status["listeners"][0]["address"] = script;
  odd->status["listeners"][0]["protocol"] = script;
  metrics::Family family = metrics::gauge("sternpost_deliveries_total", "D.", 5);
  family.samples[0].labels = {{"verdict", script}};
  odd->families.push_back(family);
  const Answer answer = admin::answer("/", odd, policies());
  CHECK(answer.type == "text/html; charset=utf-8");
  CHECK(answer.body.find("<script") == std::string::npos);
  CHECK(answer.body.find('\x1b') == std::string::npos);
  CHECK(answer.body.find("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;?[31m") !=
        std::string::npos);
  CHECK(answer.body.find("style=") == std::string::npos);
  CHECK(answer.body.find("<style") == std::string::npos);
  CHECK(answer.body.find("http:") == std::string::npos);
  CHECK(answer.body.find("https:") == std::string::npos);
  CHECK(ask("/console.css").type == "text/css; charset=utf-8");
  CHECK(ask("/console.css").body.find("url(") == std::string::npos);
}

TEST_CASE("the console: numbers, durations, and what is zero is left out") {
  const std::string page = ask("/").body;
  CHECK(page.find("Relaying.") != std::string::npos);
  CHECK(page.find("1,234,567") != std::string::npos);
  CHECK(page.find("1 d 1 h") != std::string::npos);
  CHECK(page.find("Weaker for every domain") == std::string::npos);
}

TEST_CASE("metrics are served as what they are") {
  const Answer answer = ask("/metrics");
  CHECK(answer.type == metrics::content_type);
  CHECK(answer.body.starts_with("# HELP sternpost_mx_connections_open Open.\n"));
}
