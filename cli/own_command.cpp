#include "cli/own_command.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "base/encode.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "config/values.h"

namespace cli {

namespace {

// Nothing: the option is not there; `err` is told where it is no time.
bool take_time(const CLI::App& command, const std::string& option, const std::string& text,
               std::chrono::milliseconds most, std::chrono::milliseconds& into,
               std::ostream& err) {
  if (command.count(option) == 0) return true;
  config::Node node;
  node.value = text;
  const auto time = config::read<config::Duration>(node);
  if (!time || time->count() <= 0) {
    err << option << ": \"" << base::printable(text) << "\" is no time; write 30s, 2m or 14d\n";
    return false;
  }
  into = std::min<std::chrono::milliseconds>(*time, most);
  return true;
}

}  // namespace

void add_own(CLI::App& app, Own& options, std::string& file) {
  options.command = app.add_subcommand(
      "own", "Your own domain as senders of mail to it see it; sends no mail");
  options.command->add_option("DOMAIN", options.domain, "Your domain")
      ->type_name("DOMAIN")
      ->required();
  options.command->add_option("-c,--config", file, "Configuration file (or STERNPOST_CONFIG)")
      ->type_name("FILE")
      ->capture_default_str();
  options.command
      ->add_option("--expire-within", options.expire_within,
                   "Warn of a certificate that ends within that time (default 14d)")
      ->type_name("TIME");
  options.command->add_option("--limit", options.limit, "End after that time (default 2m)")
      ->type_name("TIME");
  options.command->add_flag("--json", options.json, "Print JSON");
  options.command->footer(
      "MX records and their signatures, the MTA-STS record, the policy file by every rule that a\n"
      "sender applies, the MX hosts against it, each address with an RSA, an ECDSA and an EdDSA\n"
      "key against policy and TLSA records, the TLS-RPT record; and in which order to change\n"
      "things. Works without a configuration file, on the defaults.\n"
      "Exit status: 0 nothing fails (warnings there may be), 1 something does, 75 not all could\n"
      "be found out, 69 no resolver answers.\n"
      "\nExamples:\n"
      "  sternpost own example.com\n"
      "  sternpost own example.com --expire-within 30d --json");
}

int own_command(const Own& words, const std::string& file, const Terminal& terminal,
                const World& world) {
  const auto domain = base::Domain::parse(words.domain);
  if (!domain) {
    terminal.err << "\"" << base::printable(words.domain)
                 << "\" is no domain: " << domain.error().text << '\n';
    return exit_usage;
  }
  check::OwnOptions options(*domain);
  std::chrono::milliseconds within = options.expire_within;
  const CLI::App& command = *words.command;
  if (!take_time(command, "--expire-within", words.expire_within, std::chrono::days(36500), within,
                 terminal.err) ||
      !take_time(command, "--limit", words.limit, std::chrono::hours(1), options.limit,
                 terminal.err)) {
    return exit_usage;
  }
  options.expire_within = std::chrono::duration_cast<std::chrono::seconds>(within);
  const auto config = settings_for(command, file, terminal, world);
  if (!config) return exit_config;
  const auto report = world.own(*config, options, shown_progress(terminal));
  clear_progress(terminal);
  if (!report) {
    terminal.err << "own: " << base::printable(report.error().text) << '\n';
    return report.error().status;
  }
  terminal.out << (words.json ? check::to_json(*report)
                              : check::to_text(*report, terminal.out_colour));
  if (!report->certain) return exit_tempfail;
  return report->worst() == check::Level::fail ? exit_no : exit_fine;
}

}  // namespace cli
