// `sternpost snippet MTA`: finds the MTA's version and the relay's listeners, and prints the lines
// that attach it. What the lines are is snippet's. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/snippet.h"

namespace cli {

struct Snippet {
  CLI::App* command = nullptr;
  std::string mta;
  std::string via;
  std::string version;
  std::string listen;
  bool json = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_snippet(CLI::App& app, Snippet& options, std::string& file);

// The exit status: exit_usage for an MTA, a way or a version that there are no lines for;
// exit_config where a configuration was named and cannot be read.
int snippet_command(const Snippet& options, const std::string& file, const Terminal& terminal,
                    const World& world);

// The shell command whose output tells the version; it changes nothing and sends nothing.
std::string version_query(Mta mta);
// The version in that output; nothing where it tells none.
std::optional<Version> found_version(Mta mta, std::string_view output);

}  // namespace cli
