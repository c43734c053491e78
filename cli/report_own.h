// `sternpost report list|show|send`: the operator's own record of a UTC day, from the running
// daemon or, without one, from the store. Asks and prints; what is counted, composed and sent is
// report/'s. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/commands.h"

namespace cli {

struct ReportOwn {
  CLI::App* list = nullptr;
  CLI::App* show = nullptr;
  CLI::App* send = nullptr;
  std::string date;
  std::string domain;
  bool json = false;
  bool dry_run = false;
  bool parsed() const { return list->parsed() || show->parsed() || send->parsed(); }
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_report_own(CLI::App& report, ReportOwn& options, std::string& file);

// The exit status: exit_no where there is no such report, or one could not be sent;
// exit_unavailable where neither the daemon nor the store can be reached.
int report_own(const ReportOwn& options, const std::string& file, const Terminal& terminal,
               const World& world);

}  // namespace cli
