#include "cli/settings.h"

#include <filesystem>
#include <ostream>

#include "base/encode.h"

namespace cli {

std::shared_ptr<const config::Config> settings_for(const CLI::App& command,
                                                   const std::string& file,
                                                   const Terminal& terminal, const World& world) {
  std::error_code error;
  const bool named = command.count("--config") > 0 || world.config_named;
  // Only a file that is not there: one that cannot be read has other terms than the defaults.
  const bool absent = std::filesystem::status(file, error).type() ==
                      std::filesystem::file_type::not_found;
  const bool defaults = !named && absent && world.defaults;
  const config::LoadResult loaded = defaults ? world.defaults() : world.load(file);
  if (!print_issues(loaded, terminal) || !loaded.config) return nullptr;
  if (defaults) {
    terminal.err << "no configuration at " << base::printable(file) << ": the defaults hold\n";
  }
  return loaded.config;
}

}  // namespace cli
