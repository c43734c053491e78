// ReportFiles: whole or not there, under the domain's name, gone when they are too old.
#include "report/files.h"

#include <sys/stat.h>

#include "tests/unit/report/support.h"

using namespace report_test;
using report::ReportFiles;
namespace fs = std::filesystem;

TEST_CASE("files: a report lies under its day and its domain, and is read back") {
  const Folder folder;
  const ReportFiles files(folder.path() / "a" / "b");
  const std::string octets("\x1f\x8b\0\xff\r\n", 6);
  REQUIRE(files.write(day, "recv.example", octets).has_value());
  REQUIRE(files.sync().has_value());
  CHECK(files.path(day, "recv.example") ==
        folder.path() / "a" / "b" / "2026-11-25" / "recv.example.json.gz");
  CHECK(*files.read(day, "recv.example") == octets);
  REQUIRE(files.write(day, "recv.example", "").has_value());  // written over
  CHECK(files.read(day, "recv.example")->empty());
  std::size_t entries = 0;
  for (const auto& entry : fs::directory_iterator(folder.path() / "a" / "b" / "2026-11-25")) {
    CHECK(entry.path().extension() == ".gz");
    ++entries;
  }
  CHECK(entries == 1);
}

TEST_CASE("files: what a kill left half written is in nobody's way") {
  const Folder folder;
  const ReportFiles files(folder.path());
  fs::create_directories(folder.path() / "2026-11-25");
  audit_test::spit(folder.path() / "2026-11-25" / ".part", std::string(1000, 'x'));
  REQUIRE(files.write(day, "recv.example", "new").has_value());
  CHECK(*files.read(day, "recv.example") == "new");
}

TEST_CASE("files: a domain too long for a file's name has a name of its own") {
  const Folder folder;
  const ReportFiles files(folder.path());
  const std::string label(63, 'x');
  const std::string stem = label + "." + label + "." + label + ".";
  const std::string one = stem + std::string(61, 'y');
  const std::string other = stem + std::string(60, 'y') + "z";
  REQUIRE(one.size() == 253);
  REQUIRE(files.write(day, one, "1").has_value());
  REQUIRE(files.write(day, other, "2").has_value());
  CHECK(*files.read(day, one) == "1");
  CHECK(*files.read(day, other) == "2");
  CHECK(files.path(day, one).filename().string().size() <= 255);
  const std::string longest_whole = stem + std::string(55, 'y');
  REQUIRE(longest_whole.size() == 247);
  CHECK(files.path(day, longest_whole).filename() == longest_whole + ".json.gz");
  REQUIRE(files.write(day, longest_whole, "3").has_value());
}

TEST_CASE("files: what cannot be read or written is told with the file's name") {
  const Folder folder;
  const ReportFiles files(folder.path());
  const auto missing = files.read(day, "recv.example");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().text.find("recv.example.json.gz: No such file") != std::string::npos);
  audit_test::spit(folder.path() / "2026-11-25", "a file where the folder should be");
  const auto refused = files.write(day, "recv.example", "x");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().text.find("2026-11-25") != std::string::npos);
  CHECK_FALSE(ReportFiles(folder.path() / "none").sync().has_value());
}

TEST_CASE("files: old days go, and whatever else lies there stays") {
  const Folder folder;
  const ReportFiles files(folder.path());
  for (int i = 0; i < 3; ++i) {
    REQUIRE(files.write(day - std::chrono::days(i), "recv.example", "x").has_value());
  }
  fs::create_directories(folder.path() / "2020-01-01x");
  fs::create_directories(folder.path() / "own");
  audit_test::spit(folder.path() / "notes", "mine");
  files.remove_before(day - std::chrono::days(1));
  CHECK(fs::exists(folder.path() / "2026-11-25"));
  CHECK(fs::exists(folder.path() / "2026-11-24"));
  CHECK_FALSE(fs::exists(folder.path() / "2026-11-23"));
  CHECK(fs::exists(folder.path() / "2020-01-01x"));
  CHECK(fs::exists(folder.path() / "own"));
  CHECK(fs::exists(folder.path() / "notes"));
  ReportFiles(folder.path() / "none").remove_before(day);  // nothing there is no matter
}

TEST_CASE("files: whether it is one name that cannot be written, or none can") {
  const Folder folder;
  const ReportFiles files(folder.path());
  fs::create_directories(files.path(day, "a.example"));
  const auto one = files.write(day, "a.example", "x");
  REQUIRE_FALSE(one.has_value());
  CHECK(one.error().one_file);
  CHECK(one.error().text.find("a.example.json.gz: ") != std::string::npos);
  CHECK(files.write(day, "b.example", "x").has_value());
  audit_test::spit(folder.path() / "2026-11-26", "no folder");
  const auto none = files.write(day + std::chrono::days(1), "b.example", "x");
  REQUIRE_FALSE(none.has_value());
  CHECK_FALSE(none.error().one_file);
}

TEST_CASE("files: a report is 0640 in a folder that others cannot enter, whatever the umask") {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    CAPTURE(mask);
    const Folder folder;
    const ReportFiles files(folder.path());
    const mode_t before = ::umask(mask);
    const auto written = files.write(day, "recv.example", "x");
    ::umask(before);
    REQUIRE(written.has_value());
    const fs::path file = files.path(day, "recv.example");
    CHECK(static_cast<unsigned>(fs::status(file).permissions()) == 0640);
    const fs::perms of_folder = fs::status(file.parent_path()).permissions();
    CHECK((of_folder & fs::perms::others_all) == fs::perms::none);
  }
}
