#include "cli/policy_cache.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "base/encode.h"
#include "base/terminal.h"
#include "cli/configured.h"
#include "cli/print.h"

namespace cli {

using nlohmann::json;

namespace {

constexpr std::size_t patterns_shown = 3;

CLI::App* add_one(CLI::App& policy, PolicyCache& options, std::string& file, const char* name,
                  const char* what) {
  CLI::App* const command = policy.add_subcommand(name, what);
  if (std::string_view(name) != "list") {
    command->add_option("DOMAIN", options.domain, "Recipient domain")
        ->type_name("DOMAIN")
        ->required();
  }
  take_config(*command, file);
  command->add_flag("--json", options.json, "Print JSON");
  return command;
}

std::string patterns(const json& mx, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < mx.size() && i < most; ++i) {
    text += (i > 0 ? ", " : "") + text_of(mx[i]);
  }
  if (mx.size() > most) text += " and " + std::to_string(mx.size() - most) + " more";
  return text;
}

void print_list(const json& reply, std::ostream& out) {
  Table table({"DOMAIN", "MODE", "ID", "FETCHED", "EXPIRES", "FAILED#", "MX"}, out);
  for (const json& one : reply["policies"]) {
    table.add({text_of(one["domain"]), text_of(one["mode"]), text_of(one["id"]),
               text_of(one["fetched"]), text_of(one["expires"]),
               std::to_string(one["refresh_failures"].get<std::uint64_t>()),
               patterns(one["mx"], patterns_shown)});
    if (!one["refresh_failure"].is_null()) {
      table.line("    last refresh: " + text_of(one["refresh_failure"]));
    }
  }
}

void print_show(const json& reply, std::ostream& out) {
  out << text_of(reply["domain"]) << ": mode " << text_of(reply["mode"]) << ", id "
      << text_of(reply["id"]) << ", max_age " << reply["max_age"] << '\n'
      << "  fetched      " << text_of(reply["fetched"]) << '\n'
      << "  expires      " << text_of(reply["expires"]) << '\n'
      << "  refresh due  " << text_of(reply["refresh_due"]);
  const auto failures = reply["refresh_failures"].get<std::uint64_t>();
  if (failures > 0) out << ", after " << counted(failures, "failure", "failures");
  if (!reply["refresh_failure"].is_null()) out << ": " << text_of(reply["refresh_failure"]);
  out << '\n';
  for (const json& line : reply["policy"]) out << "  | " << text_of(line) << '\n';
}

int print_refresh(const json& reply, const Terminal& terminal) {
  terminal.out << text_of(reply["domain"]) << ": mode " << text_of(reply["mode"]) << ", id "
               << text_of(reply["id"]) << ", " << text_of(reply["source"]) << ", expires "
               << text_of(reply["expires"]) << '\n';
  return exit_fine;
}

int print(const PolicyCache& options, const json& reply, const Terminal& terminal) {
  const bool kept = options.refresh->parsed() && !reply["refresh_failure"].is_null();
  if (options.json) {
    terminal.out << in_ascii(reply, 2) << '\n';
  } else if (options.list->parsed()) {
    if (reply["policies"].empty()) {
      terminal.err << "no policy is cached\n";
    } else {
      print_list(reply, terminal.out);
    }
  } else if (options.show->parsed()) {
    print_show(reply, terminal.out);
  } else if (options.refresh->parsed()) {
    print_refresh(reply, terminal);
  } else {
    terminal.out << text_of(reply["domain"]) << ": purged\n";
  }
  if (!kept) return exit_fine;
  terminal.err << text_of(reply["domain"])
               << ": the policy could not be fetched anew, the cached one stays: "
               << text_of(reply["refresh_failure"]) << '\n';
  return exit_no;
}

}  // namespace

void add_policy_cache(CLI::App& policy, PolicyCache& options, std::string& file) {
  options.list = add_one(policy, options, file, "list", "The MTA-STS policies in the cache");
  options.list->footer(
      "FAILED: refreshes since the last that succeeded.\n"
      "\nExamples:\n"
      "  sternpost policy list\n"
      "  sternpost policy list --json | jq -r '.policies[] | select(.mode == \"enforce\").domain'");
  options.show = add_one(policy, options, file, "show", "A cached policy with its lines");
  options.show->footer(
      "Exit status: 0 it is shown, 1 none is cached.\n"
      "\nExamples:\n"
      "  sternpost policy show partner.example\n"
      "  sternpost policy show partner.example --json");
  options.refresh = add_one(policy, options, file, "refresh", "Fetch a domain's policy now");
  options.refresh->footer(
      "Whatever the record says and however short ago the last try was.\n"
      "Exit status: 0 it was fetched, 1 there is none or it could not be fetched, 75 the record\n"
      "could not be looked up or the answer is not there yet.\n"
      "\nExamples:\n"
      "  sternpost policy refresh partner.example\n"
      "  sternpost policy refresh partner.example --json");
  options.purge = add_one(policy, options, file, "purge",
                          "Forget a domain's policy: the next message is a first contact");
  options.purge->add_option("--reason", options.reason, "Why, for the enforcement log")
      ->type_name("TEXT");
  options.purge->footer(
      "Until the policy is fetched again nothing protects the domain's mail but what is found out\n"
      "then; `refresh` replaces a policy without such a gap.\n"
      "Exit status: 0 it is forgotten, 1 none was cached.\n"
      "\nExamples:\n"
      "  sternpost policy purge partner.example --reason 'moved hosts, ticket 4711'\n"
      "  sternpost policy refresh partner.example");
}

int policy_cache(const PolicyCache& options, const std::string& file, const Terminal& terminal,
                 const World& world) {
  json request;
  request["command"] = options.list->parsed()      ? "policy list"
                       : options.show->parsed()    ? "policy show"
                       : options.refresh->parsed() ? "policy refresh"
                                                   : "policy purge";
  if (!options.list->parsed()) {
    const auto domain = base::Domain::parse(options.domain);
    if (!domain) {
      terminal.err << "\"" << base::printable(options.domain)
                   << "\" is no domain: " << domain.error().text << '\n';
      return exit_usage;
    }
    request["domain"] = domain->str();
  }
  if (options.purge->parsed()) request["reason"] = options.reason;
  const auto config = configured(file, terminal, world);
  if (!config) return exit_config;
  const auto reply = world.policy(*config, request);
  if (!reply) {
    terminal.err << "policy: " << base::without_controls(reply.error().text) << '\n';
    return reply.error().status;
  }
  return print(options, *reply, terminal);
}

}  // namespace cli
