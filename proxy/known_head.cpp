#include "proxy/known_head.h"

#include <sysexits.h>

#include "audit/stored_head.h"
#include "store/sqlite_reader.h"

namespace proxy {

namespace {

using Known = base::Result<std::optional<audit::Head>, DaemonError>;

constexpr std::chrono::seconds daemon_wait{10};
constexpr std::chrono::milliseconds busy_timeout{2000};

Known from_store(const config::Config& config) {
  const config::Path file = config.store.sqlite_file();
  std::error_code error;
  if (!std::filesystem::exists(file, error) && !error) return std::optional<audit::Head>();
  const auto cannot = [](const base::Error& why) {
    return base::fail(DaemonError{true, why.text, EX_TEMPFAIL});
  };
  auto store = store::SqliteReader::open(file.string(), busy_timeout);
  if (!store) return cannot(store.error());
  auto value = (*store)->value(audit::head_key);
  if (!value) return cannot(value.error());
  auto head = audit::head_from_store(*value);
  if (!head) return cannot(head.error());
  return *head;
}

}  // namespace

Known known_head(const config::Config& config) {
  nlohmann::json request;
  request["command"] = "status";
  auto reply = ask_daemon(config.server.control, request, daemon_wait);
  if (!reply) {
    if (reply.error().not_running) return from_store(config);
    return base::fail(std::move(reply.error()));
  }
  const auto log = reply->find("log");
  const auto head = reply->find("log_head");
  const bool ours = log != reply->end() && *log == config.log.enforcement.string();
  if (!ours || head == reply->end() || !head->is_string()) return std::optional<audit::Head>();
  return audit::parse_head(head->get<std::string>());
}

}  // namespace proxy
