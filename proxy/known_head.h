// The head of the enforcement log's chain, from who knows it besides the log: the running daemon,
// or without one the store, which is only read. For `audit verify`.
#pragma once

#include <optional>

#include "audit/chain.h"
#include "config/config.h"
#include "proxy/control.h"

namespace proxy {

// nullopt: nobody knows one, as before the first start, or the daemon writes another log. An error:
// one may be known, and cannot be had.
base::Result<std::optional<audit::Head>, DaemonError> known_head(const config::Config& config);

}  // namespace proxy
