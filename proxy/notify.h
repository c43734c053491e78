// What systemd is told (sd_notify(3)) and what it passes (sd_listen_fds(3)). Outside systemd every
// function does nothing. Called by proxy/serve on the home thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace proxy::notify {

void ready(std::string_view status);      // READY=1
void status(std::string_view text);       // STATUS=, one line
void reloading();                         // RELOADING=1 with the monotonic time
void stopping(std::string_view status);   // STOPPING=1
void watchdog();                          // WATCHDOG=1
// How often watchdog() has to be called; nullopt where systemd does not ask for it.
std::optional<std::chrono::microseconds> watchdog_interval();

}  // namespace proxy::notify
