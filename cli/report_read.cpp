#include "cli/report_read.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <istream>
#include <optional>
#include <ostream>

#include "base/terminal.h"
#include "tlsrpt/read.h"
#include "tlsrpt/sum.h"
#include "tlsrpt/sum_print.h"
#include "tlsrpt/sum_words.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_files = 200000;  // of one folder

// Everything up to one octet more than the limit, so that what is larger shows.
std::string read_all(std::istream& in) {
  const std::size_t limit = tlsrpt::ReadLimits().file + 1;
  std::string octets;
  std::string piece(std::size_t{1} << 16, '\0');
  while (octets.size() < limit && in) {
    in.read(piece.data(), static_cast<std::streamsize>(
                              std::min(piece.size(), limit - octets.size())));
    octets.append(piece.data(), static_cast<std::size_t>(in.gcount()));
  }
  return octets;
}

bool is_maildir(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder / "cur", error) || fs::is_directory(folder / "new", error);
}

class Reading {
 public:
  Reading(const Terminal& terminal, std::istream& in) : terminal_(terminal), in_(in) {}

  void name(const std::string& name) {
    if (name == "-") return take("standard input", read_all(in_), true);
    std::error_code error;
    if (fs::is_directory(name, error)) {
      if (is_maildir(name)) return maildir(name);
      return folder(name, true);
    }
    file(name, true);
  }

  int status() const {
    if (missing_) return exit_unavailable;
    return found_wanting_ ? exit_no : exit_fine;
  }
  tlsrpt::Sum sum() const { return summing_.sum(); }

 private:
  void complain(const std::string& name, const std::string& why) {
    // Both may hold what a stranger wrote, and a terminal obeys more than ASCII's controls.
    terminal_.err << base::without_controls(name) << ": " << base::without_controls(why)
                  << '\n';
    summing_.add_problem(name, why);
  }
  void wanting(const std::string& name, const std::string& why) {
    found_wanting_ = true;
    complain(name, why);
  }
  void missing(const std::string& name, const std::string& why) {
    missing_ = true;
    complain(name, why);
  }

  // `alone`: this file by itself was asked for, so that finding nothing in it is worth telling.
  void take(const std::string& name, const std::string& octets, bool alone) {
    const tlsrpt::ReadResult read = tlsrpt::read_reports(octets);
    reports_ += read.reports.size();
    for (const tlsrpt::ReadReport& report : read.reports) summing_.add(report);
    for (const std::string& why : read.problems) wanting(name, why);
    const bool nothing = read.reports.empty() && read.problems.empty();
    if (nothing && alone) return wanting(name, "no TLS report in it");
    summing_.add_without_report(read.without_report);
  }

  void file(const std::string& name, bool alone) {
    errno = 0;
    std::ifstream in(name, std::ios::binary);
    if (!in) return missing(name, errno != 0 ? std::strerror(errno) : "cannot be opened");
    const std::string octets = read_all(in);
    if (in.bad()) return missing(name, "cannot be read");
    take(name, octets, alone);
  }

  // The regular files of one folder by name; nullopt after telling why not.
  std::optional<std::vector<std::string>> names_in(const std::string& folder) {
    std::error_code error;
    std::vector<std::string> names;
    fs::directory_iterator entry(folder, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      std::error_code kind;
      if (entry->path().filename().string().starts_with('.')) continue;
      if (!entry->is_regular_file(kind)) continue;
      if (names.size() == most_files) {
        wanting(folder,
                "more than " + std::to_string(most_files) + " files: the rest is left out");
        break;
      }
      names.push_back(entry->path().string());
    }
    if (error) {
      missing(folder, error.message());
      return std::nullopt;
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // In a folder of reports each file should be one.
  void folder(const std::string& name, bool alone) {
    const auto names = names_in(name);
    if (!names) return;
    for (const std::string& entry : *names) file(entry, alone);
    if (names->empty() && alone) wanting(name, "no file in it");
  }

  // In a Maildir other mail may lie between the reports.
  void maildir(const std::string& name) {
    const std::size_t before = reports_;
    const bool wanting_before = found_wanting_ || missing_;
    for (const char* part : {"cur", "new"}) {
      const fs::path sub = fs::path(name) / part;
      std::error_code error;
      if (fs::is_directory(sub, error)) folder(sub.string(), false);
    }
    const bool told = !wanting_before && (found_wanting_ || missing_);
    if (reports_ == before && !told) wanting(name, "no TLS report in it");
  }

  const Terminal& terminal_;
  std::istream& in_;
  tlsrpt::Summing summing_;
  std::size_t reports_ = 0;
  bool found_wanting_ = false;
  bool missing_ = false;
};

}  // namespace

void add_report_read(CLI::App& report, ReportRead& options, std::string& file) {
  CLI::App* command = report.add_subcommand(
      "read", "Sum up TLS reports that others sent about your own domain");
  options.command = command;
  command
      ->add_option("FILE", options.files,
                   "JSON, gzip, a mail message, an mbox, a Maildir, a folder of reports, or - for "
                   "standard input")
      ->required();
  // As every command has it: a script may pass it to all of them.
  command
      ->add_option("-c,--config", file,
                   "Configuration file (or STERNPOST_CONFIG); nothing is read from it here, and "
                   "it need not be there")
      ->type_name("FILE")
      ->capture_default_str();
  CLI::Option* json = command->add_flag("--json", options.json, "Print the sum as JSON");
  command->add_flag("--html", options.html, "Print the sum as one HTML page, to look at or print")
      ->excludes(json);
  command->footer(
      "A report that is there twice counts once. Whether a report is signed (DKIM) by who it\n"
      "names is for the mail server to judge.\n"
      "\nExit status: 0 all was read, 1 a file held no readable report, 69 a file is not there.\n"
      "\nExamples:\n"
      "  sternpost report read /var/mail/tlsrpt\n"
      "  sternpost report read --html ~/Maildir > tls-reports.html");
}

int report_read(const ReportRead& options, const Terminal& terminal, std::istream& in) {
  Reading reading(terminal, in);
  for (const std::string& name : options.files) reading.name(name);
  const tlsrpt::Sum sum = reading.sum();
  if (options.json) {
    terminal.out << tlsrpt::sum_json(sum);
  } else if (options.html) {
    terminal.out << tlsrpt::sum_html(sum);
  } else if (sum.tally.reports > 0) {
    tlsrpt::TextStyle style;
    style.unicode = terminal.out_unicode;
    terminal.out << tlsrpt::sum_text(sum, style);
  }
  return reading.status();
}

}  // namespace cli
