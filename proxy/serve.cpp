#include "proxy/serve.h"

#include <sys/resource.h>
#include <sysexits.h>

#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "config/choices.h"
#include "config/load.h"
#include "proxy/server_daemon.h"

namespace proxy {

namespace {

void tell(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

// Each session holds a descriptor, each delivery one or more: as many as the hard limit allows.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    base::log_warn("", "the limit of open descriptors could not be raised");
  }
}

}  // namespace

int serve(const std::string& config_path, const base::Clock& clock) {
  const config::LoadResult loaded = config::load(config_path, clock);
  for (const auto& issue : loaded.warnings) tell(config::text_of(issue, "warning"));
  for (const auto& issue : loaded.errors) tell(config::text_of(issue, "error"));
  if (!loaded.config) return EX_CONFIG;

  const config::Log& log = loaded.config->log;
  base::log_init(config::name_of(log.level), log.format == config::LogFormat::Json);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // A limit of file sizes is an error of the log, not the end.
  raise_descriptor_limit();
  try {
    Daemon daemon(config_path, loaded.config, clock);
    const auto opened = daemon.open();
    if (!opened) {
      base::log_error("", "cannot start: " + opened.error().text);
      return opened.error().status;
    }
    return daemon.run();
  } catch (const std::bad_alloc&) {
    base::log_error("", "cannot start: out of memory");
    return EX_TEMPFAIL;
  } catch (const std::exception& error) {
    base::log_error("", std::string("internal error: ") + error.what());
    return EX_TEMPFAIL;
  }
}

}  // namespace proxy
