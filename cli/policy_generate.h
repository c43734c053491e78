// `sternpost policy generate`: the policy file and the DNS records of the operator's own domain.
// Reads certificate and key files and prints; what the records are is policy/publish's. Needs no
// configuration, asks nobody. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cli {

struct PolicyGenerate {
  CLI::App* command = nullptr;
  std::string domain;
  std::vector<std::string> mx;
  std::string mode = "testing";
  std::string max_age;
  std::string id;
  std::vector<std::string> rua;
  std::vector<std::string> tlsa;  // [HOST=]FILE
  std::vector<std::string> next;
  std::uint32_t ttl = 3600;
  bool policy_alone = false;
  bool json = false;
};

void add_policy_generate(CLI::App& policy, PolicyGenerate& options, std::string& config);

// The exit status: exit_usage where senders would not accept what was asked for; exit_unavailable
// where a file cannot be read.
int policy_generate(const PolicyGenerate& options, const Terminal& terminal, const World& world);

}  // namespace cli
