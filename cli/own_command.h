// `sternpost own DOMAIN`: the operator's own domain as senders see it. Reads the words, prints the
// findings, makes the exit status of them. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/commands.h"

namespace cli {

struct Own {
  CLI::App* command = nullptr;
  std::string domain;
  std::string expire_within;
  std::string limit;
  bool json = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_own(CLI::App& app, Own& options, std::string& file);

// exit_no: a finding is `fail`; exit_tempfail: something could not be found out; exit_unavailable:
// no resolver.
int own_command(const Own& options, const std::string& file, const Terminal& terminal,
                const World& world);

}  // namespace cli
