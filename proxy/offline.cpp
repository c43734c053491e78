#include "proxy/offline.h"

#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "proxy/reporting.h"
#include "proxy/server_services.h"
#include "store/sqlite_store.h"

namespace proxy {

using nlohmann::json;

namespace {

constexpr std::chrono::minutes daemon_wait{5};

DaemonError away(const std::string& text, int status = EX_UNAVAILABLE) {
  return {true, text, status};
}

base::Result<json, DaemonError> run_here(const config::Config& config, const base::Clock& clock,
                                         const json& request) {
  if (!config.tls_rpt.enabled) return base::fail(DaemonError{false, "tls_rpt.enabled is false"});
  if (auto other = not_the_owner(config.server.state_dir)) return base::fail(std::move(*other));
  auto lock = take_state_lock(config.server.state_dir, LockHolder::command, command_lock_wait);
  if (!lock) return base::fail(away(lock.error().text, lock.error().status));
  store::SqliteOptions options;
  options.file = config.store.sqlite_file().string();
  auto store = store::SqliteStore::open(std::move(options));
  if (!store) return base::fail(away(store.error().text));
  boost::asio::io_context io(1);
  auto resolver = make_resolver(io, config, true);
  if (!resolver) return base::fail(away(resolver.error().text));
  // The resolver's answers come in on its own loop.
  auto guard = boost::asio::make_work_guard(io);
  std::thread loop([&io] { io.run(); });
  json reply;
  std::optional<DaemonError> failed;
  {
    auto reporting = Reporting::open(config, clock, **store, **resolver);
    if (reporting) {
      reply = (*reporting)->run_command(request);
    } else {
      failed = away(reporting.error().text, reporting.error().status);
    }
  }
  guard.reset();
  io.stop();
  loop.join();
  if (failed) return base::fail(std::move(*failed));
  if (reply.contains("error")) {
    return base::fail(DaemonError{false, reply["error"].get<std::string>()});
  }
  return {boost::system::in_place_value, std::move(reply)};
}

}  // namespace

std::optional<DaemonError> not_the_owner(const config::Path& state_dir) {
  struct stat status {};
  if (::stat(state_dir.c_str(), &status) != 0 || status.st_uid == ::geteuid()) return std::nullopt;
  return away("no daemon answers; without one run this as the owner of " + state_dir.string() +
              ", such as: runuser -u sternpost -- sternpost …");
}

base::Result<json, DaemonError> report_command(const config::Config& config,
                                               const base::Clock& clock, const json& request) {
  auto reply = ask_daemon(config.server.control, request, daemon_wait);
  if (reply || !reply.error().not_running) return reply;
  return run_here(config, clock, request);
}

}  // namespace proxy
