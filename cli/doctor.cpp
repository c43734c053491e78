#include "cli/doctor.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "base/encode.h"
#include "base/terminal.h"
#include "cli/print.h"

namespace cli {

using nlohmann::ordered_json;
using proxy::Finding;
using proxy::Health;

namespace {

constexpr std::size_t subject_width = 15;

const char* colour_of(Health health) {
  switch (health) {
    case Health::pass: return "\033[32m";
    case Health::warn: return "\033[33m";
    case Health::fail: return "\033[31m";
    case Health::unknown: return "\033[35m";
  }
  return "";
}

void print_text(const std::vector<Finding>& findings, const Terminal& terminal) {
  for (const Finding& one : findings) {
    const std::string word(proxy::to_string(one.health));
    std::string subject = one.subject;
    subject.resize(std::max(subject.size(), subject_width), ' ');
    if (terminal.out_colour) terminal.out << colour_of(one.health);
    terminal.out << word;
    if (terminal.out_colour) terminal.out << "\033[0m";
    terminal.out << std::string(9 - word.size(), ' ') << subject << "  "
                 << base::without_controls(one.text) << '\n';
    if (one.remedy.empty()) continue;
    terminal.out << std::string(9 + subject_width + 2, ' ') << "-> "
                 << base::without_controls(one.remedy) << '\n';
  }
}

void print_json(const std::vector<Finding>& findings, std::ostream& out) {
  ordered_json reply;
  reply["schema"] = 1;
  reply["findings"] = ordered_json::array();
  for (const Finding& one : findings) {
    ordered_json finding;
    finding["subject"] = one.subject;
    finding["health"] = proxy::to_string(one.health);
    finding["text"] = one.text;
    finding["remedy"] = one.remedy;
    reply["findings"].push_back(finding);
  }
  out << in_ascii(reply, 2) << '\n';
}

// The questions go to the DNS as they are.
bool take_names(proxy::DoctorQuestions& questions, const Terminal& terminal) {
  for (const auto& [option, name] :
       {std::pair("--signed", &questions.signed_name), std::pair("--bogus", &questions.bogus_name),
        std::pair("--unsigned", &questions.unsigned_name),
        std::pair("--partner", &questions.partner)}) {
    const auto domain = base::Domain::parse(*name);
    if (!domain) {
      terminal.err << option << ": \"" << base::printable(*name)
                   << "\" is no domain: " << domain.error().text << '\n';
      return false;
    }
    *name = domain->str();
  }
  return true;
}

}  // namespace

void add_doctor(CLI::App& app, Doctor& options, std::string& file) {
  CLI::App* const command =
      app.add_subcommand("doctor", "What keeps mail here from being protected or sent");
  options.command = command;
  take_config(*command, file);
  const auto name = [command](const char* option, std::string& into, const char* text) {
    command->add_option(option, into, text)->type_name("NAME")->capture_default_str();
  };
  name("--signed", options.questions.signed_name, "A signed name with an address");
  name("--bogus", options.questions.bogus_name, "A name whose signatures are wrong");
  name("--unsigned", options.questions.unsigned_name, "An unsigned name with an address");
  name("--partner", options.questions.partner,
       "A domain with an MTA-STS policy, whose MX is asked for its greeting");
  name("--user", options.questions.user, "The daemon's user, as root asks for it");
  command->add_flag("--json", options.json, "Print JSON");
  command->footer(
      "Sends no mail and changes nothing; the names are asked in the public DNS.\n"
      "Exit status: 0 nothing fails (there may be warnings), 1 something fails, 75 something\n"
      "could not be told just now.\n"
      "\nExamples:\n"
      "  sternpost doctor\n"
      "  sternpost doctor --json | jq '.findings[] | select(.health != \"pass\")'");
}

int doctor(const Doctor& options, const std::string& file, const Terminal& terminal,
           const World& world) {
  proxy::DoctorQuestions questions = options.questions;
  questions.user_named = options.command->count("--user") > 0;
  questions.config_file = file;
  if (!take_names(questions, terminal)) return exit_usage;
  const config::LoadResult loaded = world.load(file);
  if (!print_issues(loaded, terminal) || !loaded.config) return exit_config;
  const std::vector<Finding> findings = world.doctor(*loaded.config, questions);
  if (options.json) {
    print_json(findings, terminal.out);
  } else {
    print_text(findings, terminal);
  }
  const auto any = [&](Health health) {
    return std::ranges::any_of(findings,
                               [health](const Finding& one) { return one.health == health; });
  };
  if (any(Health::fail)) return exit_no;
  return any(Health::unknown) ? exit_tempfail : exit_fine;
}

}  // namespace cli
