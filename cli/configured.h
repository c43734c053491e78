// The configuration for a command that also works without one: where none was named and none is at
// the usual place, the defaults. Called by the commands of cli/.
#pragma once

#include <memory>
#include <string>

#include "cli/commands.h"

namespace cli {

// Null: it was named or is there, and has mistakes, which are printed. `command`: that has -c.
std::shared_ptr<const config::Config> configured_or_default(const CLI::App& command,
                                                            const std::string& file,
                                                            const Terminal& terminal,
                                                            const World& world);
// The same where there must be one.
std::shared_ptr<const config::Config> configured(const std::string& file,
                                                 const Terminal& terminal, const World& world);

}  // namespace cli
