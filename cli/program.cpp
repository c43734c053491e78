#include "cli/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>

#include "cli/commands.h"
#include "proxy/known_head.h"
#include "proxy/offline.h"
#include "proxy/offline_policy.h"
#include "proxy/serve.h"
#include "proxy/tls_client.h"

namespace cli {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) == 1 && variable("TERM") != "dumb";
}

bool wants_colour(int descriptor) {
  return is_terminal(descriptor) && variable("NO_COLOR").empty();
}

// Whether standard output is a terminal whose locale says UTF-8.
bool shows_unicode() {
  std::string locale = variable("LC_ALL");
  if (locale.empty()) locale = variable("LC_CTYPE");
  if (locale.empty()) locale = variable("LANG");
  const bool utf8 = locale.ends_with("UTF-8") || locale.ends_with("utf8");
  return utf8 && ::isatty(STDOUT_FILENO) == 1 && variable("TERM") != "dumb";
}

// Empty where the command cannot be run; its errors are nobody's.
std::string output_of(const std::string& command) {
  const std::string quiet = "exec </dev/null 2>/dev/null; " + command;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(quiet.c_str(), "re"),
                                                             ::pclose);
  std::string output;
  std::array<char, 4096> buffer{};
  while (pipe) {
    const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get());
    if (count == 0) break;
    output.append(buffer.data(), count);
  }
  return output;
}

// A standard descriptor that the parent closed must not become that of a file or a connection,
// which would get what is meant for people. Output that goes nowhere is told: the device is full.
void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // Gets the lowest number that is free, which is this one.
    if (descriptor == STDOUT_FILENO && ::open("/dev/full", O_RDWR) >= 0) continue;
    (void)::open("/dev/null", O_RDWR);
  }
}

}  // namespace

int program(int argc, char** argv, const base::Clock& clock) {
  hold_standard_descriptors();
  try {
    const std::string named = variable("STERNPOST_CONFIG");
    World world;
    world.clock = &clock;
    world.default_config = named.empty() ? "/etc/sternpost/sternpost.toml" : named;
    world.load = [&clock](const config::Path& path) {
      config::Surroundings real = config::real_surroundings(clock);
      real.tls_fault = proxy::TlsClient::fault_of;
      return config::load(path, real);
    };
    world.config_named = !named.empty();
    world.defaults = [&clock] { return config::load_defaults(config::real_surroundings(clock)); };
    world.check = [&clock](const config::Config& config, const check::Options& options,
                           const check::Progress& progress) {
      return check::run(config, options, clock, progress);
    };
    world.own = [&clock](const config::Config& config, const check::OwnOptions& options,
                         const check::Progress& progress) {
      return check::run_own(config, options, clock, progress);
    };
    world.report = [&clock](const config::Config& config, const nlohmann::json& request) {
      return proxy::report_command(config, clock, request);
    };
    world.policy = [&clock](const config::Config& config, const nlohmann::json& request) {
      return proxy::policy_command(config, clock, request);
    };
    world.known_head = proxy::known_head;
    world.known_removed = proxy::known_removed;
    world.doctor = [&clock](const config::Config& config,
                            const proxy::DoctorQuestions& questions) {
      return proxy::examine(config, clock, questions);
    };
    world.serve = [&clock](const std::string& path) { return proxy::serve(path, clock); };
    world.shell = output_of;
    world.in = &std::cin;
    Terminal terminal{std::cout, std::cerr, wants_colour(STDERR_FILENO), shows_unicode()};
    terminal.out_colour = wants_colour(STDOUT_FILENO);
    terminal.live = is_terminal(STDERR_FILENO);
    const int status = run({argv + 1, argv + argc}, terminal, world);
    std::cout.flush();
    if (std::cout) return status;
    std::cerr << "sternpost: not all of the output could be written\n";
    return exit_tempfail;
  } catch (const std::exception& error) {
    std::cerr << "sternpost: " << error.what() << '\n';
    return exit_tempfail;
  }
}

}  // namespace cli
