// `sternpost policy lint FILE`: a policy file as senders judge it, with line and column of every
// fault. Reads and prints; the faults are policy/sts_lint's. Needs no configuration. Called by
// cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <iosfwd>
#include <string>

#include "cli/commands.h"

namespace cli {

struct PolicyLint {
  CLI::App* command = nullptr;
  std::string file;  // "-": standard input
  bool json = false;
};

void add_policy_lint(CLI::App& policy, PolicyLint& options, std::string& config);

// The exit status: exit_no where senders refuse the file; warnings alone are no refusal.
int policy_lint(const PolicyLint& options, const Terminal& terminal, std::istream& in);

}  // namespace cli
