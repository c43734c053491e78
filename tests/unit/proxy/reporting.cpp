// Reporting across threads: a real enforcement log is written by one thread while the report thread
// counts it, commands come from others, and the end comes in mid-way. For ThreadSanitizer, too.
#include "proxy/reporting.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <future>

#include "audit/log.h"
#include "store/sqlite_store.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/sternpost-reporting-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// Nothing is published anywhere.
class EmptyDns final : public dns::Resolver {
 public:
  void lookup(const std::string& name, dns::Type,
              std::function<void(dns::RawLookup)> done) override {
    dns::RawAnswer answer;
    answer.existence = dns::Existence::nxdomain;
    answer.canonical_name = name;
    done(dns::RawLookup(std::move(answer)));
  }
};

class NoHead final : public audit::ChainHead {
 public:
  base::Result<std::optional<audit::Head>, base::Error> load() override {
    return std::optional<audit::Head>();
  }
  base::Result<void, base::Error> save(const audit::Head&) override { return {}; }
};

// It is always the same noon: no midnight parts the counts.
class Noon final : public base::Clock {
 public:
  base::WallTime wall() const override {
    return std::chrono::sys_days(std::chrono::year(2026) / 11 / 25) + std::chrono::hours(12);
  }
  base::SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

class World {
 public:
  World() {
    config_.server.hostname = "relay.example";
    config_.server.state_dir = folder_.path();
    config_.store.url = "sqlite:" + (folder_.path() / "state.db").string();
    config_.log.enforcement = folder_.path() / "enforcement.jsonl";
    config_.tls_rpt.directory = folder_.path() / "reports";
    store::SqliteOptions options;
    options.file = config_.store.sqlite_file().string();
    auto store = store::SqliteStore::open(options);
    REQUIRE(store.has_value());
    store_ = std::move(*store);
    audit::LogOptions log;
    log.path = config_.log.enforcement;
    auto opened = audit::EnforcementLog::open(log, head_, clock_);
    REQUIRE(opened.has_value());
    log_ = std::move(*opened);
  }

  std::unique_ptr<proxy::Reporting> reporting() {
    auto opened = proxy::Reporting::open(config_, clock_, *store_, dns_);
    REQUIRE(opened.has_value());
    return std::move(*opened);
  }

  void session(const std::string& domain) {
    tlsrpt::SessionResult result;
    result.policy.domain = domain;
    result.success = true;
    audit::Record record;
    record.event = audit::Event::session;
    record.domain = *base::Domain::parse(domain);
    record.counted = true;
    record.results = {audit::policy_result(result)};
    log_->append(record);
  }

  audit::EnforcementLog& log() { return *log_; }

 private:
  Folder folder_;
  config::Config config_;
  Noon clock_;
  EmptyDns dns_;
  NoHead head_;
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<audit::EnforcementLog> log_;
};

json ask(proxy::Reporting& reporting, const std::string& command) {
  auto promise = std::make_shared<std::promise<json>>();
  auto answer = promise->get_future();
  reporting.command({{"command", command}}, [promise](json reply) { promise->set_value(reply); });
  REQUIRE(answer.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
  return answer.get();
}

std::uint64_t successes(const json& list) {
  std::uint64_t sum = 0;
  for (const json& one : list["reports"]) sum += one["successes"].get<std::uint64_t>();
  return sum;
}

}  // namespace

TEST_CASE("reporting: what sessions log on other threads is counted, each once, over a restart") {
  World world;
  constexpr int threads = 3;
  constexpr int each = 400;
  const auto write = [&world] {
    for (int i = 0; i < each; ++i) world.session("d" + std::to_string(i % 7) + ".example");
  };
  {
    const auto reporting = world.reporting();
    reporting->start();
    std::vector<std::thread> writers;
    for (int i = 0; i < threads; ++i) writers.emplace_back(write);
    (void)ask(*reporting, "report list");
    (void)ask(*reporting, "report show");
    for (std::thread& writer : writers) writer.join();
  }  // It ends while lines are still to be counted, or not.
  world.log().stop("the test is over");
  const auto reporting = world.reporting();
  const json list = reporting->run_command({{"command", "report list"}});
  CHECK(successes(list) == threads * each);
  CHECK(list["reports"].size() == 7);
  CHECK(list["not_sending"].is_string());
}

TEST_CASE("reporting: a command of wrong types, or none that is known, is told so") {
  World world;
  const auto reporting = world.reporting();
  reporting->start();
  CHECK(ask(*reporting, "report burn")["error"] == "command not known");
  auto promise = std::make_shared<std::promise<json>>();
  auto answer = promise->get_future();
  reporting->command({{"command", "report list"}, {"date", 7}},
                     [promise](json reply) { promise->set_value(reply); });
  REQUIRE(answer.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
  CHECK(answer.get().contains("error"));
}
