// `sternpost policy list`, `policy show|refresh|purge DOMAIN`: the MTA-STS policy cache, by the
// running daemon or, without one, in its store. Asks and prints; what is done is
// proxy/policy_commands'. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/commands.h"

namespace cli {

struct PolicyCache {
  CLI::App* list = nullptr;
  CLI::App* show = nullptr;
  CLI::App* refresh = nullptr;
  CLI::App* purge = nullptr;
  std::string domain;
  std::string reason;
  bool json = false;
  bool parsed() const {
    return list->parsed() || show->parsed() || refresh->parsed() || purge->parsed();
  }
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_policy_cache(CLI::App& policy, PolicyCache& options, std::string& file);

// The exit status: exit_no where there is no such policy, or a refresh brought none;
// exit_unavailable where neither daemon nor store can be reached; exit_tempfail where it could not
// be found out.
int policy_cache(const PolicyCache& options, const std::string& file, const Terminal& terminal,
                 const World& world);

}  // namespace cli
