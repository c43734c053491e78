#include "cli/settings.h"

#include <filesystem>
#include <ostream>

#include "base/encode.h"

namespace cli {

bool is_absent(const std::string& file) {
  std::error_code error;
  return std::filesystem::status(file, error).type() == std::filesystem::file_type::not_found;
}

std::shared_ptr<const config::Config> settings_for(const CLI::App& command,
                                                   const std::string& file,
                                                   const Terminal& terminal, const World& world) {
  const bool named = command.count("--config") > 0 || world.config_named;
  // Only a file that is not there: one that cannot be read has other terms than the defaults.
  const bool defaults = !named && is_absent(file) && world.defaults;
  const config::LoadResult loaded = defaults ? world.defaults() : world.load(file);
  if (defaults) {
    terminal.err << "no configuration at " << base::printable(file) << ": the defaults hold\n";
    // They stand in no file that could be mended at a line.
    for (const config::Issue& issue : loaded.warnings) {
      terminal.err << "warning: " << issue.text << '\n';
    }
    for (const config::Issue& issue : loaded.errors) {
      terminal.err << "error: " << issue.text << '\n';
    }
    return loaded.config;
  }
  if (!print_issues(loaded, terminal) || !loaded.config) return nullptr;
  return loaded.config;
}

}  // namespace cli
