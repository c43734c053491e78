// check and own: words, the configuration that counts, exit statuses, progress.
#include <catch2/catch.hpp>
#include <sstream>

#include "cli/commands.h"

namespace {

using Lines = std::vector<std::string>;

struct Run {
  check::Report report;
  check::OwnReport own;
  std::optional<check::Failure> failure;
  bool live = false;
  bool named = false;

  std::vector<std::string> loaded{};
  std::vector<check::Options> asked{};
  std::vector<check::OwnOptions> owned{};
  std::string out{};
  std::string err{};

  int operator()(const Lines& arguments) {
    std::ostringstream out_stream;
    std::ostringstream err_stream;
    cli::World world;
    world.default_config = "/nowhere/default.toml";
    world.config_named = named;
    world.load = [this](const config::Path& path) {
      loaded.push_back(path.string());
      config::LoadResult bad;
      bad.errors.push_back({{path.string(), 1, 1}, "cannot be read"});
      return bad;
    };
    world.defaults = [this] {
      loaded.push_back("defaults");
      return config::LoadResult{std::make_shared<const config::Config>(), {}, {}};
    };
    world.check = [this](const config::Config&, const check::Options& options,
                         const check::Progress& progress) {
      asked.push_back(options);
      if (progress) progress("asking\x1b[31m");
      using Result = base::Result<check::Report, check::Failure>;
      return failure ? Result(base::fail(*failure)) : Result(report);
    };
    world.own = [this](const config::Config&, const check::OwnOptions& options,
                       const check::Progress&) {
      owned.push_back(options);
      using Result = base::Result<check::OwnReport, check::Failure>;
      return failure ? Result(base::fail(*failure)) : Result(own);
    };
    cli::Terminal terminal{out_stream, err_stream};
    terminal.live = live;
    const int status = cli::run(arguments, terminal, world);
    out = out_stream.str();
    err = err_stream.str();
    return status;
  }
};

}  // namespace

TEST_CASE("check: the exit status is the verdict's, 75 where it is not certain") {
  const auto status = [](check::Verdict verdict, bool certain) {
    Run run;
    run.report.outcome.verdict = verdict;
    run.report.outcome.certain = certain;
    return run({"check", "example.com"});
  };
  CHECK(status(check::Verdict::delivered, true) == 0);
  CHECK(status(check::Verdict::delivered, false) == 0);
  CHECK(status(check::Verdict::open, true) == 0);
  CHECK(status(check::Verdict::deferred, true) == 1);
  CHECK(status(check::Verdict::rejected, true) == 1);
  CHECK(status(check::Verdict::deferred, false) == 75);
  Run none;
  none.failure = check::Failure{69, "no resolver answers"};
  CHECK(none({"check", "example.com"}) == 69);
  CHECK(none.err.ends_with("check: no resolver answers\n"));
  CHECK(none.out.empty());
}

TEST_CASE("check: its words reach who asks") {
  Run run;
  run({"check", "b\xc3\xbc" "cher.example", "--no-connect", "--resolver", "192.0.2.1",
       "--resolver", "2001:db8::1@5353", "--at", "2026-11-26T12:00:00+01:00", "--limit", "30s"});
  INFO(run.err);
  REQUIRE(run.asked.size() == 1);
  const check::Options& asked = run.asked[0];
  CHECK(asked.domain.str() == "xn--bcher-kva.example");
  CHECK_FALSE(asked.connect);
  REQUIRE(asked.resolvers.size() == 2);
  CHECK(asked.resolvers[0].port == 53);
  CHECK(asked.resolvers[1].port == 5353);
  REQUIRE(asked.at);
  const auto day = std::chrono::sys_days(std::chrono::year{2026} / 11 / 26);
  CHECK(*asked.at == day + std::chrono::hours(11));
  CHECK(asked.limit == std::chrono::seconds(30));
}

TEST_CASE("check, own: what cannot be understood is told in one line, and nobody is asked") {
  for (const Lines& words : std::vector<Lines>{{"check", "no domain"},
                             {"check", "a.example", "--resolver", "ns.example"},
                             {"check", "a.example", "--at", "2026-11-26"},
                             {"check", "a.example", "--limit", "long"},
                             {"check"},
                             {"own", "evil\x1b[31m"},
                             {"own", "a.example", "--expire-within", "soon"}}) {
    Run run;
    CHECK(run(words) == 2);
    CHECK(std::count(run.err.begin(), run.err.end(), '\n') == 1);
    CHECK(run.err.find('\x1b') == std::string::npos);
    CHECK((run.asked.empty() && run.owned.empty() && run.loaded.empty()));
  }
}

TEST_CASE("check: the defaults hold only where no file is there and none is named") {
  Run absent;
  absent({"check", "example.com"});
  CHECK(absent.loaded == Lines{"defaults"});
  CHECK(absent.err == "no configuration at /nowhere/default.toml: the defaults hold\n");
  Run given;
  CHECK(given({"check", "example.com", "-c", "/nowhere/x.toml"}) == 78);
  CHECK(given.loaded == Lines{"/nowhere/x.toml"});
  CHECK(given.asked.empty());
  Run named;
  named.named = true;
  CHECK(named({"check", "example.com"}) == 78);
}

TEST_CASE("check: what the defaults lack is told without a place in a file") {
  std::ostringstream out;
  std::ostringstream err;
  cli::World world;
  world.default_config = "/nowhere/default.toml";
  world.defaults = [] {
    return config::LoadResult{
        std::make_shared<const config::Config>(), {}, {{{"defaults", 1, 1}, "no full name"}}};
  };
  world.check = [](const config::Config&, const check::Options&, const check::Progress&) {
    return base::Result<check::Report, check::Failure>(check::Report());
  };
  cli::run({"check", "example.com"}, {out, err}, world);
  CHECK(err.str() ==
        "no configuration at /nowhere/default.toml: the defaults hold\nwarning: no full name\n");
}

TEST_CASE("check: progress goes to a terminal alone, and is gone at the end") {
  Run quiet;
  quiet({"check", "example.com"});
  CHECK(quiet.err.find("asking") == std::string::npos);
  Run live;
  live.live = true;
  live({"check", "example.com"});
  CHECK(live.err.find("\r\033[Kasking?[31m") != std::string::npos);
  CHECK(live.err.ends_with("\r\033[K"));
}

TEST_CASE("own: the exit status is the worst finding's") {
  const auto status = [](std::vector<check::Level> levels, bool certain) {
    Run run;
    run.own.certain = certain;
    for (const check::Level level : levels) run.own.findings.push_back({level, "mx", "x", "y", ""});
    return run({"own", "example.com", "--expire-within", "30d"});
  };
  CHECK(status({check::Level::pass, check::Level::warn}, true) == 0);
  CHECK(status({check::Level::fail, check::Level::pass}, true) == 1);
  CHECK(status({check::Level::fail}, false) == 75);
  Run run;
  run({"own", "example.com", "--expire-within", "30d", "--json"});
  REQUIRE(run.owned.size() == 1);
  CHECK(run.owned[0].expire_within == std::chrono::days(30));
  CHECK(run.out.starts_with("{"));
}
