#include "cli/program.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/commands.h"
#include "proxy/offline.h"
#include "proxy/serve.h"

namespace cli {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool wants_colour() {
  return ::isatty(STDERR_FILENO) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

// Whether standard output is a terminal whose locale says UTF-8.
bool shows_unicode() {
  std::string locale = variable("LC_ALL");
  if (locale.empty()) locale = variable("LC_CTYPE");
  if (locale.empty()) locale = variable("LANG");
  const bool utf8 = locale.ends_with("UTF-8") || locale.ends_with("utf8");
  return utf8 && ::isatty(STDOUT_FILENO) == 1 && variable("TERM") != "dumb";
}

}  // namespace

int program(int argc, char** argv, const base::Clock& clock) {
  try {
    const std::string named = variable("STERNPOST_CONFIG");
    World world;
    world.clock = &clock;
    world.default_config = named.empty() ? "/etc/sternpost/sternpost.toml" : named;
    world.load = [&clock](const config::Path& path) { return config::load(path, clock); };
    world.report = [&clock](const config::Config& config, const nlohmann::json& request) {
      return proxy::report_command(config, clock, request);
    };
    world.serve = [&clock](const std::string& path) { return proxy::serve(path, clock); };
    world.in = &std::cin;
    const Terminal terminal{std::cout, std::cerr, wants_colour(), shows_unicode()};
    const int status = run({argv + 1, argv + argc}, terminal, world);
    std::cout.flush();
    return std::cout ? status : exit_tempfail;
  } catch (const std::exception& error) {
    std::cerr << "sternpost: " << error.what() << '\n';
    return exit_tempfail;
  }
}

}  // namespace cli
