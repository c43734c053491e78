// The operational log, to standard error through spdlog, as text or as JSON lines. Not the
// enforcement log: that is audit/. Call `log_init` once from main; the functions are safe from any
// thread and never throw. Pure code does not log.
#pragma once

#include <string>
#include <string_view>

namespace base {

enum class LogLevel { debug, info, warn, error };

// `level`: debug | info | warn | error; `json`: one JSON object a line.
void log_init(std::string_view level, bool json);

// `id`: the transaction's or session's ID, empty where there is none.
void log(LogLevel level, std::string_view id, std::string_view text);
inline void log_debug(std::string_view id, std::string_view text) {
  log(LogLevel::debug, id, text);
}
inline void log_info(std::string_view id, std::string_view text) { log(LogLevel::info, id, text); }
inline void log_warn(std::string_view id, std::string_view text) { log(LogLevel::warn, id, text); }
inline void log_error(std::string_view id, std::string_view text) {
  log(LogLevel::error, id, text);
}
bool log_enabled(LogLevel level);

}  // namespace base
