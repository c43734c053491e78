// The program's entry: hands the process's streams, environment and serve() to cli::run.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>

#include "cli/commands.h"
#include "proxy/serve.h"

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool wants_colour() {
  return ::isatty(STDERR_FILENO) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string named = variable("STERNPOST_CONFIG");
    cli::World world;
    world.default_config = named.empty() ? "/etc/sternpost/sternpost.toml" : named;
    world.load = [](const config::Path& path) { return config::load(path); };
    world.serve = [](const std::string& path) { return proxy::serve(path); };
    const cli::Terminal terminal{std::cout, std::cerr, wants_colour()};
    const int status = cli::run({argv + 1, argv + argc}, terminal, world);
    std::cout.flush();
    return std::cout ? status : cli::exit_tempfail;
  } catch (const std::exception& error) {
    std::cerr << "sternpost: " << error.what() << '\n';
    return cli::exit_tempfail;
  }
}
