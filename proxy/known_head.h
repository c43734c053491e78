// The head of the enforcement log's chain, and the last record that retention removed, from who
// knows them besides the log: the running daemon, or without one the store, which is only read. For
// `audit verify`.
#pragma once

#include <optional>

#include "audit/chain.h"
#include "config/config.h"
#include "proxy/control.h"

namespace proxy {

// nullopt: nobody knows one, as before the first start, or the daemon writes another log. An error:
// one may be known, and cannot be had.
base::Result<std::optional<audit::Head>, DaemonError> known_head(const config::Config& config);

// The last record that retention removed from the configured log; seq 0: none was. nullopt: nobody
// knows, as where an older Sternpost wrote last.
base::Result<std::optional<audit::Head>, DaemonError> known_removed(const config::Config& config);

}  // namespace proxy
