// `audit query` and `audit verify` as commands, and what they print with.
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "audit/hash.h"
#include "audit/record.h"
#include "audit/stored_head.h"
#include "cli/commands.h"
#include "cli/csv.h"
#include "cli/print.h"
#include "cli/when.h"
#include "tlsrpt/gzip.h"

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

base::WallTime at(const char* text) { return *audit::parse_rfc3339(text); }

class FixedClock final : public base::Clock {
 public:
  base::WallTime wall() const override { return at("2026-03-10T12:00:00.000Z"); }
  base::SteadyTime steady() const override { return {}; }
};

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sternpost-audit-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string put(const std::string& name, const std::string& octets) const {
    std::ofstream(path / name, std::ios::binary) << octets;
    return (path / name).string();
  }
  fs::path path;
};

// Ten records, one a day from 1 March on; odd ones are deferred.
Lines ten() {
  audit::Sha256 sha;
  Lines lines;
  for (unsigned day = 1; day <= 10; ++day) {
    audit::Record record;
    record.event = audit::Event::delivery;
    record.id = "tx" + std::to_string(day);
    record.domain = *base::Domain::parse(day == 7 ? "cmd.example" : "recv.example");
    record.verdict = day % 2 == 1 ? audit::Verdict::deferred : audit::Verdict::delivered;
    record.reply = day == 7 ? "=HYPERLINK(\"x\")\x1b[31m" : "250 2.0.0 Ok, queued";
    lines.push_back(audit::to_json_line(record, day, lines.empty() ? "" : sha.hex(lines.back()),
                                        at("2026-03-01T10:00:00.000Z") +
                                            std::chrono::days(day - 1)));
  }
  return lines;
}

std::string text_of(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

using Known = base::Result<std::optional<audit::Head>, proxy::DaemonError>;

Known removed_none() { return std::optional<audit::Head>(audit::Head{}); }

Outcome run(Lines arguments, const std::string& log = "",
            std::optional<audit::Head> known = std::nullopt, bool away = false,
            const std::function<Known()>& removed = removed_none) {
  std::ostringstream out;
  std::ostringstream err;
  const FixedClock clock;
  cli::World world;
  world.clock = &clock;
  world.default_config = log.empty() ? "/nowhere/sternpost.toml" : log;
  world.load = [log](const config::Path&) {
    config::LoadResult result;
    config::Config config;
    config.log.enforcement = log;
    result.config = std::make_shared<const config::Config>(config);
    return result;
  };
  world.known_removed = [removed](const config::Config&) { return removed(); };
  world.known_head = [known, away](const config::Config&) -> Known {
    if (away) return base::fail(proxy::DaemonError{false, "busy", 75});
    return known;
  };
  arguments.insert(arguments.begin(), "audit");
  const int status = cli::run(arguments, {out, err}, world);
  return {status, out.str(), err.str()};
}

}  // namespace

TEST_CASE("audit query: the lines as they are, and the exit status") {
  const Folder folder;
  const Lines lines = ten();
  const std::string file = folder.put("a.jsonl", text_of(lines));
  const Outcome all = run({"query", "--json", file});
  CHECK(all.status == 0);
  CHECK(all.out == text_of(lines));
  CHECK(all.err.empty());
  CHECK(run({"query", "--json", "--id", "tx4", "--id", "tx6", file}).out ==
        text_of({lines[3], lines[5]}));
  const Outcome none = run({"query", "--json", "--id", "tx44", file});
  CHECK(none.status == 1);
  CHECK(none.out.empty());
  CHECK(none.err == "no such record\n");
}

TEST_CASE("audit query: times from a day, a moment, and back from now") {
  const Folder folder;
  const Lines lines = ten();
  const std::string file = folder.put("a.jsonl", text_of(lines));
  const auto count = [&](const Lines& conditions) {
    Lines arguments{"query", "--json", file};
    arguments.insert(arguments.end(), conditions.begin(), conditions.end());
    const std::string out = run(arguments).out;
    return std::count(out.begin(), out.end(), '\n');
  };
  CHECK(count({"--since", "2026-03-09"}) == 2);
  CHECK(count({"--until", "2026-03-02"}) == 2);
  CHECK(count({"--since", "2026-03-10T11:30:00+02:00"}) == 1);
  CHECK(count({"--since", "2026-03-10T10:00:00.001Z"}) == 0);
  CHECK(count({"--since", "26h"}) == 2);
  CHECK(count({"--since", "3d", "--until", "2d"}) == 1);
  CHECK(count({"--since", "3d", "--verdict", "deferred"}) == 1);
  CHECK(count({"--since", "2026-03-02", "--until", "2026-03-02"}) == 1);
  for (const Lines& reversed :
       {Lines{"--since", "2026-03-03", "--until", "2026-03-02"},
        Lines{"--since", "2026-03-03T10:00:00.001Z", "--until", "2026-03-03T10:00:00.000Z"},
        Lines{"--since", "2d", "--until", "3d"}}) {
    Lines arguments{"query", "--json", file};
    arguments.insert(arguments.end(), reversed.begin(), reversed.end());
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.err == "--until ends before --since begins: no record can be in between\n");
    CHECK(outcome.out.empty());
  }
  for (const char* bad : {"yesterday", "2026-02-30", "10:00", "-3d", "", "2h2"}) {
    CAPTURE(bad);
    const Outcome outcome = run({"query", "--since=" + std::string(bad), file});
    CHECK(outcome.status == 2);
  }
}

TEST_CASE("audit query: a word that no record has is wrong usage, in one line") {
  for (const Lines& words :
       {Lines{"--verdict", "defered"}, Lines{"--event", "Session"}, Lines{"--result", "ok"},
        Lines{"--protection", "tls"}, Lines{"--domain", "a b"}, Lines{"--until", "\x1b[31m"}}) {
    Lines arguments{"query"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    CHECK(outcome.err.find('\x1b') == std::string::npos);
    CHECK(outcome.err.starts_with(words[0] + ": "));
  }
  CHECK(run({"query", "--json", "--csv"}).status == 2);
}

TEST_CASE("audit query: a table that a terminal may show") {
  const Folder folder;
  const std::string file = folder.put("a.jsonl", text_of(ten()));
  const Outcome table = run({"query", "--since", "2026-03-06", "--until", "2026-03-07", file});
  CHECK(table.out ==
        "TIME                      EVENT     ID   DOMAIN        MX  PROTECTION  RESULT  VERDICT"
        "    WHY\n"
        "2026-03-06T10:00:00.000Z  delivery  tx6  recv.example  -   -           -       delivered"
        "  250 2.0.0 Ok, queued\n"
        "2026-03-07T10:00:00.000Z  delivery  tx7  cmd.example   -   -           -       deferred"
        "   =HYPERLINK(\"x\")?[31m\n");
}

TEST_CASE("audit query: CSV that a spreadsheet does not obey") {
  const Folder folder;
  const std::string file = folder.put("a.jsonl", text_of(ten()));
  const std::string out = run({"query", "--csv", "--id", "tx7", file}).out;
  CHECK(out.starts_with("time,event,id,queue_id,seq,prev,domain,"));
  CHECK(out.find(",\"'=HYPERLINK(\"\"x\"\")?[31m\"\r\n") != std::string::npos);
  CHECK(std::count(out.begin(), out.end(), '\n') == 2);
}

TEST_CASE("csv: RFC 4180 and formulas") {
  CHECK(cli::csv_cell("plain text") == "plain text");
  CHECK(cli::csv_cell("a,b") == "\"a,b\"");
  CHECK(cli::csv_cell("a \"b\"") == "\"a \"\"b\"\"\"");
  CHECK(cli::csv_cell("a\r\nb") == "\"a\r\nb\"");
  CHECK(cli::csv_cell("") == "");
  for (const std::string start :
       {"=", "+", "-", "@", "\t", "\r", "\n", "  =", "\xEF\xBC\x9D"}) {
    CAPTURE(start);
    CHECK(cli::csv_cell(start + "1").starts_with("\"'" + start));
  }
  CHECK(cli::csv_cell("a=1") == "a=1");
  // As a spreadsheet reads it that takes the semicolon for what parts cells.
  CHECK(cli::csv_cell("no;=1+1;") == "no;'=1+1;");
  CHECK(cli::csv_cell("no; \"=1\"") == "\"no;' \"\"=1\"\"\"");
  CHECK(cli::csv_cell("a;b; c;") == "a;b; c;");
  CHECK(cli::csv_line({"", "a", ""}) == ",a,\r\n");
}

TEST_CASE("audit query: rotated and compressed files; the configured log") {
  const Folder folder;
  const Lines lines = ten();
  folder.put("log-20260304T000000Z.jsonl.gz", tlsrpt::gzip(text_of({lines.begin(),
                                                                    lines.begin() + 3})));
  folder.put("log-20260307T000000Z.jsonl", text_of({lines.begin() + 3, lines.begin() + 6}));
  // The last line is being written.
  const std::string log = folder.put(
      "log.jsonl", text_of({lines.begin() + 6, lines.begin() + 9}) + lines[9].substr(0, 100));
  const Outcome all = run({"query", "--json"}, log);
  CHECK(all.status == 0);
  CHECK(all.err.empty());
  CHECK(all.out == text_of({lines.begin(), lines.begin() + 9}));
  const Outcome early = run({"query", "--json", "--until", "2026-03-02"}, log);
  CHECK(early.out == text_of({lines[0], lines[1]}));
  CHECK(run({"query", "--json", "--since", "2026-03-09"}, log).out == text_of({lines[8]}));
}

TEST_CASE("audit query: what is no record is told with its place; what is damaged too") {
  const Folder folder;
  const Lines lines = ten();
  const std::string file = folder.put(
      "a.jsonl", lines[0] + "\nnot a record\n" + lines[1] + "\n" + std::string(70000, 'x') + "\n");
  const Outcome foreign = run({"query", "--json", file});
  CHECK(foreign.status == 0);
  CHECK(foreign.out == text_of({lines[0], lines[1]}));
  CHECK(foreign.err == file + ":2: no record\n" + file + ":4: no record\n");
  const std::string octets = tlsrpt::gzip(text_of(lines));
  const std::string damaged = folder.put("b.gz", octets.substr(0, octets.size() - 9));
  CHECK(run({"query", "--json", damaged}).status == 69);
  const Outcome missing = run({"query", "--json", "/nowhere.jsonl", file});
  CHECK(missing.status == 69);
  CHECK(missing.out == text_of({lines[0], lines[1]}));
  CHECK(missing.err.starts_with("/nowhere.jsonl: No such file or directory\n"));
}

TEST_CASE("audit verify: whole, broken, cut off, and what is known") {
  const Folder folder;
  const Lines lines = ten();
  const audit::Head head{10, audit::Sha256().hex(lines[9])};
  const std::string log = folder.put("log.jsonl", text_of(lines));
  const Outcome whole = run({"verify"}, log, head);
  CHECK(whole.status == 0);
  CHECK(whole.out == "10 records in 1 file, 1 to 10, 2026-03-01T10:00:00.000Z to "
                     "2026-03-10T10:00:00.000Z: the chain is whole and reaches record 10, the "
                     "known head\nhead " + audit::text_of(head) + "\n");
  CHECK(whole.err.empty());
  CHECK(run({"verify"}, log).err.starts_with("no head is known to compare with"));
  CHECK(run({"verify"}, log).status == 0);
  CHECK(run({"verify"}, log, head, true).status == 75);

  const std::string cut = folder.put("cut.jsonl", text_of({lines.begin(), lines.begin() + 8}));
  const Outcome short_one = run({"verify", "--head", audit::text_of(head), cut});
  CHECK(short_one.status == 1);
  CHECK(short_one.out == cut + ":9: records 9 to 10 are missing at the end\n");
  CHECK(run({"verify"}, cut, head).status == 1);
  CHECK(run({"verify", cut}).status == 0);

  Lines changed = lines;
  changed[4].replace(changed[4].find("tx5"), 3, "tx6");
  const std::string bad = folder.put("bad.jsonl", text_of(changed));
  const Outcome altered = run({"verify", bad});
  CHECK(altered.status == 1);
  CHECK(altered.out.starts_with(bad + ":5: record 5 was altered"));
  const auto json = nlohmann::json::parse(run({"verify", "--json", bad}).out);
  CHECK(json["schema"] == 1);
  CHECK(json["whole"] == false);
  CHECK(json["bad"]["line"] == 5);
  CHECK(json["records"] == 5);
}

TEST_CASE("audit verify: records cut off at the beginning of the configured log") {
  const Folder folder;
  const Lines lines = ten();
  const audit::Head head{10, audit::Sha256().hex(lines[9])};
  const auto removed = [&](std::uint64_t seq) {
    const audit::Head last{seq, seq > 0 ? audit::Sha256().hex(lines[seq - 1]) : ""};
    return [last]() -> Known { return std::optional<audit::Head>(last); };
  };
  const std::string log = folder.put("log.jsonl", text_of({lines.begin() + 5, lines.end()}));
  const Outcome cut = run({"verify"}, log, head, false, removed(0));
  CHECK(cut.status == 1);
  CHECK(cut.out.starts_with(log + ":1: records 1 to 5 are missing at the beginning; retention has "
                                  "removed none\n5 records in 1 file, 6 to 10, "));
  CHECK(cut.out.find(": the chain is whole from there on and reaches record 10, the known head\n"
                     "head 10:") != std::string::npos);
  const auto json = nlohmann::json::parse(
      run({"verify", "--json"}, log, head, false, removed(2)).out);
  CHECK(json["whole"] == false);
  CHECK(json["bad"].is_null());
  CHECK(json["beginning"]["file"] == log);
  CHECK(json["beginning"]["line"] == 1);
  CHECK(json["beginning"]["why"] == "records 3 to 5 are missing at the beginning; retention has "
                                    "removed none behind record 2");
  CHECK(json["known_removed"] == 2);
  // What retention removed is not missing; of files that are named nobody knows where they begin.
  const Outcome whole = run({"verify"}, log, head, false, removed(5));
  CHECK(whole.status == 0);
  CHECK(whole.err.empty());
  CHECK(run({"verify", log}, log, head, false, removed(0)).status == 0);
  // Both ends of what is there are at fault: both are told.
  const std::string both = folder.put("both.jsonl", text_of({lines.begin() + 5, lines.end() - 1}));
  const Outcome two = run({"verify"}, both, head, false, removed(0));
  CHECK(two.status == 1);
  CHECK(two.out == both + ":1: records 1 to 5 are missing at the beginning; retention has removed "
                          "none\n" + both + ":5: record 10 is missing at the end\n");
}

TEST_CASE("audit verify: what retention removed is not known, or cannot be had") {
  const Folder folder;
  const Lines lines = ten();
  const audit::Head head{10, audit::Sha256().hex(lines[9])};
  const std::string log = folder.put("log.jsonl", text_of({lines.begin() + 5, lines.end()}));
  const auto unknown = []() -> Known { return std::optional<audit::Head>(); };
  const Outcome older = run({"verify"}, log, head, false, unknown);
  CHECK(older.status == 0);
  CHECK(older.err.starts_with("it is not known what retention removed"));
  CHECK(nlohmann::json::parse(run({"verify", "--json"}, log, head, false, unknown).out)
            ["known_removed"].is_null());
  const auto busy = []() -> Known { return base::fail(proxy::DaemonError{false, "busy", 75}); };
  const Outcome away = run({"verify"}, log, head, false, busy);
  CHECK(away.status == 75);
  CHECK(away.err == "what is known of the chain besides the log cannot be had: busy\n");
  const Outcome given =
      run({"verify", "--head", audit::text_of(head)}, log, std::nullopt, false, busy);
  CHECK(given.status == 0);
  CHECK(given.err.starts_with("it is not known what retention removed"));
}

TEST_CASE("audit verify: nothing is whole that was not read") {
  const Folder folder;
  const std::string gone = (folder.path / "gone.jsonl").string();
  for (const std::string& file : {gone, folder.path.string()}) {
    CAPTURE(file);
    const Outcome outcome = run({"verify", file});
    CHECK(outcome.status == 69);
    CHECK(outcome.out.empty());
    CHECK(outcome.err.starts_with(file + ": "));
    CHECK(std::count(outcome.err.begin(), outcome.err.end(), '\n') == 1);
    const auto json = nlohmann::json::parse(run({"verify", "--json", file}).out);
    CHECK(json["whole"] == false);
    CHECK(json["unreadable"].get<std::string>().starts_with(file));
  }
  const std::string file = folder.put("a.jsonl", text_of(ten()));
  const Outcome some = run({"verify", file, gone});
  CHECK(some.status == 69);
  CHECK(some.out.find("the chain is whole so far") != std::string::npos);
}

TEST_CASE("audit verify: a known head that is older than all records shows nothing") {
  const Folder folder;
  const Lines lines = ten();
  const std::string file = folder.put("late.jsonl", text_of({lines.begin() + 5, lines.end()}));
  const audit::Head older{4, audit::Sha256().hex(lines[3])};
  const Outcome outcome = run({"verify", "--head", audit::text_of(older), file});
  CHECK(outcome.status == 75);
  CHECK(outcome.err.find("add the files from record 4 on") != std::string::npos);
  const auto json =
      nlohmann::json::parse(run({"verify", "--json", "--head", audit::text_of(older), file}).out);
  CHECK(json["whole"] == false);
  CHECK(json["bad"].is_null());
  CHECK(json["known_head_is_older"] == true);
  // The record before the first one is named by its hash.
  const audit::Head last{5, audit::Sha256().hex(lines[4])};
  CHECK(run({"verify", "--head", audit::text_of(last), file}).status == 0);
}

TEST_CASE("audit verify: a pipe is read from its start") {
  const Folder folder;
  const std::string pipe = (folder.path / "pipe").string();
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  std::thread writer([&pipe] { std::ofstream(pipe, std::ios::binary) << text_of(ten()); });
  const Outcome outcome = run({"verify", pipe});
  writer.join();
  CHECK(outcome.status == 0);
  CHECK(outcome.out.starts_with("10 records in 1 file, 1 to 10"));
}

TEST_CASE("audit query: JSON lines reach no terminal with control characters in them") {
  const Folder folder;
  const std::string file = folder.put(
      "a.jsonl", "{\t\"time\":\"2026-03-01T10:00:00.000Z\",\"event\":\"start\","
                 "\"id\":\"a\\\"\x1b[31m\x7f\",\"seq\":1,\"prev\":null}\n");
  const Outcome outcome = run({"query", "--json", file});
  CHECK(outcome.status == 0);
  REQUIRE(outcome.out.find_first_of("\x1b\x7f\t") == std::string::npos);
  CHECK(nlohmann::json::parse(outcome.out)["id"] == "a\"\x1b[31m\x7f");
}

TEST_CASE("audit verify: files in any order; none there; a head that is none") {
  const Folder folder;
  const Lines lines = ten();
  const std::string first = folder.put("b", tlsrpt::gzip(text_of({lines.begin(),
                                                                  lines.begin() + 5})));
  const std::string second = folder.put("a", text_of({lines.begin() + 5, lines.end()}));
  CHECK(run({"verify", second, first}).status == 0);
  CHECK(run({"verify", "/nowhere.jsonl"}).status == 69);
  const std::string gone = (folder.path / "gone.jsonl").string();
  CHECK(run({"verify"}, gone).status == 69);
  CHECK(run({"verify"}, gone, audit::Head{3, std::string(64, 'a')}).status == 1);
  for (const char* bad : {"", "3", "3:abc", "0:", "x:y"}) {
    CHECK(run({"verify", "--head=" + std::string(bad), second}).status == 2);
  }
}

TEST_CASE("table: widths from the rows, also when there are more than are measured") {
  std::ostringstream out;
  {
    cli::Table table({"NAME", "COUNT#", "LAST"}, out);
    table.add({"\xC3\xBC", "10", ""});
    table.line("  a\x1b line");
    table.add({"abcdef", "5", "x"});
  }
  CHECK(out.str() == "NAME    COUNT  LAST\n\xC3\xBC          10  -\n  a? line\nabcdef      5  x\n");
  std::ostringstream many;
  cli::Table table({"N#", "X"}, many);
  for (int i = 0; i < 2000; ++i) table.add({std::to_string(i), "y"});
  CHECK(many.str().size() > 8000);
  CHECK(many.str().starts_with("  N  X\n  0  y\n"));
}
