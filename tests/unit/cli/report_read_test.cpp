#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/commands.h"
#include "tests/source_folder.h"

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

struct Outcome {
  int status;
  std::string out;
  std::string err;
};

Outcome run(Lines arguments, const std::string& input = "") {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in(input);
  cli::World world;
  world.in = &in;
  world.load = [](const config::Path&) -> config::LoadResult {
    FAIL("report read needs no configuration");
    return {};
  };
  arguments.insert(arguments.begin(), {"report", "read"});
  const int status = cli::run(arguments, {out, err}, world);
  return {status, out.str(), err.str()};
}

std::string fixture(const std::string& name) {
  return tests_folder() + "/fixtures/tlsrpt/" + name;
}

std::string octets_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sternpost-read-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  void put(const std::string& name, const std::string& octets) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << octets;
  }
  std::string at(const std::string& name) const { return (path / name).string(); }

  fs::path path;
};

nlohmann::json json_of(const Outcome& outcome) { return nlohmann::json::parse(outcome.out); }

}  // namespace

TEST_CASE("report read: takes -c like every command, and reads no configuration") {
  const Outcome plain = run({fixture("mx_host_text.json")});
  for (const Lines& words : {Lines{"-c", "/no/such.toml"}, Lines{"--config=/no/such.toml"}}) {
    Lines arguments = words;
    arguments.push_back(fixture("mx_host_text.json"));
    const Outcome told = run(arguments);
    CHECK(told.status == 0);
    CHECK(told.out == plain.out);
    CHECK(told.err.empty());
  }
}

TEST_CASE("report read: files of every kind are summed up") {
  const Outcome text = run({fixture("mx_host_text.json"), fixture("no_zone.json.gz"),
                            fixture("multipart_report.eml"), fixture("mailbox.mbox")});
  CHECK(text.status == 0);
  CHECK(text.err.empty());
  CHECK(text.out.find("5 reports from 5 organizations, 2026-11-18 to 2026-11-23 (UTC)\n") == 0);

  const Outcome json = run({"--json", fixture("no_zone.json.gz")});
  CHECK(json.status == 0);
  CHECK(json_of(json)["schema"] == 1);
  CHECK(json_of(json)["failed_sessions"] == 5);

  const Outcome html = run({"--html", fixture("no_zone.json.gz")});
  CHECK(html.status == 0);
  CHECK(html.out.find("<!DOCTYPE html>\n") == 0);
}

TEST_CASE("report read: - is standard input") {
  const Outcome outcome = run({"--json", "-"}, octets_of(fixture("forwarded.eml")));
  CHECK(outcome.status == 0);
  CHECK(json_of(outcome)["reports"] == 1);
  const Outcome empty = run({"-"});
  CHECK(empty.status == 1);
  CHECK(empty.err == "standard input: empty\n");
}

TEST_CASE("report read: a file without a report is a finding; the others still count") {
  const Folder folder;
  folder.put("hello", "hello");
  folder.put("mail", "From: a@example.com\n\nHello!\n");
  const Outcome outcome =
      run({"--json", folder.at("hello"), fixture("fetch_error.json"), folder.at("mail")});
  CHECK(outcome.status == 1);
  CHECK(outcome.err == folder.at("hello") +
                           ": neither JSON, gzip, a mail message nor an mbox\n" +
                           folder.at("mail") + ": no TLS report in it\n");
  CHECK(json_of(outcome)["reports"] == 1);
  CHECK(json_of(outcome)["problems"].size() == 2);
  CHECK(json_of(outcome)["problems"][1]["file"] == folder.at("mail"));

  const Outcome alone = run({folder.at("hello")});
  CHECK(alone.status == 1);
  CHECK(alone.out.empty());
}

TEST_CASE("report read: a file that is not there is status 69; the others still count") {
  const Folder folder;
  const Outcome outcome = run({"--json", folder.at("none"), fixture("fetch_error.json")});
  CHECK(outcome.status == 69);
  CHECK(outcome.err == folder.at("none") + ": No such file or directory\n");
  CHECK(json_of(outcome)["reports"] == 1);
}

TEST_CASE("report read: a Maildir is read in cur and new, and other mail is passed over") {
  const Folder folder;
  folder.put("cur/1:2,S", octets_of(fixture("multipart_report.eml")));
  folder.put("cur/2:2,S", "From: a@example.com\n\nHello!\n");
  folder.put("new/3", octets_of(fixture("octet_stream.eml")));
  folder.put("new/4", octets_of(fixture("octet_stream.eml")));
  folder.put("tmp/5", octets_of(fixture("single_part.eml")));
  folder.put("cur/.hidden", "hello");
  folder.put("dovecot.index", "hello");
  const Outcome outcome = run({"--json", folder.path.string()});
  CHECK(outcome.status == 0);
  CHECK(outcome.err.empty());
  CHECK(json_of(outcome)["reports"] == 2);
  CHECK(json_of(outcome)["duplicate_reports"] == 1);
  CHECK(json_of(outcome)["messages_without_report"] == 1);
}

TEST_CASE("report read: a Maildir without a report is a finding") {
  const Folder folder;
  folder.put("cur/1", "From: a@example.com\n\nHello!\n");
  const Outcome none = run({folder.path.string()});
  CHECK(none.status == 1);
  CHECK(none.err == folder.path.string() + ": no TLS report in it\n");
  folder.put("cur/2", "From: a@example.com\nContent-Type: application/tlsrpt+json\n\n{");
  const Outcome broken = run({folder.path.string()});
  CHECK(broken.status == 1);
  CHECK(broken.err == folder.at("cur/2") + ": JSON: cut short\n");
}

TEST_CASE("report read: a folder of reports is read by name, and no folder in it") {
  const Folder folder;
  folder.put("b.json", octets_of(fixture("fetch_error.json")));
  folder.put("a.json.gz", octets_of(fixture("no_zone.json.gz")));
  folder.put("c.txt", "notes");
  folder.put("old/d.json", octets_of(fixture("contact_null.json")));
  const Outcome outcome = run({"--json", folder.path.string()});
  CHECK(outcome.status == 1);
  CHECK(outcome.err == folder.at("c.txt") + ": neither JSON, gzip, a mail message nor an mbox\n");
  CHECK(json_of(outcome)["reports"] == 2);
  fs::create_directory(folder.path / "empty");
  const Outcome empty = run({folder.at("empty")});
  CHECK(empty.status == 1);
  CHECK(empty.err == folder.at("empty") + ": no file in it\n");
}

TEST_CASE("report read: names and reasons on standard error hold no control characters") {
  const Folder folder;
  folder.put("x\x1b[31m", "hello");
  CHECK(run({folder.at("x\x1b[31m")}).err.find('\x1b') == std::string::npos);
}

TEST_CASE("report read: wrong usage is status 2; --help has two examples") {
  for (const Lines& arguments :
       {Lines{}, Lines{"--json"}, Lines{"--json", "--html", "x"}, Lines{"--nonsense", "x"}}) {
    const Outcome outcome = run(arguments);
    CHECK(outcome.status == 2);
    CHECK(outcome.out.empty());
    CHECK_FALSE(outcome.err.empty());
  }
  const Outcome help = run({"--help"});
  CHECK(help.status == 0);
  const std::size_t first = help.out.find("  sternpost report read ");
  REQUIRE(first != std::string::npos);
  CHECK(help.out.find("  sternpost report read ", first + 1) != std::string::npos);
}
