// `sternpost check DOMAIN`: reads the words of the command line, prints the report, makes the exit
// status of it. What is asked and found is check/'s. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cli {

struct Check {
  CLI::App* command = nullptr;
  std::string domain;
  std::vector<std::string> resolvers;
  std::string at;
  std::string limit;
  bool no_connect = false;
  bool json = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_check(CLI::App& app, Check& options, std::string& file);

// exit_no: mail would be deferred or rejected; exit_tempfail: and something could not be found out;
// exit_unavailable: no resolver.
int check_command(const Check& options, const std::string& file, const Terminal& terminal,
                  const World& world);

}  // namespace cli
