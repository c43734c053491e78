#include "cli/audit_query.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>

#include "audit/log_files.h"
#include "audit/query.h"
#include "base/encode.h"
#include "base/terminal.h"
#include "cli/audit_print.h"
#include "cli/configured.h"
#include "cli/when.h"
#include "tlsrpt/result.h"

namespace cli {

namespace {

constexpr std::size_t told_at_most = 5;            // lines that are no records, one by one
constexpr std::chrono::hours clock_corrections{24};

// ---- reading ------------------------------------------------------------------------------------

class Reading {
 public:
  Reading(const audit::Query& query, std::unique_ptr<RecordPrinter> printer,
          const Terminal& terminal)
      : matcher_(query), printer_(std::move(printer)), terminal_(terminal) {}

  void file(audit::LogFiles& files, std::size_t index) {
    auto reader = files.open(index);
    if (!reader) return unreadable(reader.error().text);
    if (!*reader) return;  // past its retention by now
    const std::string name = files.path(index).string();
    const bool last = index + 1 == files.size();
    audit::LineReader::Line line;
    for (;;) {
      const auto more = (*reader)->next(line);
      if (!more) return unreadable(more.error().text);
      if (!*more || !terminal_.out) return;
      // A last line without its end is being written now.
      if (!line.ended && last) return;
      take(name, line);
    }
  }

  int finish() {
    printer_->finish();
    terminal_.out.flush();
    if (foreign_ > told_at_most) {
      terminal_.err << foreign_ - told_at_most << " more lines are no records\n";
    }
    if (unreadable_) return exit_unavailable;
    if (found_) return exit_fine;
    terminal_.err << "no such record\n";
    return exit_no;
  }

 private:
  void take(const std::string& name, const audit::LineReader::Line& line) {
    if (!line.cut && matcher_.matches(line.text, members_)) {
      found_ = true;
      printer_->print(line.text, members_);
      return;
    }
    // Whether a line that is not wanted is a record is no question here, and would take time.
    if (!line.cut && line.text.starts_with("{\"time\":\"") && line.text.ends_with('}')) return;
    if (!line.cut && line.ended && members_.read(line.text) && audit::link_of(members_)) return;
    if (++foreign_ > told_at_most) return;
    terminal_.err << base::without_controls(name) << ':' << line.number << ": no record\n";
  }

  void unreadable(const std::string& why) {
    unreadable_ = true;
    terminal_.err << base::without_controls(why) << '\n';
  }

  audit::Matcher matcher_;
  audit::Members members_;
  std::unique_ptr<RecordPrinter> printer_;
  const Terminal& terminal_;
  bool found_ = false;
  bool unreadable_ = false;
  std::uint64_t foreign_ = 0;
};

std::optional<base::WallTime> begin_of(const std::filesystem::path& file) {
  const auto first = audit::read_first_line(file);
  return first ? audit::parse_rfc3339(first->time) : std::nullopt;
}

// Which files can hold what is wanted: a file ends where the next one begins. The clock may have
// been set back or forth between two records.
std::vector<std::size_t> worth_reading(const audit::LogFiles& files, const audit::Query& query) {
  std::vector<std::size_t> wanted;
  std::optional<base::WallTime> begin;
  for (std::size_t i = files.size(); i > 0; --i) {
    const std::optional<base::WallTime> end = begin;
    begin = begin_of(files.path(i - 1));
    if (query.until && begin && *begin > *query.until + clock_corrections) continue;
    if (query.since && end && *end < *query.since - clock_corrections) continue;
    wanted.push_back(i - 1);
  }
  std::ranges::reverse(wanted);
  return wanted;
}

// ---- conditions ---------------------------------------------------------------------------------

struct Words {
  const char* option;
  const std::vector<std::string>& given;
  std::vector<std::string_view> known;
};

std::vector<std::string_view> known_results() {
  std::vector<std::string_view> words{"success"};
  for (int i = 0; i <= static_cast<int>(tlsrpt::ResultType::dane_required); ++i) {
    words.push_back(tlsrpt::to_string(static_cast<tlsrpt::ResultType>(i)));
  }
  return words;
}

// A word that no record has is a typing error, not an answer.
bool are_known(const Words& words, const Terminal& terminal) {
  for (const std::string& word : words.given) {
    if (std::ranges::find(words.known, word) != words.known.end()) continue;
    terminal.err << words.option << ": \"" << base::printable(word) << "\" is none of ";
    for (std::size_t i = 0; i < words.known.size(); ++i) {
      terminal.err << (i > 0 ? ", " : "") << words.known[i];
    }
    terminal.err << '\n';
    return false;
  }
  return true;
}

bool take_time(const char* option, const std::string& text, DayEdge edge,
               std::optional<base::WallTime>& into, const Terminal& terminal, const World& world) {
  if (text.empty()) return true;
  const auto when = parse_when(text, edge, world.clock->wall());
  if (when) {
    into = *when;
  } else {
    terminal.err << option << ": " << when.error().text << '\n';
  }
  return when.has_value();
}

bool take_domains(const std::vector<std::string>& given, std::vector<std::string>& into,
                  const Terminal& terminal) {
  for (const std::string& text : given) {
    const bool below = text.starts_with('.');
    const auto domain = base::Domain::parse(below ? text.substr(1) : text);
    if (!domain) {
      terminal.err << "--domain: \"" << base::printable(text)
                   << "\" is no domain: " << domain.error().text << '\n';
      return false;
    }
    into.push_back((below ? "." : "") + domain->str());
  }
  return true;
}

std::optional<audit::Query> query_of(const AuditQuery& options, const Terminal& terminal,
                                     const World& world) {
  const Words words[] = {
      {"--event", options.events,
       {"session", "delivery", "policy", "exception", "downgrade-suspected", "config", "start",
        "stop"}},
      {"--verdict", options.verdicts,
       {"delivered", "deferred", "rejected", "uncertain", "dropped", "usable", "refused"}},
      {"--protection", options.protections, {"authenticated", "encrypted", "cleartext"}},
      {"--result", options.results, known_results()}};
  for (const Words& one : words) {
    if (!are_known(one, terminal)) return std::nullopt;
  }
  audit::Query query;
  if (!take_time("--since", options.since, DayEdge::first, query.since, terminal, world) ||
      !take_time("--until", options.until, DayEdge::last, query.until, terminal, world) ||
      !take_domains(options.domains, query.domains, terminal)) {
    return std::nullopt;
  }
  if (query.since && query.until && *query.until < *query.since) {
    terminal.err << "--until ends before --since begins: no record can be in between\n";
    return std::nullopt;
  }
  query.events = options.events;
  query.verdicts = options.verdicts;
  query.protections = options.protections;
  query.results = options.results;
  query.ids = options.ids;
  query.queue_ids = options.queue_ids;
  return query;
}

}  // namespace

void add_audit_query(CLI::App& audit, AuditQuery& options, std::string& file) {
  CLI::App* const command = audit.add_subcommand(
      "query", "Records of the enforcement log that meet conditions");
  options.command = command;
  command->add_option("FILE", options.files,
                      "Files of the log, also compressed by gzip, in the order to be read; without "
                      "one the configured log with all that was rotated from it");
  take_config(*command, file);
  const std::string when = "2026-11-25 (UTC), 2026-11-25T10:30:00Z, or 2h, 3d before now";
  command->add_option("--since", options.since, "Not older than: " + when)->type_name("TIME");
  command->add_option("--until", options.until, "Not younger than (a day: with all of it)")
      ->type_name("TIME");
  const auto words = [command](const char* name, std::vector<std::string>& into,
                               const char* text, const char* type) {
    command->add_option(name, into, text)->type_name(type)->allow_extra_args(false);
  };
  words("--domain", options.domains, "Recipient domain; .example.com: all below it", "DOMAIN");
  words("--event", options.events, "session, delivery, policy, exception and others", "WORD");
  words("--verdict", options.verdicts, "delivered, deferred, rejected, uncertain and others",
        "WORD");
  words("--protection", options.protections, "authenticated, encrypted or cleartext", "WORD");
  words("--result", options.results, "success or a result type of TLS-RPT", "WORD");
  words("--id", options.ids, "The ID of a reply or a log line", "ID");
  words("--queue-id", options.queue_ids, "The MTA's queue id", "ID");
  CLI::Option* const json =
      command->add_flag("--json", options.json, "Print the records as they are, one a line");
  command->add_flag("--csv", options.csv, "Print CSV with all keys, safe for spreadsheets")
      ->excludes(json);
  command->footer(
      "Conditions of one kind widen the search, of several kinds narrow it.\n"
      "Exit status: 0 there are records, 1 there is none, 69 a file is not there or damaged.\n"
      "\nExamples:\n"
      "  sternpost audit query --since 2h --verdict deferred\n"
      "  sternpost audit query --domain partner.example --since 2026-11-01 --csv > partner.csv");
}

int audit_query(const AuditQuery& options, const std::string& file, const Terminal& terminal,
                const World& world) {
  const auto query = query_of(options, terminal, world);
  if (!query) return exit_usage;
  audit::LogFiles files =
      audit::LogFiles::named({options.files.begin(), options.files.end()});
  if (options.files.empty()) {
    const auto config = configured_or_default(*options.command, file, terminal, world);
    if (!config) return exit_config;
    auto listed = audit::LogFiles::of(config->log.enforcement);
    if (!listed) {
      terminal.err << listed.error().text << '\n';
      return exit_unavailable;
    }
    files = std::move(*listed);
  }
  std::vector<std::size_t> wanted;
  if (options.files.empty()) {
    wanted = worth_reading(files, *query);
  } else {
    for (std::size_t i = 0; i < files.size(); ++i) wanted.push_back(i);
  }
  const RecordForm form = options.json  ? RecordForm::json
                          : options.csv ? RecordForm::csv
                                        : RecordForm::table;
  Reading reading(*query, record_printer(form, terminal.out), terminal);
  for (const std::size_t index : wanted) reading.file(files, index);
  return reading.finish();
}

}  // namespace cli
