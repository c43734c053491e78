#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/encode.h"

namespace base {
namespace {

std::atomic<bool> as_json{false};

// Made at the first use, so that a line before log_init goes to standard error too.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "sternpost", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::trace);
    made->set_error_handler([](const std::string&) {});  // a full or closed stderr ends nothing
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warn: return spdlog::level::warn;
    case LogLevel::error: break;
  }
  return spdlog::level::err;
}

// RFC 8259 §7; octets that are not UTF-8 become '?'.
std::string json_text(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = utf8_length_at(text);
    if (length == 0) {
      out += '?';
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 32 || c == 127) {
      out += "\\u00";
      out += digits[static_cast<unsigned char>(c) >> 4];
      out += digits[c & 15];
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

}  // namespace

void log_init(std::string_view level, bool json) {
  as_json = json;
  auto& out = logger();
  out.set_pattern(json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                       : "%Y-%m-%dT%H:%M:%S.%eZ %l %v",
                  spdlog::pattern_time_type::utc);
  spdlog::level::level_enum wanted = spdlog::level::info;
  if (level == "debug") wanted = spdlog::level::debug;
  if (level == "warn") wanted = spdlog::level::warn;
  if (level == "error") wanted = spdlog::level::err;
  out.set_level(wanted);
}

bool log_enabled(LogLevel level) { return logger().should_log(spdlog_level(level)); }

void log(LogLevel level, std::string_view id, std::string_view text) {
  if (!log_enabled(level)) return;
  try {
    std::string line;
    if (as_json) {
      if (!id.empty()) line = "\"id\":\"" + json_text(id) + "\",";
      line += "\"text\":\"" + json_text(text) + "\"";
    } else {
      if (!id.empty()) line = "[" + printable(id) + "] ";
      line += printable(text);
    }
    logger().log(spdlog_level(level), "{}", line);
  } catch (...) {  // out of memory while logging: the line is lost, the mail is not
  }
}

}  // namespace base
