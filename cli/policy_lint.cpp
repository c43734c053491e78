#include "cli/policy_lint.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <ostream>

#include "base/terminal.h"
#include "cli/print.h"
#include "policy/sts_lint.h"

namespace cli {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t size_limit = std::size_t{1} << 20;
constexpr const char* red = "\033[31m";
constexpr const char* yellow = "\033[33m";
constexpr const char* plain = "\033[0m";

// Everything up to one octet more than the limit, so that what is larger shows.
std::string read_all(std::istream& in) {
  std::string text(size_limit + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

void print_json(const std::string& name, const std::vector<policy::LintFinding>& findings,
                std::ostream& out) {
  ordered_json reply;
  reply["schema"] = 1;
  reply["file"] = name;
  reply["valid"] = !policy::has_error(findings);
  reply["findings"] = ordered_json::array();
  for (const policy::LintFinding& one : findings) {
    ordered_json finding;
    finding["line"] = one.line;
    finding["column"] = one.column;
    finding["severity"] = policy::to_string(one.severity);
    finding["text"] = one.text;
    reply["findings"].push_back(finding);
  }
  out << in_ascii(reply, 2) << '\n';
}

void print_text(const std::string& name, const std::vector<policy::LintFinding>& findings,
                const Terminal& terminal) {
  for (const policy::LintFinding& one : findings) {
    const bool error = one.severity == policy::LintSeverity::error;
    if (terminal.out_colour) terminal.out << (error ? red : yellow);
    terminal.out << name << ':';
    if (one.line > 0) terminal.out << one.line << ':' << one.column << ':';
    terminal.out << ' ' << policy::to_string(one.severity) << ": "
                 << base::without_controls(one.text);
    if (terminal.out_colour) terminal.out << plain;
    terminal.out << '\n';
  }
  if (findings.empty()) terminal.err << name << ": no fault\n";
}

}  // namespace

void add_policy_lint(CLI::App& policy, PolicyLint& options, std::string& config) {
  options.command = policy.add_subcommand("lint", "Judge a policy file as senders do");
  options.command->add_option("FILE", options.file, "The file, or - for standard input")
      ->required();
  options.command
      ->add_option("-c,--config", config,
                   "Configuration file (or STERNPOST_CONFIG); nothing is read from it here, and "
                   "it need not be there")
      ->type_name("FILE")
      ->capture_default_str();
  options.command->add_flag("--json", options.json, "Print JSON");
  options.command->footer(
      "An error: senders refuse the file. A warning: some may, or it hardly says what is meant.\n"
      "Exit status: 0 no error, 1 there are errors, 69 the file cannot be read.\n"
      "\nExamples:\n"
      "  sternpost policy lint /var/www/mta-sts/.well-known/mta-sts.txt\n"
      "  sternpost policy lint - < mta-sts.txt");
}

int policy_lint(const PolicyLint& options, const Terminal& terminal, std::istream& in) {
  std::string text;
  std::string name = "standard input";
  if (options.file == "-") {
    text = read_all(in);
  } else {
    name = base::without_controls(options.file);
    errno = 0;
    std::error_code ignored;
    const bool folder = std::filesystem::is_directory(options.file, ignored);
    std::ifstream file(options.file, std::ios::binary);
    if (!file || folder) {
      terminal.err << name << ": " << (folder ? "a folder" : std::strerror(errno)) << '\n';
      return exit_unavailable;
    }
    text = read_all(file);
  }
  std::vector<policy::LintFinding> findings;
  if (text.size() > size_limit) {
    findings.push_back({0, 0, policy::LintSeverity::error, "over 1 MiB, which no sender reads"});
  } else {
    findings = policy::lint(text);
  }
  if (options.json) {
    print_json(name, findings, terminal.out);
  } else {
    print_text(name, findings, terminal);
  }
  return policy::has_error(findings) ? exit_no : exit_fine;
}

}  // namespace cli
