// serve: the daemon in the foreground, from the configuration file to the exit status. Reads the
// configuration, opens store, resolver, log and listeners, tells systemd, reloads at SIGHUP and
// drains at SIGTERM. The wiring of the program and nothing else: what a session does is told in
// proxy/session.h, what a thread has in proxy/server.h. Called by cli/program.cpp.
#pragma once

#include <string>

#include "base/clock.h"

namespace proxy {

// Runs until SIGTERM or SIGINT and returns the exit status: 0 after a drain; 69 a service needed is
// not there (an address is taken, a directory is missing); 75 try again; 78 the configuration is
// wrong. Every reason was written to standard error before it returns. `clock` is the only one
// that anything below asks for the time of day.
int serve(const std::string& config_path, const base::Clock& clock);

}  // namespace proxy
