// The configuration of a command that works without one: the file that is named, or the usual one
// where it is there, or the defaults. Called by the commands that say so.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "cli/commands.h"

namespace cli {

// Nothing is there; false also for what cannot be read, which may say something.
bool is_absent(const std::string& file);

// nullptr: there is a file, or one is named, and it has mistakes, which have been printed. `file`:
// what -c of `command` or its default says.
std::shared_ptr<const config::Config> settings_for(const CLI::App& command,
                                                   const std::string& file,
                                                   const Terminal& terminal, const World& world);

}  // namespace cli
