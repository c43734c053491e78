// `sternpost audit verify`: whether the enforcement log's hash chain is whole, up to the head that
// the daemon or the store knows. Finds the files and the head and prints; the chain is
// audit/verify's. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cli {

struct AuditVerify {
  CLI::App* command = nullptr;
  std::vector<std::string> files;
  std::string head;
  bool json = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_audit_verify(CLI::App& audit, AuditVerify& options, std::string& file);

// The exit status: exit_no where the chain is broken; exit_unavailable where a file is not there or
// damaged; exit_tempfail where the known head cannot be had.
int audit_verify(const AuditVerify& options, const std::string& file, const Terminal& terminal,
                 const World& world);

}  // namespace cli
