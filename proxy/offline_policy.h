// The commands of `policy` for a command line: by the running daemon; without one `list` and `show`
// read the store, `refresh` and `purge` take the state lock, as the daemon would, open what they
// need and no more, and write to the enforcement log like it. Made for cli/.
#pragma once

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "config/config.h"
#include "proxy/control.h"

namespace proxy {

// The reply to `request`, as the control socket has it. Errors: as those of ask_daemon();
// `not_running` here: another process holds the lock, or store or log cannot be opened.
base::Result<nlohmann::json, DaemonError> policy_command(const config::Config& config,
                                                         const base::Clock& clock,
                                                         const nlohmann::json& request);

}  // namespace proxy
