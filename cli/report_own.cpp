#include "cli/report_own.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/encode.h"
#include "base/terminal.h"
#include "cli/print.h"
#include "report/composer.h"

namespace cli {

using nlohmann::json;

namespace {

void take_common(CLI::App& command, ReportOwn& options, std::string& file) {
  command.add_option("-c,--config", file, "Configuration file (or STERNPOST_CONFIG)")
      ->type_name("FILE")
      ->capture_default_str();
  command.add_option("--date", options.date, "The UTC day, today where it is left out")
      ->type_name("YYYY-MM-DD");
  command.add_option("--domain", options.domain, "This recipient domain alone")
      ->type_name("DOMAIN");
  command.add_flag("--json", options.json, "Print JSON");
}

// ---- list ---------------------------------------------------------------------------------------

std::string raw_text(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::string endpoint_line(const json& endpoint) {
  std::string line = "    " + text_of(endpoint["uri"]) + ": " + text_of(endpoint["state"]);
  const auto attempts = endpoint["attempts"].get<std::uint64_t>();
  if (attempts > 0) line += " after " + counted(attempts, "try", "tries");
  if (!endpoint["answer"].is_null()) line += ": " + text_of(endpoint["answer"]);
  if (!endpoint["next"].is_null()) line += "; next try " + text_of(endpoint["next"]);
  return line;
}

void print_list(const json& reply, std::ostream& out) {
  const json& reports = reply["reports"];
  out << "TLS reports of " << text_of(reply["date"]) << " (" << text_of(reply["state"]) << "): "
      << reports.size() << (reports.size() == 1 ? " domain" : " domains") << '\n';
  if (!reply["not_sending"].is_null()) {
    out << "Kept and not sent: " << text_of(reply["not_sending"]) << '\n';
  }
  if (reports.empty()) return;
  Table table({"DOMAIN", "SUCCESSES#", "FAILURES#", "STATE"}, out);
  for (const json& one : reports) {
    std::string state = text_of(one["state"]);
    if (!one["next"].is_null() && state == "waiting") state += " until " + text_of(one["next"]);
    if (!one["why"].is_null()) state += ": " + text_of(one["why"]);
    table.add({text_of(one["domain"]), std::to_string(one["successes"].get<std::uint64_t>()),
               std::to_string(one["failures"].get<std::uint64_t>()), std::move(state)});
    for (const json& endpoint : one["endpoints"]) table.line(endpoint_line(endpoint));
  }
}

// ---- show ---------------------------------------------------------------------------------------

void print_detail(const tlsrpt::FailureRow& row, std::ostream& to) {
  std::ostringstream out;
  out << "      " << row.count << " x " << tlsrpt::to_string(row.type);
  if (!row.receiving_mx_hostname.empty()) out << ", MX " << row.receiving_mx_hostname;
  if (!row.receiving_ip.empty()) out << " [" << row.receiving_ip << "]";
  if (!row.sending_mta_ip.empty()) out << " from " << row.sending_mta_ip;
  if (!row.failure_reason_code.empty()) out << ": " << row.failure_reason_code;
  to << base::without_controls(out.str()) << '\n';
}

void print_report(const std::string& domain, const tlsrpt::Report& report, std::ostream& out) {
  out << domain << " on " << tlsrpt::day_text(report.day) << ", report " << report.id << '\n';
  for (const tlsrpt::PolicyRows& rows : report.policies) {
    out << "  " << tlsrpt::to_string(rows.policy.type) << ' ' << rows.policy.domain << ": "
        << rows.successes << (rows.successes == 1 ? " session" : " sessions") << " succeeded, "
        << rows.failures << " failed\n";
    for (const std::string& line : rows.policy.strings) {
      out << "    | " << base::without_controls(line) << '\n';
    }
    for (const tlsrpt::FailureRow& row : rows.details) print_detail(row, out);
  }
}

void print_missing(const json& reply, std::ostream& err) {
  for (const json& one : reply["missing"]) {
    err << text_of(one["domain"]) << ": " << text_of(one["why"]) << '\n';
  }
}

void print_show(const json& reply, bool as_json, const Terminal& terminal) {
  const json& reports = reply["reports"];
  std::ostream& out = terminal.out;
  if (!as_json) {
    print_missing(reply, terminal.err);
    for (const json& one : reports) {
      const auto report = report::report_from_json(raw_text(one["report"]));
      if (report) print_report(text_of(one["domain"]), *report, out);
    }
    return;
  }
  // The reports as they are in the files: their members keep their order.
  out << "{\"schema\": " << reply["schema"] << ", \"date\": " << reply["date"]
      << ", \"reports\": [";
  for (std::size_t i = 0; i < reports.size(); ++i) {
    out << (i > 0 ? ",\n" : "\n") << base::json_in_ascii(raw_text(reports[i]["report"]));
  }
  out << "], \"missing\": " << in_ascii(reply["missing"], -1) << "}\n";
}

// ---- send ---------------------------------------------------------------------------------------

// Whether everybody who asks for a report has it now.
bool all_sent(const json& reply) {
  for (const json& one : reply["reports"]) {
    const std::string state = text_of(one["state"]);
    if (state != "sent" && state != "not-asked") return false;
    for (const json& endpoint : one["endpoints"]) {
      if (text_of(endpoint["state"]) != "accepted") return false;
    }
  }
  return reply["left"].get<std::uint64_t>() == 0;
}

void print_send(const json& reply, const Terminal& terminal) {
  for (const json& one : reply["reports"]) {
    terminal.out << text_of(one["domain"]) << ": " << text_of(one["state"]);
    if (!one["why"].is_null()) terminal.out << ": " << text_of(one["why"]);
    terminal.out << '\n';
    for (const json& endpoint : one["endpoints"]) terminal.out << endpoint_line(endpoint) << '\n';
  }
  const auto left = reply["left"].get<std::uint64_t>();
  if (left > 0) terminal.err << left << " reports were not tried yet: call again\n";
}

// A day that is not over: what is printed is not yet what will go.
void print_notice(const json& reply, const Terminal& terminal) {
  const auto notice = reply.find("notice");
  if (notice == reply.end() || notice->is_null()) return;
  terminal.err << "what there is by now: " << text_of(*notice) << '\n';
}

void print_preview(const json& reply, const Terminal& terminal) {
  print_notice(reply, terminal);
  for (const json& one : reply["nothing"]) {
    terminal.err << text_of(one["domain"]) << ": nothing would be sent: " << text_of(one["why"])
                 << '\n';
  }
  for (const json& one : reply["messages"]) {
    terminal.err << text_of(one["domain"]) << " to " << text_of(one["uri"]) << ":\n";
    terminal.err.flush();
    terminal.out << raw_text(one["message"]);  // the octets that would be sent
    terminal.out.flush();
  }
}

int print_reply(const ReportOwn& options, const json& reply, const Terminal& terminal) {
  if (options.show->parsed()) {
    print_show(reply, options.json, terminal);
    return reply["missing"].empty() ? exit_fine : exit_no;
  }
  if (options.json) {
    terminal.out << in_ascii(reply, 2) << '\n';
  } else if (options.list->parsed()) {
    print_list(reply, terminal.out);
  } else if (options.dry_run) {
    print_preview(reply, terminal);
  } else {
    print_send(reply, terminal);
  }
  const bool sends = options.send->parsed() && !options.dry_run;
  return sends && !all_sent(reply) ? exit_no : exit_fine;
}

// Behind "no report of DAY".
std::string why_none(const std::string& state) {
  if (state == "to-come") return ": that day is to come";
  if (state == "running") return ": that day is not over, and nothing was counted so far";
  if (state == "empty") return ": nothing was counted on that day";
  return {};
}

bool has_none(const ReportOwn& options, const json& reply) {
  if (options.send->parsed() && options.dry_run) {
    return reply["messages"].empty() && reply["nothing"].empty();
  }
  if (options.show->parsed() && !reply["missing"].empty()) return false;
  return reply["reports"].empty();
}

}  // namespace

void add_report_own(CLI::App& report, ReportOwn& options, std::string& file) {
  options.list = report.add_subcommand("list", "The day's reports: counts, and who took them");
  take_common(*options.list, options, file);
  options.list->footer(
      "The day is to-come, running, closed (over, not all reports are written), composed, or\n"
      "empty (over, and nothing was counted).\n"
      "\nExamples:\n"
      "  sternpost report list\n"
      "  sternpost report list --date 2026-11-25 --json");
  options.show = report.add_subcommand("show", "What the day's reports say, the running day's too");
  take_common(*options.show, options, file);
  options.show->footer(
      "Exit status: 0 all are shown, 1 there is none for --domain, or a file cannot be read: the\n"
      "others are shown.\n"
      "\nExamples:\n"
      "  sternpost report show --domain partner.example\n"
      "  sternpost report show --date 2026-11-25 --domain partner.example --json");
  options.send = report.add_subcommand(
      "send", "Send the reports of a day that is over now, without waiting for their time");
  take_common(*options.send, options, file);
  options.send->add_flag("--dry-run", options.dry_run,
                         "Print what would be sent, and send nothing");
  options.send->footer(
      "Whoever has taken a report does not get it again. The running day has nothing to send yet:\n"
      "without --date the last closed day is named. --dry-run shows what there is of it by now.\n"
      "Exit status: 0 all were taken or are not asked for, 1 not all, or the day is not over.\n"
      "\nExamples:\n"
      "  sternpost report send --date 2026-11-25 --domain partner.example\n"
      "  sternpost report send --domain partner.example --dry-run");
}

int report_own(const ReportOwn& options, const std::string& file, const Terminal& terminal,
               const World& world) {
  json request;
  request["command"] = options.list->parsed()   ? "report list"
                       : options.show->parsed() ? "report show"
                                                : "report send";
  const CLI::App& used = options.list->parsed()   ? *options.list
                         : options.show->parsed() ? *options.show
                                                  : *options.send;
  // Nothing where a value should be must not mean "all of them".
  if (used.count("--domain") > 0 && options.domain.empty()) {
    terminal.err << "--domain: a domain is missing\n";
    return exit_usage;
  }
  if (used.count("--date") > 0 || !options.date.empty()) {
    if (!tlsrpt::parse_day(options.date)) {
      terminal.err << "--date: \"" << base::printable(options.date)
                   << "\" is no day; write YYYY-MM-DD\n";
      return exit_usage;
    }
    request["date"] = options.date;
  }
  if (!options.domain.empty()) {
    const auto domain = base::Domain::parse(options.domain);
    if (!domain) {
      terminal.err << "--domain: \"" << base::printable(options.domain)
                   << "\" is no domain: " << domain.error().text << '\n';
      return exit_usage;
    }
    request["domain"] = domain->str();
  }
  if (options.dry_run) request["dry_run"] = true;
  const config::LoadResult loaded = world.load(file);
  if (!print_errors(loaded, terminal) || !loaded.config) return exit_config;
  const auto reply = world.report(*loaded.config, request);
  if (!reply) {
    terminal.err << "report: " << base::without_controls(reply.error().text) << '\n';
    return reply.error().status;
  }
  if (has_none(options, *reply)) {
    if (options.json) terminal.out << in_ascii(*reply, 2) << '\n';
    if (!options.json) print_notice(*reply, terminal);
    terminal.err << "no report of " << text_of((*reply)["date"])
                 << (options.domain.empty() ? "" : " for " + options.domain)
                 << why_none(reply->value("state", std::string())) << '\n';
    return options.domain.empty() ? exit_fine : exit_no;
  }
  return print_reply(options, *reply, terminal);
}

}  // namespace cli
