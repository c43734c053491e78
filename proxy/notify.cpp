#include "proxy/notify.h"

#include <systemd/sd-daemon.h>

#include <cstdint>
#include <ctime>

namespace proxy::notify {

namespace {

void tell(const std::string& state) { sd_notify(0, state.c_str()); }

std::string status_line(std::string_view text) {
  std::string line = "STATUS=";
  for (const char c : text) line += c == '\n' ? ' ' : c;
  return line;
}

}  // namespace

void ready(std::string_view text) { tell("READY=1\n" + status_line(text)); }

void status(std::string_view text) { tell(status_line(text)); }

void reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::uint64_t microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1000000U +
                                     static_cast<std::uint64_t>(now.tv_nsec) / 1000U;
  tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

void stopping(std::string_view text) { tell("STOPPING=1\n" + status_line(text)); }

void watchdog() { tell("WATCHDOG=1"); }

std::optional<std::chrono::microseconds> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds / 2);
}

}  // namespace proxy::notify
