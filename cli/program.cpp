#include "cli/program.h"

#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/commands.h"
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

}  // namespace

int program(int argc, char** argv, const base::Clock& clock) {
  try {
    const std::string named = variable("STERNPOST_CONFIG");
    World world;
    world.clock = &clock;
    world.default_config = named.empty() ? "/etc/sternpost/sternpost.toml" : named;
    world.load = [&clock](const config::Path& path) { return config::load(path, clock); };
    world.serve = [&clock](const std::string& path) { return proxy::serve(path, clock); };
    const Terminal terminal{std::cout, std::cerr, wants_colour()};
    const int status = run({argv + 1, argv + argc}, terminal, world);
    std::cout.flush();
    return std::cout ? status : exit_tempfail;
  } catch (const std::exception& error) {
    std::cerr << "sternpost: " << error.what() << '\n';
    return exit_tempfail;
  }
}

}  // namespace cli
