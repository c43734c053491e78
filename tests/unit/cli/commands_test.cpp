#include <catch2/catch.hpp>

#include <algorithm>
#include <sstream>

#include "cli/commands.h"
#include "config/defaults.h"

namespace {

struct Outcome {
  int status;
  std::string out;
  std::string err;
  std::vector<std::string> served;
};

config::LoadResult answer(const std::string& text) {
  config::Surroundings surroundings;
  surroundings.today = std::chrono::sys_days(std::chrono::year{2026} / 6 / 1);
  surroundings.host_name = [] { return std::string("edge.example.com"); };
  return config::load_sources({{"x.toml", text}}, surroundings);
}

Outcome run(const std::vector<std::string>& arguments, const std::string& text = "[[listen]]\n",
            bool colour = false, const nlohmann::json& reply = {}) {
  std::ostringstream out;
  std::ostringstream err;
  Outcome outcome{};
  cli::World world;
  world.default_config = "/default.toml";
  world.load = [&](const config::Path& path) {
    outcome.served.push_back("load " + path.string());
    return answer(text);
  };
  world.serve = [&](const std::string& path) {
    outcome.served.push_back("serve " + path);
    return 75;
  };
  world.report = [&](const config::Config&, const nlohmann::json& request) {
    outcome.served.push_back(request.dump());
    return base::Result<nlohmann::json, proxy::DaemonError>(boost::system::in_place_value, reply);
  };
  outcome.status = cli::run(arguments, {out, err, colour}, world);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("config check: 0 without mistakes, 78 with, every mistake on its line") {
  const Outcome fine = run({"config", "check"});
  CHECK(fine.status == 0);
  CHECK(fine.out.empty());
  CHECK(fine.err == "/default.toml: no mistakes\n");
  CHECK(fine.served == Lines{"load /default.toml"});

  const Outcome bad = run({"config", "check", "-c", "y.toml"},
                          "[[listen]]\n[outbound]\nport = 0\nprot = 1\n[dane]\nenabled = false\n");
  CHECK(bad.status == 78);
  CHECK(bad.served == Lines{"load y.toml"});
  CHECK(bad.err ==
        "x.toml:3:8: error: port: must be a port from 1 to 65535, not 0\n"
        "x.toml:4:1: error: unknown key \"prot\"; the nearest known key is \"port\"\n"
        "x.toml:6:11: warning: DANE is turned off\n");
}

TEST_CASE("config check: warnings alone are no mistake") {
  const Outcome warned = run({"config", "check"}, "[[listen]]\n[dane]\nenabled = false\n");
  CHECK(warned.status == 0);
  CHECK(warned.err.find("x.toml:3:11: warning: DANE is turned off\n") == 0);
}

TEST_CASE("colour only where it is asked for") {
  const std::string text = "[[listen]]\n[outbound]\nport = 0\n";
  CHECK(run({"config", "check"}, text).err.find('\033') == std::string::npos);
  CHECK(run({"config", "check"}, text, true).err.find("\033[31m") == 0);
}

TEST_CASE("config defaults: prints the schema, reads nothing") {
  const Outcome outcome = run({"config", "defaults"});
  CHECK(outcome.status == 0);
  CHECK(outcome.out == config::defaults_toml());
  CHECK(outcome.err.empty());
  CHECK(outcome.served.empty());
}

TEST_CASE("serve gets the file and gives the status") {
  CHECK(run({"serve"}).served == Lines{"serve /default.toml"});
  CHECK(run({"serve", "--config", "z.toml"}).served == Lines{"serve z.toml"});
  CHECK(run({"serve", "--config=z.toml"}).status == 75);
}

TEST_CASE("wrong usage is status 2, told on standard error") {
  for (const Lines& arguments :
       {Lines{}, Lines{"config"}, Lines{"nonsense"}, Lines{"serve", "extra"}, Lines{"serve", "-c"},
        Lines{"config", "check", "--nonsense"}, Lines{"--nonsense"}, Lines{"serve", "config"}}) {
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(std::ranges::count(outcome.err, '\n') == 1);
    CHECK(outcome.err.ends_with(" --help\n"));
    CHECK(outcome.served.empty());
  }
}

TEST_CASE("wrong usage is told in one line, with the words that are wrong") {
  const auto told = [](const Lines& arguments, const std::string& err) {
    CHECK(run(arguments).err == err + " --help\n");
  };
  const std::string commands =
      "; the commands are serve, config, check, own, report, policy, audit, doctor, snippet; see "
      "sternpost";
  told({}, "sternpost: a command is missing" + commands);
  told({"list"}, "sternpost: no command list" + commands);
  told({"-x"}, "sternpost: no option -x" + commands);
  told({"report", "burn\x1b[31m\n"},
       "sternpost report: no command burn?[31m?; the commands are list, show, send, read; see "
       "sternpost report");
  told({"report", "list", "a.example", "b.example"},
       "sternpost report list: \"a.example\" is not expected here; see sternpost report list");
  told({"report", "list", "--domian", "a.example"},
       "sternpost report list: \"--domian\" is not expected here; see sternpost report list");
  told({"-c", "x", "config", "check"},
       "sternpost config check: -c stands behind the command; see sternpost config check");
  told({"config", "check", "-c"},
       "sternpost config check: --config needs a FILE; see sternpost config check");
  told({"report", "read"}, "sternpost report read: FILE is required; see sternpost report read");
  told({"report", "read", "--json", "--html", "x"},
       "sternpost report read: --json excludes --html; see sternpost report read");
}

TEST_CASE("--help of every command has two examples; only what is there is listed") {
  const std::vector<std::pair<Lines, std::string>> commands{
      {{"--help"}, "  sternpost "},
      {{"serve", "--help"}, "  sternpost serve"},
      {{"config", "--help"}, "  sternpost config "},
      {{"config", "check", "--help"}, "  sternpost config check"},
      {{"check", "--help"}, "  sternpost check "},
      {{"own", "--help"}, "  sternpost own "},
      {{"report", "--help"}, "  sternpost report "},
      {{"report", "read", "--help"}, "  sternpost report read "},
      {{"report", "list", "--help"}, "  sternpost report list"},
      {{"report", "show", "--help"}, "  sternpost report show "},
      {{"report", "send", "--help"}, "  sternpost report send "},
      {{"audit", "--help"}, "  sternpost audit "},
      {{"audit", "query", "--help"}, "  sternpost audit query "},
      {{"audit", "verify", "--help"}, "  sternpost audit verify"},
      {{"policy", "--help"}, "  sternpost policy "},
      {{"policy", "list", "--help"}, "  sternpost policy list"},
      {{"policy", "show", "--help"}, "  sternpost policy show "},
      {{"policy", "refresh", "--help"}, "  sternpost policy refresh "},
      {{"policy", "purge", "--help"}, "  sternpost policy "},
      {{"policy", "lint", "--help"}, "policy lint "},
      {{"policy", "generate", "--help"}, "  sternpost policy generate "},
      {{"doctor", "--help"}, "  sternpost doctor"},
      {{"config", "defaults", "--help"}, "  sternpost config defaults"}};
  for (const auto& [arguments, example] : commands) {
    const Outcome outcome = run(arguments);
    INFO(outcome.out);
    CHECK(outcome.status == 0);
    CHECK(outcome.err.empty());
    const std::size_t examples = outcome.out.find("Examples:");
    REQUIRE(examples != std::string::npos);
    const std::size_t first = outcome.out.find(example, examples);
    REQUIRE(first != std::string::npos);
    CHECK(outcome.out.find(example, first + 1) != std::string::npos);
    const bool group = arguments[0] == "--help" || arguments == Lines{"config", "--help"} ||
                       arguments == Lines{"report", "--help"} ||
                       arguments == Lines{"audit", "--help"} ||
                       arguments == Lines{"policy", "--help"};
    CHECK((outcome.out.find("-c,--config FILE") == std::string::npos) == group);
  }
  CHECK(run({"--help"}).out.find("metrics") == std::string::npos);
}

TEST_CASE("--version names the program and a version") {
  const Outcome outcome = run({"--version"});
  CHECK(outcome.status == 0);
  CHECK(outcome.out == "sternpost " STERNPOST_VERSION "\n");
}

namespace {

// What the daemon answers to `report list`; `state` and `answer` are of its one endpoint.
nlohmann::json report_list(const std::string& state, const std::string& answer) {
  const std::string text =
      R"({"schema": 1, "date": "2026-11-25", "state": "composed", "not_sending": null, "left": 0,
          "reports": [{"domain": "recv.example", "report_id": "x@y", "successes": 3,
            "failures": 1, "state": "sending", "file": "/x", "record": "v=TLSRPTv1", "why": null,
            "next": null, "endpoints": [{"uri": "mailto:a@recv.example", "attempts": 1,
              "first": null, "next": null}]}]})";
  nlohmann::json reply = nlohmann::json::parse(text);
  reply["reports"][0]["endpoints"][0]["state"] = state;
  reply["reports"][0]["endpoints"][0]["answer"] = answer;
  return reply;
}

}  // namespace

TEST_CASE("report list, send: a terminal obeys nothing that an endpoint says") {
  const auto reply = report_list("waiting", "451 \x1b[31m\xc2\x9b\xe2\x80\xae no\nforged: line");
  for (const std::string command : {"list", "send"}) {
    CAPTURE(command);
    const Outcome told = run({"report", command, "--date", "2026-11-25"}, "[[listen]]\n", false,
                             reply);
    CHECK(told.out.find('\x1b') == std::string::npos);
    CHECK(told.out.find("\xc2\x9b") == std::string::npos);
    CHECK(told.out.find("\nforged") == std::string::npos);
    const Outcome json = run({"report", command, "--json"}, "[[listen]]\n", false, reply);
    for (const char c : json.out) CHECK(((c >= 0x20 && c < 0x7F) || c == '\n'));
    CHECK(nlohmann::json::parse(json.out) == reply);
  }
}

TEST_CASE("report send: 0 when everybody has it, 1 when not, in words and in JSON") {
  for (const bool as_json : {false, true}) {
    CAPTURE(as_json);
    std::vector<std::string> arguments{"report", "send", "--domain", "recv.example"};
    if (as_json) arguments.push_back("--json");
    auto reply = report_list("accepted", "250 2.0.0 Ok");
    reply["reports"][0]["state"] = "sent";
    CHECK(run(arguments, "[[listen]]\n", false, reply).status == 0);
    reply["reports"][0]["endpoints"][0]["state"] = "given-up";
    CHECK(run(arguments, "[[listen]]\n", false, reply).status == 1);
  }
}

TEST_CASE("report: a value that is missing or wrong is a usage error, and nothing is asked") {
  for (const Lines& bad : {Lines{"--domain", ""}, Lines{"--date", ""},
                           Lines{"--date", "2026-02-30"}, Lines{"--domain", "a b"}}) {
    CAPTURE(bad);
    const Outcome told = run({"report", "send", bad[0], bad[1]});
    CHECK(told.status == 2);
    CHECK(told.served.empty());
    CHECK(std::ranges::count(told.err, '\n') == 1);
  }
  CHECK(run({"report", "list", "--domain", "a b\x1b"}).err ==
        "--domain: \"a b?\" is no domain: character not allowed in a name\n");
  CHECK(run({"report", "list", "--date", "yesterday"}).err ==
        "--date: \"yesterday\" is no day; write YYYY-MM-DD\n");
}

TEST_CASE("report send --dry-run: of a day that is not over one line says so") {
  nlohmann::json reply{{"schema", 1}, {"date", "2026-11-26"}, {"notice", "wait; --date x"}};
  reply["messages"] = reply["nothing"] = nlohmann::json::array();
  const Lines arguments{"report", "send", "--dry-run"};
  const Outcome none = run(arguments, "[[listen]]\n", false, reply);
  CHECK(none.status == 0);
  CHECK(none.err == "what there is by now: wait; --date x\nno report of 2026-11-26\n");
  const nlohmann::json later{{"schema", 1}, {"date", "2026-12-01"}, {"state", "to-come"},
                             {"reports", nlohmann::json::array()}};
  CHECK(run({"report", "list"}, "[[listen]]\n", false, later).err ==
        "no report of 2026-12-01: that day is to come\n");
  reply["messages"].push_back({{"domain", "a.example"}, {"uri", "mailto:a"}, {"message", "M\n"}});
  const Outcome some = run(arguments, "[[listen]]\n", false, reply);
  CHECK(some.status == 0);
  CHECK(some.out == "M\n");
  CHECK(some.err == "what there is by now: wait; --date x\na.example to mailto:a:\n");
  reply["notice"] = nullptr;
  CHECK(run(arguments, "[[listen]]\n", false, reply).err == "a.example to mailto:a:\n");
}

TEST_CASE("report show: 1 where a file is missing, with the others shown") {
  const std::string text =
      R"({"schema": 1, "date": "2026-11-25", "reports": [{"domain": "a.example", "report": "{}"}],
          "missing": [{"domain": "b.example", "why": "/x/b.example.json.gz: \u001b gone"}]})";
  auto reply = nlohmann::json::parse(text);
  const Outcome told = run({"report", "show"}, "[[listen]]\n", false, reply);
  CHECK(told.status == 1);
  CHECK(told.err.starts_with("b.example: /x/b.example.json.gz: "));
  CHECK(told.err.find('\x1b') == std::string::npos);
  const Outcome json = run({"report", "show", "--json"}, "[[listen]]\n", false, reply);
  CHECK(json.status == 1);
  CHECK(nlohmann::json::parse(json.out)["missing"] == reply["missing"]);
  CHECK(nlohmann::json::parse(json.out)["reports"].size() == 1);
  reply["reports"] = nlohmann::json::array();
  CHECK(run({"report", "show", "--domain", "b.example"}, "[[listen]]\n", false, reply).status == 1);
  reply["missing"] = nlohmann::json::array();
  CHECK(run({"report", "show"}, "[[listen]]\n", false, reply).status == 0);
}
