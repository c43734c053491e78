#include "cli/commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/encode.h"
#include "cli/check_command.h"
#include "cli/own_command.h"
#include "cli/audit_query.h"
#include "cli/audit_verify.h"
#include "cli/doctor.h"
#include "cli/policy_cache.h"
#include "cli/policy_generate.h"
#include "cli/policy_lint.h"
#include "cli/report_own.h"
#include "cli/report_read.h"
#include "cli/snippet_command.h"
#include "config/defaults.h"

namespace cli {

namespace {

constexpr const char* red = "\033[31m";
constexpr const char* yellow = "\033[33m";
constexpr const char* plain = "\033[0m";

struct Commands {
  CLI::App app{"Sternpost passes mail on over TLS that meets what the recipient's domain "
               "publishes, or says why not.",
               "sternpost"};
  CLI::App* serve = nullptr;
  CLI::App* config = nullptr;
  CLI::App* config_check = nullptr;
  CLI::App* defaults = nullptr;
  CLI::App* report = nullptr;
  Check check;
  Own own;
  ReportRead report_read;
  ReportOwn report_own;
  Snippet snippet;
  CLI::App* audit = nullptr;
  PolicyCache policy_cache;
  PolicyLint policy_lint;
  PolicyGenerate policy_generate;
  AuditQuery audit_query;
  AuditVerify audit_verify;
  Doctor doctor;
  std::string file;
};

void describe_report(Commands& commands) {
  commands.report = commands.app.add_subcommand("report", "TLS reports (RFC 8460)");
  commands.report->require_subcommand(1);
  commands.report->footer(
      "Examples:\n"
      "  sternpost report list --date 2026-11-25\n"
      "  sternpost report read report.json.gz");
  add_report_own(*commands.report, commands.report_own, commands.file);
  add_report_read(*commands.report, commands.report_read, commands.file);
}

void describe_policy(Commands& commands) {
  CLI::App* const policy =
      commands.app.add_subcommand("policy", "MTA-STS policies (RFC 8461): of others, and your own");
  policy->require_subcommand(1);
  policy->footer(
      "Examples:\n"
      "  sternpost policy list\n"
      "  sternpost policy lint mta-sts.txt");
  add_policy_cache(*policy, commands.policy_cache, commands.file);
  add_policy_lint(*policy, commands.policy_lint, commands.file);
  add_policy_generate(*policy, commands.policy_generate, commands.file);
}

void describe_audit(Commands& commands) {
  commands.audit = commands.app.add_subcommand("audit", "The enforcement log");
  commands.audit->require_subcommand(1);
  commands.audit->footer(
      "Examples:\n"
      "  sternpost audit query --since 2h --verdict deferred\n"
      "  sternpost audit verify");
  add_audit_query(*commands.audit, commands.audit_query, commands.file);
  add_audit_verify(*commands.audit, commands.audit_verify, commands.file);
}

void describe(Commands& commands, const World& world) {
  commands.file = world.default_config;
  commands.app.set_version_flag("--version", "sternpost " STERNPOST_VERSION);
  commands.app.require_subcommand(1);
  commands.app.footer(
      "Examples:\n"
      "  sternpost config check -c /etc/sternpost/sternpost.toml\n"
      "  sternpost serve");

  commands.serve = commands.app.add_subcommand(
      "serve", "Run every listener of the configuration in the foreground");
  take_config(*commands.serve, commands.file);
  commands.serve->footer(
      "SIGHUP reads the configuration again, SIGTERM ends after the transactions under way.\n"
      "\nExamples:\n"
      "  sternpost serve\n"
      "  sternpost serve --config ./sternpost.toml");

  commands.config = commands.app.add_subcommand("config", "Judge or print the configuration");
  commands.config->require_subcommand(1);
  commands.config->footer(
      "Examples:\n"
      "  sternpost config check\n"
      "  sternpost config defaults > sternpost.toml");

  commands.config_check = commands.config->add_subcommand(
      "check", "Read the configuration as serve does and tell every mistake");
  take_config(*commands.config_check, commands.file);
  commands.config_check->footer(
      "Exit status: 0 no mistake, 78 there are mistakes.\n"
      "\nExamples:\n"
      "  sternpost config check\n"
      "  sternpost config check -c ./sternpost.toml && systemctl reload sternpost");

  commands.defaults = commands.config->add_subcommand(
      "defaults", "Print every key with its default and a comment, as TOML");
  take_config(*commands.defaults, commands.file);
  commands.defaults->footer(
      "Examples:\n"
      "  sternpost config defaults\n"
      "  sternpost config defaults | grep -B2 _timeout");

  add_check(commands.app, commands.check, commands.file);
  add_own(commands.app, commands.own, commands.file);
  describe_report(commands);
  describe_policy(commands);
  describe_audit(commands);
  add_doctor(commands.app, commands.doctor, commands.file);
  add_snippet(commands.app, commands.snippet, commands.file);
}

// What is wrong with the words of `used`, in a person's terms where CLI11's say little.
std::string usage_words(const CLI::App& used, const CLI::ParseError& error) {
  if (error.get_name() == "ArgumentMismatch") {
    // "--config: 1 required FILE missing"
    const std::string text = error.what();
    const auto colon = text.find(": 1 required ");
    const auto missing = text.rfind(" missing");
    if (colon != std::string::npos && missing != std::string::npos && missing > colon) {
      const auto what = colon + std::string_view(": 1 required ").size();
      return text.substr(0, colon) + " needs a " + text.substr(what, missing - what);
    }
  }
  const std::vector<std::string> unknown = used.remaining();

  const auto groups = used.get_subcommands([](const CLI::App*) { return true; });
  if (groups.empty() && unknown.empty()) return error.what();
  // Words that came too many stand in the order in which CLI11 met them: one will do.
  if (groups.empty()) return "\"" + unknown.front() + "\" is not expected here";
  std::string names;
  for (const CLI::App* group : groups) names += (names.empty() ? "" : ", ") + group->get_name();
  const std::string what = unknown.empty()                     ? "a command is missing"
                           : unknown.front().starts_with("-") ? "no option " + unknown.front()
                                                              : "no command " + unknown.front();
  return what + "; the commands are " + names;
}

// One line, which ends with the command whose --help tells more.
int wrong_usage(const CLI::App& app, const CLI::ParseError& error, const Terminal& terminal) {
  const CLI::App* used = &app;
  std::string command = app.get_name();
  while (!used->get_subcommands().empty()) {
    used = used->get_subcommands().front();
    command += " " + used->get_name();
  }
  std::string words = usage_words(*used, error);
  const auto before = app.remaining();  // a command follows it
  const auto option = std::ranges::find_if(
      before, [](const std::string& word) { return word.starts_with("-"); });
  if (used != &app && option != before.end()) words = *option + " stands behind the command";
  terminal.err << command << ": " << base::printable(words) << "; see "
               << command << " --help\n";
  return exit_usage;
}

int config_check(const std::string& file, const Terminal& terminal, const World& world) {
  const config::LoadResult result = world.load(file);
  if (!print_issues(result, terminal)) return exit_config;
  terminal.err << file << ": no mistakes\n";
  return exit_fine;
}

int dispatch(const Commands& commands, const Terminal& terminal, const World& world) {
  if (commands.serve->parsed()) return world.serve(commands.file);
  if (commands.config_check->parsed()) return config_check(commands.file, terminal, world);
  if (commands.check.command->parsed()) {
    return check_command(commands.check, commands.file, terminal, world);
  }
  if (commands.own.command->parsed()) {
    return own_command(commands.own, commands.file, terminal, world);
  }
  if (commands.report_own.parsed()) {
    return report_own(commands.report_own, commands.file, terminal, world);
  }
  std::istringstream nothing;
  std::istream& in = world.in ? *world.in : nothing;
  if (commands.report_read.command->parsed()) {
    return report_read(commands.report_read, terminal, in);
  }
  if (commands.policy_cache.parsed()) {
    return policy_cache(commands.policy_cache, commands.file, terminal, world);
  }
  if (commands.policy_lint.command->parsed()) {
    return policy_lint(commands.policy_lint, terminal, in);
  }
  if (commands.policy_generate.command->parsed()) {
    return policy_generate(commands.policy_generate, terminal, world);
  }
  if (commands.audit_query.command->parsed()) {
    return audit_query(commands.audit_query, commands.file, terminal, world);
  }
  if (commands.audit_verify.command->parsed()) {
    return audit_verify(commands.audit_verify, commands.file, terminal, world);
  }
  if (commands.doctor.command->parsed()) {
    return doctor(commands.doctor, commands.file, terminal, world);
  }
  if (commands.snippet.command->parsed()) {
    return snippet_command(commands.snippet, commands.file, terminal, world);
  }
  terminal.out << config::defaults_toml();
  return exit_fine;
}

}  // namespace

void take_config(CLI::App& command, std::string& file) {
  command.add_option("-c,--config", file, "Configuration file (or STERNPOST_CONFIG)")
      ->type_name("FILE")
      ->capture_default_str();
}

namespace {

void print_all(const std::vector<config::Issue>& issues, std::string_view kind,
               const char* colour, const Terminal& terminal) {
  for (const config::Issue& issue : issues) {
    if (terminal.colour) terminal.err << colour;
    terminal.err << config::text_of(issue, kind);
    if (terminal.colour) terminal.err << plain;
    terminal.err << '\n';
  }
}

}  // namespace

bool print_errors(const config::LoadResult& result, const Terminal& terminal) {
  print_all(result.errors, "error", red, terminal);
  return result.errors.empty();
}

bool print_issues(const config::LoadResult& result, const Terminal& terminal) {
  const bool good = print_errors(result, terminal);
  print_all(result.warnings, "warning", yellow, terminal);
  return good;
}

int run(const std::vector<std::string>& arguments, const Terminal& terminal, const World& world) {
  Commands commands;
  describe(commands, world);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
    commands.app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      commands.app.exit(error, terminal.out, terminal.err);  // --help, --version
      return exit_fine;
    }
    return wrong_usage(commands.app, error, terminal);
  }
  return dispatch(commands, terminal, world);
}

}  // namespace cli
