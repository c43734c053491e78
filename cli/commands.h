// The command line: which commands there are, what they print, their exit statuses (sysexits where
// one fits). run() parses and dispatches; program() hands it the process's own streams and serve().
// Messages for people go to `err`, data to `out`. Knows nothing of SMTP; the configuration is
// judged by config/.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "audit/chain.h"
#include "base/clock.h"
#include "check/own_run.h"
#include "check/run.h"
#include "config/load.h"
#include "proxy/control.h"
#include "proxy/doctor.h"

namespace CLI {
class App;
}

namespace cli {

enum Exit : int {
  exit_fine = 0,
  exit_no = 1,            // the answer is no
  exit_usage = 2,
  exit_unavailable = 69,  // EX_UNAVAILABLE: a service needed is not there
  exit_tempfail = 75,     // EX_TEMPFAIL: could not tell just now
  exit_config = 78,       // EX_CONFIG
};

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool colour = false;       // of `err`
  bool out_unicode = false;  // `out` is a terminal that shows UTF-8
  bool out_colour = false;
  bool live = false;         // `err` is a terminal that shows progress
};

struct World {
  const base::Clock* clock = nullptr;  // what a command takes for now
  std::string default_config;  // what STERNPOST_CONFIG or the fixed default name
  bool config_named = false;   // STERNPOST_CONFIG does
  std::function<config::LoadResult(const config::Path&)> load;
  std::function<config::LoadResult()> defaults;  // what holds where there is no file
  // Reads the configuration itself, since a reload has to; runs until told to stop.
  std::function<int(const std::string& config_path)> serve;
  // A request to the running daemon, or to the store without one.
  std::function<base::Result<nlohmann::json, proxy::DaemonError>(const config::Config& config,
                                                                 const nlohmann::json& request)>
      report;
  std::function<base::Result<check::Report, check::Failure>(
      const config::Config& config, const check::Options& options, const check::Progress& progress)>
      check;
  std::function<base::Result<check::OwnReport, check::Failure>(
      const config::Config& config, const check::OwnOptions& options,
      const check::Progress& progress)>
      own;
  // The same for the policy cache.
  std::function<base::Result<nlohmann::json, proxy::DaemonError>(const config::Config& config,
                                                                 const nlohmann::json& request)>
      policy;
  // The last record of the enforcement log that the daemon or the store knows.
  std::function<base::Result<std::optional<audit::Head>, proxy::DaemonError>(
      const config::Config& config)>
      known_head;
  // The last one that retention removed from it.
  std::function<base::Result<std::optional<audit::Head>, proxy::DaemonError>(
      const config::Config& config)>
      known_removed;
  std::function<std::vector<proxy::Finding>(const config::Config& config,
                                            const proxy::DoctorQuestions& questions)>
      doctor;
  // What a shell command prints on standard output; `snippet` asks for an MTA's version.
  std::function<std::string(const std::string& command)> shell;
  std::istream* in = nullptr;  // standard input; nullptr: an empty one
};

// `arguments` without the program's name. Never throws for anything in them.
int run(const std::vector<std::string>& arguments, const Terminal& terminal, const World& world);

// Adds -c, --config to a command; its value goes to `file`, which holds the default.
void take_config(CLI::App& command, std::string& file);

// Prints every mistake and warning; whether there were no mistakes.
bool print_issues(const config::LoadResult& result, const Terminal& terminal);
// Without the warnings, which `serve` and `config check` tell, and every command would again.
bool print_errors(const config::LoadResult& result, const Terminal& terminal);

}  // namespace cli
