// Retention and what it leaves behind: the store knows what it removed, and verify tells that from
// what somebody cut off at the beginning.
#include "audit/retention.h"

#include <catch2/catch.hpp>

#include "audit/stored_head.h"
#include "audit/verify.h"
#include "tests/unit/audit/support.h"
#include "tlsrpt/gzip.h"

using namespace audit;
using namespace audit_test;

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

Lines chain(std::uint64_t count) {
  Sha256 sha;
  Lines lines;
  std::string prev;
  for (std::uint64_t seq = 1; seq <= count; ++seq) {
    lines.push_back(
        to_json_line(delivery("t"), seq, prev, at("2026-03-01T12:00:00.000Z")));
    prev = sha.hex(lines.back());
  }
  return lines;
}

// Records `from` to `to`, by number.
std::string text_of(const Lines& lines, std::size_t from, std::size_t to) {
  std::string text;
  for (std::size_t i = from; i <= to; ++i) text += lines[i - 1] + "\n";
  return text;
}

Head head_of(const Lines& lines, std::size_t seq) {
  return {seq, Sha256().hex(lines[seq - 1])};
}

// Nine records in three files; the oldest ones were rotated on 2 and 3 March.
struct Log {
  Log() {
    options.path = folder.log();
    options.retention = std::chrono::hours(10 * 24);
    spit(first, text_of(lines, 1, 3));
    spit(second, text_of(lines, 4, 6));
    spit(folder.log(), text_of(lines, 7, 9));
    head.set(last);
  }
  Verification checked() {
    Verification result = verify(chain_files(folder.log()), last);
    if (const auto removed = head.removed()) compare_beginning(result, *removed, last);
    return result;
  }
  std::string beginning() {
    const Verification result = checked();
    CHECK_FALSE(result.bad);
    if (!result.beginning) return "";
    return result.beginning->file.filename().string() + ":" +
           std::to_string(result.beginning->line) + ": " + result.beginning->why;
  }

  Folder folder;
  const Lines lines = chain(9);
  const Head last = head_of(lines, 9);
  const fs::path first = folder.path() / "enforcement-20260302T000000Z.jsonl";
  const fs::path second = folder.path() / "enforcement-20260303T000000Z.jsonl";
  MemoryHead head;
  LogOptions options;
};

const base::WallTime after_first = at("2026-03-12T12:00:00.000Z");
const base::WallTime after_all = at("2026-03-30T12:00:00.000Z");

}  // namespace

TEST_CASE("retention: what it removes is stored before the file goes") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  CHECK(retention.removed() == Head{});
  bool was_there = false;
  log.head.on_removed = [&] { was_there = fs::exists(log.first); };
  REQUIRE(retention.expire(after_first, log.last).has_value());
  CHECK(was_there);
  CHECK_FALSE(fs::exists(log.first));
  CHECK(fs::exists(log.second));
  CHECK(retention.removed() == head_of(log.lines, 3));
  CHECK(log.head.removed() == head_of(log.lines, 3));
  CHECK(log.beginning().empty());
}

TEST_CASE("retention: compressed files too") {
  Log log;
  for (const fs::path& file : {log.first, log.second}) {
    spit(file.string() + ".gz", tlsrpt::gzip(slurp(file)));
    fs::remove(file);
  }
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  CHECK(log.beginning().empty());
  REQUIRE(retention.expire(after_first, log.last).has_value());
  CHECK(retention.removed() == head_of(log.lines, 3));
  CHECK(log.beginning().empty());
  fs::remove(log.second.string() + ".gz");
  CHECK(log.beginning() == "enforcement.jsonl:1: records 4 to 6 are missing at the beginning; "
                           "retention has removed none behind record 3");
}

TEST_CASE("retention: an old name alone deletes nothing, and vouches for no cut") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  const fs::path forged = log.folder.path() / "enforcement-20200101T000000Z.jsonl";
  const base::WallTime present = at("2026-03-05T12:00:00.000Z");
  SECTION("of a file with nothing in it") {
    fs::remove(log.first);
    spit(forged, "");
    REQUIRE(retention.expire(present, log.last).has_value());
    CHECK(log.head.removed() == Head{});
    CHECK(log.beginning() == "enforcement-20260303T000000Z.jsonl:1: records 1 to 3 are missing "
                             "at the beginning; retention has removed none");
  }
  SECTION("of a file with records of these days") {
    fs::rename(log.first, forged);
    REQUIRE(retention.expire(present, log.last).has_value());
    CHECK(fs::exists(forged));
    CHECK(log.head.removed() == Head{});
    CHECK(log.beginning().empty());
  }
}

TEST_CASE("retention: a file stays while the store cannot be told") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  log.head.fails = true;
  CHECK(retention.expire(after_first, log.last).has_error());
  CHECK(fs::exists(log.first));
  CHECK(retention.removed() == Head{});
  log.head.fails = false;
  CHECK(retention.expire(after_first, log.last).has_value());
  CHECK_FALSE(fs::exists(log.first));
}

TEST_CASE("retention: a store that could not be read is not taken for an empty one") {
  Log log;
  Retention earlier(log.options, log.head);
  REQUIRE(earlier.load().has_value());
  REQUIRE(earlier.begin(log.last).has_value());
  fs::remove(log.first);
  log.head.fails = true;
  Retention retention(log.options, log.head);
  CHECK(retention.load().has_error());
  log.head.fails = false;
  CHECK(retention.begin(log.last).has_value());
  CHECK_FALSE(retention.removed());
  CHECK(log.head.removed() == Head{});
}

TEST_CASE("retention: what an older store does not know is taken from the disk, once") {
  Log log;
  fs::remove(log.first);
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  CHECK(log.head.removed() == head_of(log.lines, 3));
  CHECK(log.beginning().empty());
  // From then on what is cut off shows, also over a restart.
  fs::remove(log.second);
  Retention again(log.options, log.head);
  REQUIRE(again.load().has_value());
  REQUIRE(again.begin(log.last).has_value());
  CHECK_FALSE(log.beginning().empty());
}

TEST_CASE("retention: a log that was moved elsewhere, and one that begins") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  // Nothing is there, and the chain goes on: its next record is the first one there.
  LogOptions elsewhere = log.options;
  elsewhere.path = log.folder.path() / "other" / "enforcement.jsonl";
  Retention moved(elsewhere, log.head);
  REQUIRE(moved.load().has_value());
  CHECK_FALSE(moved.removed());
  REQUIRE(moved.begin(log.last).has_value());
  CHECK(moved.removed() == log.last);
  // The chain begins at record 1, whatever an older one had lost.
  Retention anew(elsewhere, log.head);
  REQUIRE(anew.load().has_value());
  REQUIRE(anew.begin(Head{}).has_value());
  CHECK(anew.removed() == Head{});
  CHECK(log.head.removed() == Head{});
}

TEST_CASE("retention: with no record left the chain goes on from its head without a word") {
  Log log;
  fs::rename(log.folder.log(), log.folder.path() / "enforcement-20260304T000000Z.jsonl");
  spit(log.folder.log(), "");
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  REQUIRE(retention.expire(after_all, log.last).has_value());
  CHECK(retention.removed() == log.last);
  const Verification nothing = log.checked();
  CHECK(nothing.records == 0);
  CHECK_FALSE(nothing.bad);
  HandClock clock(after_all);
  auto running = open_log(log.folder, log.head, clock);
  running->stop("test");
  CHECK(running->removed() == log.last);
  const auto lines = records(log.folder.log());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["seq"] == 10);
  CHECK(lines[0]["reason"].is_null());
  Verification result = verify(chain_files(log.folder.log()), log.head.get());
  compare_beginning(result, *running->removed(), log.head.get());
  CHECK_FALSE(result.bad);
  CHECK_FALSE(result.beginning);
}

TEST_CASE("retention: an end that was cut off is one also where no record is left") {
  Log log;
  fs::remove(log.first);
  fs::remove(log.second);
  spit(log.folder.log(), "");
  Verification result = verify(chain_files(log.folder.log()), log.last);
  compare_beginning(result, head_of(log.lines, 3), log.last);
  REQUIRE(result.bad);
  CHECK(result.bad->why == "records 4 to 9 are missing at the end");
}

TEST_CASE("verify: records cut off at the beginning, by line and by file") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  CHECK(log.beginning().empty());
  spit(log.first, text_of(log.lines, 2, 3));
  CHECK(log.beginning() ==
        "enforcement-20260302T000000Z.jsonl:1: record 1 is missing at the beginning; retention has "
        "removed none");
  fs::remove(log.first);
  CHECK(log.beginning() ==
        "enforcement-20260303T000000Z.jsonl:1: records 1 to 3 are missing at the beginning; "
        "retention has removed none");
  fs::remove(log.second);
  CHECK(log.beginning() == "enforcement.jsonl:1: records 1 to 6 are missing at the beginning; "
                           "retention has removed none");
}

TEST_CASE("verify: a beginning that does not go on from what retention removed") {
  Log log;
  fs::remove(log.first);
  Verification result = verify(chain_files(log.folder.log()), log.last);
  compare_beginning(result, Head{3, std::string(64, 'a')}, log.last);
  CHECK_FALSE(result.bad);
  REQUIRE(result.beginning);
  CHECK(result.beginning->str() ==
        log.second.string() +
            ":1: prev is not the hash of record 3, the last one that retention removed");
  // Retention told the store, and has not deleted yet; or somebody put files back.
  result = verify(chain_files(log.folder.log()), log.last);
  compare_beginning(result, head_of(log.lines, 6), log.last);
  CHECK_FALSE(result.beginning);
}

TEST_CASE("log: a running log says what retention removed; a new one that it was nothing") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  CHECK(log->removed() == Head{});
  log->stop("test");
  log.reset();
  CHECK(head.removed() == Head{});
  clock.set(at("2026-03-02T12:00:00.000Z"));
  open_log(folder, head, clock)->stop("test");
  clock.set(at("2027-05-01T12:00:00.000Z"));
  log = open_log(folder, head, clock);
  CHECK(log->removed()->seq == 2);
  log->stop("test");
  Verification result = verify(chain_files(folder.log()), head.get());
  compare_beginning(result, *head.removed(), head.get());
  CHECK_FALSE(result.bad);
  CHECK_FALSE(result.beginning);
  CHECK(result.first_seq == 3);
}

TEST_CASE("stored head: what retention removed, as words of the store") {
  const std::string hash(64, 'b');
  const fs::path file = "/var/log/a folder/enforcement.jsonl";
  const auto of = [](const std::string& text) { return removed_from_store(text); };
  CHECK((*of("17:" + hash + " " + file.string()))->last == Head{17, hash});
  CHECK((*of("17:" + hash + " " + file.string()))->log == file);
  CHECK((*of("0: " + file.string()))->last == Head{});
  CHECK_FALSE((*removed_from_store(std::nullopt)).has_value());
  for (const std::string bad : {"", "17", "0:", " ", "17:abc /x", "x:"}) {
    CAPTURE(bad);
    CHECK(of(bad).has_error());
  }
}

TEST_CASE("retention: a file that cannot be removed is told, and those behind it stay") {
  Log log;
  Retention retention(log.options, log.head);
  REQUIRE(retention.load().has_value());
  REQUIRE(retention.begin(log.last).has_value());
  fs::remove(log.first);
  fs::create_directory(log.first);  // unlink() refuses it, whoever asks
  const auto expired = retention.expire(after_all, log.last);
  REQUIRE(expired.has_error());
  CHECK(expired.error().text.starts_with(log.first.string() + " is past its retention and "));
  CHECK(fs::exists(log.second));
}

TEST_CASE("log: its start says where it was before, and not that records are missing") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  open_log(folder, head, clock)->stop("test");
  const auto before = head.get();
  REQUIRE(before);
  Folder other;
  open_log(other, head, clock)->stop("test");
  const auto lines = records(other.log());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["seq"] == before->seq + 1);
  CHECK(lines[0]["reason"] ==
        "up to record " + std::to_string(before->seq) + " the log was " + folder.log().string());
  Verification result = verify(chain_files(other.log()), head.get());
  compare_beginning(result, *head.removed(), head.get());
  CHECK_FALSE(result.bad);
  CHECK_FALSE(result.beginning);
  // And from then on that is where it is.
  open_log(other, head, clock)->stop("test");
  CHECK(records(other.log())[2]["reason"].is_null());
}

TEST_CASE("log: back to a log of before: what is in the other one is not missing") {
  Folder folder;
  Folder other;
  MemoryHead head;
  HandClock clock;
  for (const Folder* one : {&folder, &other, &folder}) open_log(*one, head, clock)->stop("test");
  const auto lines = records(folder.log());
  REQUIRE(lines.size() == 4);
  CHECK(lines[2]["seq"] == 5);
  CHECK(lines[2]["reason"] == "up to record 4 the log was " + other.log().string());
  Verification result = verify(chain_files(folder.log()), head.get());
  compare_beginning(result, *head.removed(), head.get());
  CHECK_FALSE(result.bad);
  CHECK_FALSE(result.beginning);
  REQUIRE(result.elsewhere.size() == 1);
  CHECK(result.elsewhere[0].str() == folder.log().string() +
                                         ":3: records 3 to 4 are in another log, as this record "
                                         "says: up to record 4 the log was " +
                                         other.log().string());
  // A head from in between is not to be had here, and a line that only claims it fits nowhere.
  const auto hash = Sha256().hex(slurp(other.log()).substr(0, slurp(other.log()).find('\n')));
  const std::vector<fs::path> files{folder.log()};
  CHECK(verify(files, Head{3, hash}).bad);
  std::string text = slurp(folder.log());
  const auto at_first = text.find("up to record 4");
  REQUIRE(at_first != std::string::npos);
  text.replace(at_first, 14, "up to record 3");
  spit(folder.log(), text);
  CHECK(verify(files, head.get()).bad);
}

TEST_CASE("log: a store that was another log's spoils no chain") {
  Folder folder;
  Folder other;
  MemoryHead own;
  MemoryHead foreign;
  HandClock clock;
  open_log(folder, own, clock)->stop("test");
  open_log(folder, own, clock)->stop("test");
  clock.set(at("2026-03-01T13:00:00.000Z"));  // other lines than those
  open_log(other, foreign, clock)->stop("test");
  open_log(folder, foreign, clock)->stop("test");
  const auto lines = records(folder.log());
  REQUIRE(lines.size() == 6);
  CHECK(lines[4]["seq"] == 5);
  CHECK(lines[4]["reason"] == "the stored head is that of " + other.log().string() +
                                  "; this log goes on from its own record 4");
  Verification result = verify(chain_files(folder.log()), foreign.get());
  compare_beginning(result, *foreign.removed(), foreign.get());
  CHECK_FALSE(result.bad);
  CHECK_FALSE(result.beginning);
}
