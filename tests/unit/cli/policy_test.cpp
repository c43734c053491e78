// `policy list|show|refresh|purge|lint|generate` as commands.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "audit/record.h"
#include "cli/commands.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Lines = std::vector<std::string>;

class FixedClock final : public base::Clock {
 public:
  base::WallTime wall() const override {
    return *audit::parse_rfc3339("2026-11-26T18:15:00.000Z");
  }
  base::SteadyTime steady() const override { return {}; }
};

struct Outcome {
  int status = 0;
  std::string out;
  std::string err;
  Lines asked;
};

struct Setting {
  json reply;
  std::optional<proxy::DaemonError> error;
  std::string input;
  bool colour = false;
};

Outcome run(Lines arguments, const Setting& setting = {}) {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in(setting.input);
  const FixedClock clock;
  Outcome outcome;
  cli::World world;
  world.clock = &clock;
  world.in = &in;
  world.default_config = "/nowhere/sternpost.toml";
  world.load = [](const config::Path&) {
    config::LoadResult result;
    result.config = std::make_shared<const config::Config>();
    result.warnings.push_back({{"x.toml", 1, 1}, "told by config check and serve"});
    return result;
  };
  world.policy = [&](const config::Config&, const json& request) {
    outcome.asked.push_back(request.dump());
    using Reply = base::Result<json, proxy::DaemonError>;
    if (setting.error) return Reply(boost::system::in_place_error, *setting.error);
    return Reply(boost::system::in_place_value, setting.reply);
  };
  arguments.insert(arguments.begin(), "policy");
  cli::Terminal terminal{out, err};
  terminal.out_colour = setting.colour;
  outcome.status = cli::run(arguments, terminal, world);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

json one_policy() {
  return json::parse(R"({"domain":"a.example","mode":"enforce","id":"1","mx":["mx1.a.example",
    "mx2.a.example","*.b.example","x.c.example"],"max_age":86400,
    "fetched":"2026-11-26T10:00:00.000Z","expires":"2026-11-27T10:00:00.000Z",
    "refresh_due":"2026-11-26T22:00:00.000Z","refresh_failures":2,
    "refresh_failure":"HTTP 404\u001b[31m"})");
}

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sternpost-policy-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string put(const std::string& name, const std::string& octets) const {
    std::ofstream(path / name, std::ios::binary) << octets;
    return (path / name).string();
  }
  fs::path path;
};

// An EC key made for this test, and its SubjectPublicKeyInfo's SHA-256 as `openssl` has it.
const std::string public_key =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEv/G8unT3GEgWHeEKLkThdUFiUgcu\n"
    "GMKXkSdew0iM/ZJuSClVvxeoh6wfWZdYA+EIsv0rGYlJVI83y/yObVHbug==\n"
    "-----END PUBLIC KEY-----\n";

}  // namespace

TEST_CASE("policy list: a table that a terminal may show, or JSON") {
  Setting setting;
  setting.reply["policies"] = json::array({one_policy()});
  const Outcome table = run({"list"}, setting);
  CHECK(table.status == 0);
  CHECK(table.asked == Lines{R"({"command":"policy list"})"});
  CHECK(table.out ==
        "DOMAIN     MODE     ID  FETCHED                   EXPIRES                   FAILED  MX\n"
        "a.example  enforce  1   2026-11-26T10:00:00.000Z  2026-11-27T10:00:00.000Z       2  "
        "mx1.a.example, mx2.a.example, *.b.example and 1 more\n"
        "    last refresh: HTTP 404?[31m\n");
  CHECK(json::parse(run({"list", "--json"}, setting).out) == setting.reply);
  setting.reply["policies"] = json::array();
  CHECK(run({"list"}, setting).err == "no policy is cached\n");
  CHECK(run({"list"}, setting).status == 0);
}

TEST_CASE("policy show, refresh, purge: what is asked, printed and returned") {
  Setting setting;
  setting.reply = one_policy();
  setting.reply["policy"] = {"version: STSv1", "mode: enforce"};
  const Outcome show = run({"show", "A.Example."}, setting);
  CHECK(show.asked == Lines{R"({"command":"policy show","domain":"a.example"})"});
  CHECK(show.out.find("  | mode: enforce\n") != std::string::npos);
  CHECK(show.out.find("after 2 failures: HTTP 404?[31m\n") != std::string::npos);

  Setting refresh;
  refresh.reply = json::parse(R"({"domain":"a.example","mode":"testing","id":"2",
    "source":"fetched","expires":"2026-11-27T10:00:00.000Z","refresh_failure":null})");
  CHECK(run({"refresh", "a.example"}, refresh).status == 0);
  CHECK(run({"refresh", "a.example"}, refresh).out ==
        "a.example: mode testing, id 2, fetched, expires 2026-11-27T10:00:00.000Z\n");
  refresh.reply["refresh_failure"] = "HTTP 404";
  CHECK(run({"refresh", "a.example"}, refresh).status == 1);

  Setting purge;
  purge.reply["domain"] = "a.example";
  const Outcome purged = run({"purge", "a.example", "--reason", "ticket 4711"}, purge);
  CHECK(purged.asked == Lines{R"({"command":"policy purge","domain":"a.example",)"
                              R"("reason":"ticket 4711"})"});
  CHECK(purged.out == "a.example: purged\n");
  CHECK(run({"purge", "a b"}).status == 2);
  CHECK(run({"purge"}).status == 2);
}

TEST_CASE("policy: an error is told in one line, with its status") {
  Setting setting;
  setting.error = proxy::DaemonError{false, "could not find out: \x1b[31mtime-out", 75};
  const Outcome outcome = run({"refresh", "a.example"}, setting);
  CHECK(outcome.status == 75);
  CHECK(outcome.err == "policy: could not find out: ?[31mtime-out\n");
  CHECK(outcome.out.empty());
}

TEST_CASE("policy lint: places, JSON, status, standard input") {
  const Folder folder;
  const std::string bad =
      folder.put("bad.txt", "version: STSv1\r\nmode: enforce\r\nmx: a_b.example\r\n");
  const Outcome errors = run({"lint", bad});
  CHECK(errors.status == 1);
  CHECK(errors.out.starts_with(bad + ":3:5: error: mx is not a host name"));
  CHECK(errors.out.find(bad + ": error: there is no max_age\n") != std::string::npos);
  const json reply = json::parse(run({"lint", "--json", bad}).out);
  CHECK(reply["schema"] == 1);
  CHECK(reply["valid"] == false);
  CHECK(reply["findings"][0]["line"] == 3);

  Setting setting;
  setting.input = "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n";
  const Outcome fine = run({"lint", "-"}, setting);
  CHECK(fine.status == 0);
  CHECK(fine.out.empty());
  CHECK(fine.err == "standard input: no fault\n");
  setting.input = "version: STSv1\nmode: none\nmax_age: 86400\n";
  setting.colour = true;
  const Outcome warned = run({"lint", "-"}, setting);
  CHECK(warned.status == 0);
  CHECK(warned.out.starts_with("\x1b[33mstandard input:1:15: warning: "));
  setting.input = std::string((1 << 20) + 1, 'x');
  CHECK(run({"lint", "-"}, setting).status == 1);
  CHECK(run({"lint", "/nowhere.txt"}).status == 69);
  CHECK(run({"lint", "/tmp"}).status == 69);
}

TEST_CASE("policy generate: a zone file, a policy file, JSON") {
  const Outcome zone = run({"generate", "example.com", "--mx", "mx1.example.com", "--rua",
                            "mailto:tls@example.com", "--ttl", "600"});
  CHECK(zone.status == 0);
  CHECK(zone.err.empty());
  CHECK(zone.out.find("\n_mta-sts.example.com. 600 IN TXT \"v=STSv1; id=20261126T181500Z;\"\n") !=
        std::string::npos);
  CHECK(zone.out.find(";    | mode: testing\n") != std::string::npos);
  const Outcome file = run({"generate", "example.com", "--mx", "mx1.example.com", "--mx",
                            "*.example.net", "--mode", "enforce", "--policy"});
  CHECK(file.out == "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\n"
                    "mx: *.example.net\r\nmax_age: 1209600\r\n");
  Setting setting;
  setting.input = file.out;
  CHECK(run({"lint", "-"}, setting).out.empty());
  const json reply = json::parse(
      run({"generate", "example.com", "--mode", "none", "--id", "7", "--json"}).out);
  CHECK(reply["policy"] == "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n");
  CHECK(reply["records"][0]["data"] == "\"v=STSv1; id=7;\"");
}

TEST_CASE("policy generate: warnings of lint, and what is refused") {
  CHECK(run({"generate", "example.com", "--mx", "mx1.example.com", "--mode", "enforce",
             "--max-age", "1d"})
            .err.starts_with("warning: a short max_age"));
  for (const Lines& words :
       {Lines{"exa mple"}, Lines{"example.com"}, Lines{"example.com", "--mx", "a_b.example"},
        Lines{"example.com", "--mx", "a.example", "--mode", "on"},
        Lines{"example.com", "--mx", "a.example", "--max-age", "2y"},
        Lines{"example.com", "--mx", "a.example", "--max-age", "400d"},
        Lines{"example.com", "--mx", "a.example", "--id", "a-b"},
        Lines{"example.com", "--mx", "a.example", "--rua", "tls@example.com"},
        Lines{"example.com", "--mx", "*.example.com", "--tlsa", "key.pem"}}) {
    Lines arguments{"generate"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    CAPTURE(words);
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
  }
}

TEST_CASE("policy generate: TLSA of key files") {
  const Folder folder;
  const std::string key = folder.put("now.pem", public_key);
  const Outcome zone = run({"generate", "example.com", "--mx", "mx1.example.com", "--mx",
                            "mx2.example.com", "--tlsa", key, "--next",
                            "mx2.example.com=" + key});
  CHECK(zone.status == 0);
  const std::string digest =
      "ca27f612b5ac99fc2a4bc2af362b3aa980a06077e03b57a51d8c8fcb9e52da35";
  CHECK(zone.out.find("_25._tcp.mx1.example.com. 3600 IN TLSA 3 1 1 " + digest +
                      " ; now, of the public key " + key + "\n") != std::string::npos);
  CHECK(zone.out.find("_25._tcp.mx2.example.com. 3600 IN TLSA 3 1 1 " + digest) !=
        std::string::npos);
  CHECK(run({"generate", "example.com", "--mx", "mx1.example.com", "--tlsa", "/nowhere.pem"})
            .status == 69);
  CHECK(run({"generate", "example.com", "--mx", "mx1.example.com", "--tlsa",
             folder.put("no.pem", "nothing")})
            .err.find("neither a certificate nor a key in PEM") != std::string::npos);
}
