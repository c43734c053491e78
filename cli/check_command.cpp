#include "cli/check_command.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "base/encode.h"
#include "check/json.h"
#include "check/text.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "config/values.h"
#include "tlsrpt/read_time.h"

namespace cli {

namespace {

constexpr std::size_t resolvers_most = 16;

template <class T>
config::Read<T> value_of(const std::string& text) {
  config::Node node;
  node.value = text;
  return config::read<T>(node);
}

// What a command line says, or nullopt once `err` has been told why it cannot be.
std::optional<check::Options> options_from(const Check& words, std::ostream& err) {
  const auto domain = base::Domain::parse(words.domain);
  if (!domain) {
    err << "\"" << base::printable(words.domain) << "\" is no domain: " << domain.error().text
        << '\n';
    return std::nullopt;
  }
  check::Options options(*domain);
  options.connect = !words.no_connect;
  for (const std::string& text : words.resolvers) {
    const auto resolver = value_of<config::Forwarder>(text);
    if (!resolver) {
      err << "--resolver: " << base::printable(resolver.error().text) << '\n';
      return std::nullopt;
    }
    options.resolvers.push_back(*resolver);
  }
  if (options.resolvers.size() > resolvers_most) {
    err << "--resolver: " << resolvers_most << " at most\n";
    return std::nullopt;
  }
  if (words.command->count("--at") > 0) {
    const auto time = tlsrpt::read_time(words.at);
    if (!time || !time->exact) {
      err << "--at: \"" << base::printable(words.at)
          << "\" is no time of RFC 3339; write 2026-11-26T12:00:00Z\n";
      return std::nullopt;
    }
    options.at = time->time;
  }
  if (words.command->count("--limit") > 0) {
    const auto limit = value_of<config::Duration>(words.limit);
    if (!limit || limit->count() <= 0) {
      err << "--limit: \"" << base::printable(words.limit) << "\" is no time; write 30s or 2m\n";
      return std::nullopt;
    }
    options.limit = std::min<config::Duration>(*limit, std::chrono::hours(1));
  }
  return options;
}

int status_of(const check::Outcome& outcome) {
  const bool fine = outcome.verdict == check::Verdict::delivered ||
                    outcome.verdict == check::Verdict::open;
  if (fine) return exit_fine;
  return outcome.certain ? exit_no : exit_tempfail;
}

}  // namespace

void add_check(CLI::App& app, Check& options, std::string& file) {
  options.command = app.add_subcommand(
      "check", "What would happen to mail for a domain now, and why; sends no mail");
  options.command->add_option("DOMAIN", options.domain, "The recipient domain")
      ->type_name("DOMAIN")
      ->required();
  options.command->add_option("-c,--config", file, "Configuration file (or STERNPOST_CONFIG)")
      ->type_name("FILE")
      ->capture_default_str();
  options.command->add_flag("--no-connect", options.no_connect,
                            "Ask DNS and policy host alone, no MX host");
  options.command
      ->add_option("--resolver", options.resolvers,
                   "Ask this resolver instead; several are compared, the first one's answers count")
      ->type_name("ADDRESS[@PORT]")
      ->allow_extra_args(false);  // one each time, so that the domain may follow
  options.command
      ->add_option("--at", options.at, "Judge certificates and caches as of then (RFC 3339)")
      ->type_name("TIME");
  options.command->add_option("--limit", options.limit, "End after that time (default 2m)")
      ->type_name("TIME");
  options.command->add_flag("--json", options.json, "Print JSON");
  options.command->footer(
      "Works without a configuration file, on the defaults. Where the daemon runs, its cached\n"
      "policy is the one that counts; nothing of it is changed.\n"
      "Exit status: 0 mail would be delivered (with --no-connect: nothing rules that out), 1 it\n"
      "would be deferred or rejected, 75 the same because something could not be found out, 69\n"
      "no resolver answers.\n"
      "\nExamples:\n"
      "  sternpost check example.com\n"
      "  sternpost check example.com --resolver 192.0.2.53 --resolver 198.51.100.53 --json");
}

int check_command(const Check& words, const std::string& file, const Terminal& terminal,
                  const World& world) {
  const auto options = options_from(words, terminal.err);
  if (!options) return exit_usage;
  const auto config = settings_for(*words.command, file, terminal, world);
  if (!config) return exit_config;
  const auto report = world.check(*config, *options, shown_progress(terminal));
  clear_progress(terminal);
  if (!report) {
    terminal.err << "check: " << base::printable(report.error().text) << '\n';
    return report.error().status;
  }
  terminal.out << (words.json ? check::to_json(*report)
                              : check::to_text(*report, terminal.out_colour));
  return status_of(report->outcome);
}

}  // namespace cli
