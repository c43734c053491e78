#include "proxy/known_head.h"

#include <sysexits.h>

#include "audit/stored_head.h"
#include "store/sqlite_reader.h"

namespace proxy {

namespace {

using Known = base::Result<std::optional<audit::Head>, DaemonError>;

constexpr std::chrono::seconds daemon_wait{10};
constexpr std::chrono::milliseconds busy_timeout{2000};

DaemonError cannot(const base::Error& why) { return {true, why.text, EX_TEMPFAIL}; }

base::Result<std::optional<std::string>, DaemonError> stored(const config::Config& config,
                                                             const char* key) {
  const config::Path file = config.store.sqlite_file();
  std::error_code error;
  if (!std::filesystem::exists(file, error) && !error) return std::optional<std::string>();
  auto store = store::SqliteReader::open(file.string(), busy_timeout);
  if (!store) return base::fail(cannot(store.error()));
  auto value = (*store)->value(key);
  if (!value) return base::fail(cannot(value.error()));
  return *value;
}

base::Result<std::optional<audit::Removed>, DaemonError> stored_removed(
    const config::Config& config) {
  const auto value = stored(config, audit::removed_key);
  if (!value) return base::fail(DaemonError(value.error()));
  auto removed = audit::removed_from_store(*value);
  if (!removed) return base::fail(cannot(removed.error()));
  return *removed;
}

base::Result<nlohmann::json, DaemonError> daemon_status(const config::Config& config) {
  nlohmann::json request;
  request["command"] = "status";
  return ask_daemon(config.server.control, request, daemon_wait);
}

// Two ways to write one path are one log.
bool is_same(const std::filesystem::path& one, const std::filesystem::path& other) {
  std::error_code error;
  return one.lexically_normal() == other.lexically_normal() ||
         std::filesystem::equivalent(one, other, error);
}

// Which other log the daemon writes; empty: this one.
std::string other_log(const nlohmann::json& reply, const config::Config& config) {
  const auto log = reply.find("log");
  if (log == reply.end() || !log->is_string()) return "a log it does not name";
  const auto name = log->get<std::string>();
  return is_same(name, config.log.enforcement) ? std::string() : name;
}

// A text of the daemon's answer; nullopt where it has none, or writes another log.
std::optional<std::string> text_in(const nlohmann::json& reply, const char* key,
                                   const config::Config& config) {
  const auto text = reply.find(key);
  if (!other_log(reply, config).empty()) return std::nullopt;
  if (text == reply.end() || !text->is_string()) return std::nullopt;
  return text->get<std::string>();
}

}  // namespace

Known known_head(const config::Config& config) {
  const auto reply = daemon_status(config);
  if (reply) {
    if (const std::string other = other_log(*reply, config); !other.empty()) {
      return base::fail(cannot(base::Error{"the daemon writes " + other}));
    }
    const auto text = text_in(*reply, "log_head", config);
    if (!text) return std::optional<audit::Head>();
    return audit::parse_head(*text);
  }
  if (!reply.error().not_running) return base::fail(DaemonError(reply.error()));
  const auto value = stored(config, audit::head_key);
  if (!value) return base::fail(DaemonError(value.error()));
  auto head = audit::head_from_store(*value);
  if (!head) return base::fail(cannot(head.error()));
  const auto removed = stored_removed(config);
  if (!removed) return base::fail(DaemonError(removed.error()));
  if (*head && *removed && !is_same((*removed)->log, config.log.enforcement)) {
    return base::fail(cannot(base::Error{"the store holds that of " + (*removed)->log.string() +
                                         ", and no daemon has begun this log yet"}));
  }
  return *head;
}

Known known_removed(const config::Config& config) {
  const auto reply = daemon_status(config);
  if (reply) {
    const auto text = text_in(*reply, "log_removed", config);
    if (!text) return std::optional<audit::Head>();
    return audit::parse_removed(*text);
  }
  if (!reply.error().not_running) return base::fail(DaemonError(reply.error()));
  const auto removed = stored_removed(config);
  if (!removed) return base::fail(DaemonError(removed.error()));
  std::optional<audit::Head> last;
  if (*removed && is_same((*removed)->log, config.log.enforcement)) last = (*removed)->last;
  return last;
}

}  // namespace proxy
