// `sternpost audit query`: the records of the enforcement log that meet conditions, as a table, as
// the lines they are, or as CSV. Finds the files and prints; which lines are wanted is
// audit/query's. Reads, and asks no daemon. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cli {

struct AuditQuery {
  CLI::App* command = nullptr;
  std::vector<std::string> files;
  std::string since;
  std::string until;
  std::vector<std::string> domains;
  std::vector<std::string> events;
  std::vector<std::string> verdicts;
  std::vector<std::string> protections;
  std::vector<std::string> results;
  std::vector<std::string> ids;
  std::vector<std::string> queue_ids;
  bool json = false;
  bool csv = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_audit_query(CLI::App& audit, AuditQuery& options, std::string& file);

// The exit status: exit_no where no record is wanted; exit_unavailable where a file is not there or
// is damaged: what could be read is printed.
int audit_query(const AuditQuery& options, const std::string& file, const Terminal& terminal,
                const World& world);

}  // namespace cli
