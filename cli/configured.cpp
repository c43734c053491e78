#include "cli/configured.h"

#include <CLI/CLI.hpp>
#include <filesystem>

namespace cli {

std::shared_ptr<const config::Config> configured(const std::string& file,
                                                 const Terminal& terminal, const World& world) {
  config::LoadResult loaded = world.load(file);
  if (!print_errors(loaded, terminal)) return nullptr;
  return loaded.config;
}

std::shared_ptr<const config::Config> configured_or_default(const CLI::App& command,
                                                            const std::string& file,
                                                            const Terminal& terminal,
                                                            const World& world) {
  std::error_code error;
  const bool named = command.count("--config") > 0;
  if (!named && !std::filesystem::exists(file, error) && !error) {
    return std::make_shared<const config::Config>();
  }
  return configured(file, terminal, world);
}

}  // namespace cli
