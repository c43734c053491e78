#include "proxy/offline_policy.h"

#include <sysexits.h>

#include <boost/asio/executor_work_guard.hpp>

#include "audit/log.h"
#include "audit/stored_head.h"
#include "policy/sts_restore.h"
#include "proxy/offline.h"
#include "proxy/policy_commands.h"
#include "proxy/server_services.h"
#include "store/sqlite_reader.h"

namespace proxy {

using nlohmann::json;

namespace {

using Reply = base::Result<json, DaemonError>;

constexpr std::chrono::minutes daemon_wait{2};
constexpr std::chrono::milliseconds busy_timeout{5000};

DaemonError away(const std::string& text, int status = EX_UNAVAILABLE) {
  return {true, text, status};
}

Reply reply_of(json answer) {
  if (!answer.contains("error")) return {boost::system::in_place_value, std::move(answer)};
  const std::string text = answer["error"].get<std::string>();
  return base::fail(DaemonError{false, text, answer.value("status", 1)});
}

// ---- list, show ---------------------------------------------------------------------------------

Reply look(const config::Config& config, const base::Clock& clock, const json& request) {
  auto store = store::SqliteReader::open(config.store.sqlite_file().string(), busy_timeout);
  if (!store) return base::fail(away("no daemon answers, and " + store.error().text));
  auto rows = (*store)->policies();
  if (!rows) return base::fail(away(rows.error().text));
  policy::StsCache cache;
  for (store::PolicyRow& row : *rows) {
    const auto domain = base::Domain::parse(row.domain);
    auto entry = policy::entry_of(std::move(row));
    // What cannot be read and what has expired is no policy: the daemon drops it at its start.
    if (domain && entry) (void)cache.restore(*domain, std::move(*entry), clock.wall());
  }
  if (request["command"] == "policy list") {
    std::vector<policy::StsListed> policies;
    for (auto& [domain, entry] : cache.list(clock.wall())) {
      policies.push_back({domain, std::move(entry)});
    }
    return reply_of(policies_json(policies));
  }
  const auto domain = domain_of(request);
  if (!domain) return reply_of(command_failure(domain.error().text));
  std::optional<policy::StsListed> found;
  if (auto entry = cache.entry(*domain, clock.wall())) {
    found = policy::StsListed{*domain, std::move(*entry)};
  }
  return reply_of(policy_json(*domain, found));
}

// ---- refresh, purge -----------------------------------------------------------------------------

// What the engine needs, opened and closed in the right order. The daemon's own are Services.
class Workshop {
 public:
  Workshop(const config::Config& config, const base::Clock& clock)
      : config_(config), clock_(clock) {}

  Reply run(const json& request) {
    auto opened = open(request["command"].get<std::string>());
    if (!opened) return base::fail(std::move(opened.error()));
    std::optional<json> answer;
    const PolicyCommands commands{*engine_, io_.get_executor(), {}};
    const PolicyCommands::Answer take = [&](json reply) { answer = std::move(reply); };
    if (request["command"] == "policy refresh") {
      commands.refresh(request, take);
    } else {
      commands.purge(request, take);
    }
    while (!answer) io_.run_one();
    io_.poll();  // The engine's event, which the log keeps, comes on this loop too.
    log_->stop("ended");
    const auto flushed = store_->flush();
    if (!flushed) return base::fail(away(flushed.error().text));
    return reply_of(std::move(*answer));
  }

 private:
  base::Result<void, DaemonError> open(const std::string& command) {
    if (auto other = not_the_owner(config_.server.state_dir)) {
      return base::fail(std::move(*other));
    }
    auto lock = take_state_lock(config_.server.state_dir, LockHolder::command, command_lock_wait);
    if (!lock) return base::fail(away(lock.error().text, lock.error().status));
    lock_ = std::move(*lock);
    store::SqliteOptions options;
    options.file = config_.store.sqlite_file().string();
    auto store = store::SqliteStore::open(std::move(options));
    if (!store) return base::fail(away(store.error().text));
    store_ = std::move(*store);
    head_ = std::make_unique<audit::StoredHead>(*store_);
    auto log = audit::EnforcementLog::open(
        log_options(config_.log, "sternpost " STERNPOST_VERSION ", " + command, {}), *head_,
        clock_);
    if (!log) return base::fail(away(log.error().text));
    log_ = std::move(*log);
    auto resolver = make_resolver(io_, config_, true);
    if (!resolver) return base::fail(away(resolver.error().text));
    resolver_ = std::move(*resolver);
    return open_engine();
  }

  base::Result<void, DaemonError> open_engine() {
    auto context = policy::make_fetch_context(config_.tls.ca_file.string());
    if (!context) return base::fail(away(context.error().text, EX_CONFIG));
    fetcher_ = std::make_unique<policy::HttpsFetcher>(fetch_settings(config_), *resolver_, clock_,
                                                      std::move(*context));
    policy::StsEngine::Parts parts;
    parts.home = io_.get_executor();
    parts.clock = &clock_;
    parts.resolver = resolver_.get();
    parts.fetcher = fetcher_.get();
    parts.store = store_.get();
    parts.random = &random_;
    parts.on_event = [this](const policy::StsEvent& event) { log_->append(record_of(event)); };
    policy::StsEngineSettings settings;
    settings.refresh_interval =
        std::chrono::duration_cast<std::chrono::seconds>(config_.mta_sts.refresh_interval);
    engine_ = std::make_unique<policy::StsEngine>(std::move(parts), settings);
    auto loaded = engine_->load();
    if (!loaded) return base::fail(away(loaded.error().text));
    return {};
  }

  const config::Config& config_;
  const base::Clock& clock_;
  base::Random random_;
  Descriptor lock_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{
      io_.get_executor()};
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<audit::StoredHead> head_;
  std::unique_ptr<audit::EnforcementLog> log_;
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::unique_ptr<policy::HttpsFetcher> fetcher_;
  std::unique_ptr<policy::StsEngine> engine_;
};

}  // namespace

Reply policy_command(const config::Config& config, const base::Clock& clock,
                     const json& request) {
  auto reply = ask_daemon(config.server.control, request, daemon_wait);
  if (reply || !reply.error().not_running) return reply;
  const std::string command = request["command"].get<std::string>();
  if (command == "policy list" || command == "policy show") return look(config, clock, request);
  return Workshop(config, clock).run(request);
}

}  // namespace proxy
