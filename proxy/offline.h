// A command that needs the store while no daemon runs: takes the state lock, as the daemon would,
// opens what the command needs and no more, runs it and closes again. Made for cli/.
#pragma once

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "config/config.h"
#include "proxy/control.h"

namespace proxy {

// The reply to `request` by the running daemon, or without one by this process. Errors: as those
// of ask_daemon(); `not_running` here: another process holds the lock, or the store is not there.
base::Result<nlohmann::json, DaemonError> report_command(const config::Config& config,
                                                         const base::Clock& clock,
                                                         const nlohmann::json& request);

// What a command leaves in the state directory must be the daemon's to use: the error where who
// runs it is not the owner.
std::optional<DaemonError> not_the_owner(const config::Path& state_dir);

// How long a command waits for another that has the state lock.
inline constexpr std::chrono::milliseconds command_lock_wait{2000};

}  // namespace proxy
