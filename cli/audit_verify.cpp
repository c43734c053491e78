#include "cli/audit_verify.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "audit/stored_head.h"
#include "audit/verify.h"
#include "base/terminal.h"
#include "cli/configured.h"
#include "cli/print.h"

namespace cli {

using nlohmann::ordered_json;

namespace {

struct Task {
  audit::LogFiles files;
  std::optional<audit::Head> known;
  std::string trouble;  // why what is known besides the log cannot be had
  std::shared_ptr<const config::Config> config;       // null: files were named
  std::optional<audit::Head> removed = std::nullopt;  // by retention
  bool given = false;                                 // `known`, by --head
};

ordered_json place_json(const std::optional<audit::BadRecord>& place) {
  if (!place) return nullptr;
  ordered_json out;
  out["file"] = place->file.string();
  out["line"] = place->line;
  out["why"] = place->why;
  return out;
}

ordered_json head_json(const std::optional<audit::Head>& head) {
  if (!head || head->seq == 0) return nullptr;
  return audit::text_of(*head);
}

void print_json(const audit::Verification& result, const Task& task, std::ostream& out) {
  ordered_json reply;
  reply["schema"] = 1;
  reply["whole"] =
      !result.bad && !result.beginning && !result.unreadable && !result.head_is_older;
  reply["bad"] = place_json(result.bad);
  reply["beginning"] = place_json(result.beginning);
  reply["unreadable"] = nullptr;
  if (result.unreadable) reply["unreadable"] = *result.unreadable;
  reply["torn"] = place_json(result.torn);
  reply["elsewhere"] = ordered_json::array();
  for (const audit::BadRecord& place : result.elsewhere) {
    reply["elsewhere"].push_back(place_json(place));
  }
  reply["files"] = result.files;
  reply["records"] = result.records;
  reply["first_seq"] = result.first_seq;
  reply["first_time"] = result.first_time;
  reply["last_time"] = result.last_time;
  reply["head"] = head_json(result.head);
  reply["known_head"] = head_json(task.known);
  reply["known_removed"] = nullptr;
  if (task.removed) reply["known_removed"] = task.removed->seq;
  reply["known_head_is_older"] = result.head_is_older;
  out << in_ascii(reply, 2) << '\n';
}

void print_text(const audit::Verification& result, const Task& task, std::ostream& out) {
  if (result.beginning) out << base::without_controls(result.beginning->str()) << '\n';
  if (result.bad) {
    out << base::without_controls(result.bad->str()) << '\n';
    return;
  }
  if (result.unreadable && result.records == 0) return;  // nothing is whole that was not read
  out << counted(result.records, "record", "records") << " in "
      << counted(result.files, "file", "files");
  if (result.records > 0) {
    out << ", " << result.first_seq << " to " << result.head.seq << ", "
        << base::without_controls(result.first_time) << " to "
        << base::without_controls(result.last_time);
  }
  out << (result.unreadable ? ": the chain is whole so far" : ": the chain is whole")
      << (result.beginning ? " from there on" : "");
  if (result.head_is_older) {
    out << " in itself, but may be another one than that of record " << task.known->seq;
  } else if (task.known && !result.unreadable) {
    out << " and reaches record " << task.known->seq << ", the known head";
  }
  out << '\n';
  if (result.records > 0) out << "head " << audit::text_of(result.head) << '\n';
}

void print_notes(const audit::Verification& result, const Task& task, std::ostream& err) {
  if (result.unreadable) err << base::without_controls(*result.unreadable) << '\n';
  if (result.unreadable && result.records == 0) return;
  if (result.torn) {
    err << base::without_controls(result.torn->str()) << ", and is not judged\n";
  }
  for (const audit::BadRecord& place : result.elsewhere) {
    err << base::without_controls(place.str()) << '\n';
  }
  if (!task.trouble.empty()) {
    err << "what is known of the chain besides the log cannot be had: "
        << base::without_controls(task.trouble) << '\n';
  }
  if (!task.known) {
    err << "no head is known to compare with: records cut off at the end would not show "
           "(--head SEQ:HASH)\n";
  }
  if (task.config && task.known && !task.removed && task.trouble.empty()) {
    err << "it is not known what retention removed: records cut off at the beginning would not "
           "show, until the daemon, or who may read the store, tells\n";
  }
  if (result.head_is_older) {
    err << "the known head is older than all records here, so that nothing shows whether they go "
           "on from it: add the files from record "
        << task.known->seq << " on, or give a later --head\n";
  }
}

// The configured log, with the head that is known of it. The head is asked for first: what is
// written meanwhile lies behind it.
std::optional<Task> configured_task(const AuditVerify& options, const std::string& file,
                                    const Terminal& terminal, const World& world, int& status) {
  const auto config = configured_or_default(*options.command, file, terminal, world);
  status = exit_config;
  if (!config) return std::nullopt;
  std::optional<audit::Head> known;
  std::string trouble;
  if (options.head.empty() && world.known_head) {
    auto head = world.known_head(*config);
    if (head) {
      known = *head;
    } else {
      trouble = head.error().text;
    }
  }
  auto files = audit::LogFiles::of(config->log.enforcement);
  if (files) return Task{std::move(*files), std::move(known), std::move(trouble), config};
  status = exit_unavailable;
  terminal.err << base::without_controls(files.error().text) << '\n';
  if (!known) return std::nullopt;
  std::uint64_t first = 1;
  if (world.known_removed) {
    const auto removed = world.known_removed(*config);
    if (removed && *removed) first = (*removed)->seq + 1;
  }
  if (first <= known->seq) {
    terminal.err << "records " << first << " to " << known->seq
                 << " were written, and are not there\n";
    status = exit_no;
  }
  return std::nullopt;
}

// Asked for when all was read: retention may delete meanwhile, and tells so before.
void judge_beginning(audit::Verification& result, Task& task, const World& world) {
  if (!task.config || !world.known_removed) return;
  auto removed = world.known_removed(*task.config);
  if (!removed) {
    // Who gives the head asks for no more than the files and that.
    if (!task.given) task.trouble = removed.error().text;
    return;
  }
  task.removed = *removed;
  if (task.removed) audit::compare_beginning(result, *task.removed, task.known);
}

}  // namespace

void add_audit_verify(CLI::App& audit, AuditVerify& options, std::string& file) {
  CLI::App* const command = audit.add_subcommand(
      "verify", "Find the first record that was altered, inserted, left out or moved");
  options.command = command;
  command->add_option("FILE", options.files,
                      "Files of the log, also compressed by gzip; without one the configured log "
                      "with all that was rotated from it");
  take_config(*command, file);
  command
      ->add_option("--head", options.head,
                   "The last record that is known; without FILE the daemon or the store tells it")
      ->type_name("SEQ:HASH");
  command->add_flag("--json", options.json, "Print JSON");
  command->footer(
      "Prints FILE:LINE of the first bad record, or the head, to be kept elsewhere: a later\n"
      "--head finds what was cut off or written anew even where the store was changed too.\n"
      "Without FILE, records cut off at the beginning are found, too: the daemon or the store\n"
      "tells which ones retention removed.\n"
      "Exit status: 0 the chain is whole, 1 it is broken, 69 a file is not there or damaged,\n"
      "75 the known head could not be had, or is older than all that is there.\n"
      "\nExamples:\n"
      "  sternpost audit verify\n"
      "  sternpost audit verify --head 4711:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a3"
      "0617afa01d old/*.gz");
}

int audit_verify(const AuditVerify& options, const std::string& file, const Terminal& terminal,
                 const World& world) {
  std::optional<audit::Head> given;
  if (options.command->count("--head") > 0) {
    given = audit::parse_head(options.head);
    if (!given) {
      terminal.err << "--head: write SEQ:HASH, a number and 64 hex digits\n";
      return exit_usage;
    }
  }
  std::optional<Task> task;
  if (options.files.empty()) {
    int status = exit_fine;
    task = configured_task(options, file, terminal, world, status);
    if (!task) return status;
  } else {
    task = Task{audit::LogFiles::sorted({options.files.begin(), options.files.end()}), {}, {}, {}};
  }
  if (given) task->known = given;
  task->given = given.has_value();
  audit::Verification result = audit::verify(std::move(task->files), task->known);
  judge_beginning(result, *task, world);
  if (options.json) {
    print_json(result, *task, terminal.out);
  } else {
    print_text(result, *task, terminal.out);
  }
  print_notes(result, *task, terminal.err);
  if (result.bad || result.beginning) return exit_no;
  if (result.unreadable) return exit_unavailable;
  return task->trouble.empty() && !result.head_is_older ? exit_fine : exit_tempfail;
}

}  // namespace cli
