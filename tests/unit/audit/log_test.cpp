#include "audit/log.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/audit/support.h"
#include "tlsrpt/gzip.h"

using namespace audit;
using namespace audit_test;

namespace {

// The chain over all files of the folder, against the stored head too.
Verification check(const Folder& folder, MemoryHead& head) {
  return verify(chain_files(folder.log()), head.get());
}

void write_some(const Folder& folder, MemoryHead& head, const HandClock& clock, int count) {
  auto log = open_log(folder, head, clock);
  for (int i = 0; i < count; ++i) log->append(delivery(std::to_string(i)));
  log->stop("test");
}

std::size_t torn_files(const Folder& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().string().find(".torn-") != std::string::npos) ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("log: a start, the records, a stop; the chain verifies") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 3);
  const auto lines = records(folder.log());
  REQUIRE(lines.size() == 5);
  CHECK(lines[0]["event"] == "start");
  CHECK(lines[0]["seq"] == 1);
  CHECK(lines[0]["prev"].is_null());
  CHECK(lines[0]["reason"].is_null());
  CHECK(lines[1]["time"] == "2026-03-01T12:00:00.000Z");
  CHECK(lines[3]["id"] == "2");
  CHECK(lines[4]["event"] == "stop");
  const auto result = check(folder, head);
  CHECK_FALSE(result.bad);
  CHECK(result.records == 5);
  CHECK(head.get()->seq == 5);
}

TEST_CASE("log: the chain goes on over restarts, with and without the stored head") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 2);
  write_some(folder, head, clock, 2);
  CHECK(records(folder.log())[4]["reason"].is_null());
  head.set(std::nullopt);
  write_some(folder, head, clock, 2);
  head.fails = true;
  write_some(folder, head, clock, 2);
  head.fails = false;
  const auto lines = records(folder.log());
  CHECK(lines.at(8)["reason"] == "no stored head; the chain goes on from the file's last line");
  CHECK(lines.at(12)["reason"].get<std::string>().find("the store is away") != std::string::npos);
  CHECK_FALSE(verify(chain_files(folder.log())).bad);
  CHECK(verify(chain_files(folder.log())).records == 16);
}

TEST_CASE("log: a file cut off behind a newline is noticed at start and by verify") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 5);
  std::string text = slurp(folder.log());
  text.erase(text.rfind('\n', text.size() - 2) + 1);
  text.erase(text.rfind('\n', text.size() - 2) + 1);
  spit(folder.log(), text);
  const auto cut = check(folder, head);
  REQUIRE(cut.bad);
  CHECK(cut.bad->line == 6);
  write_some(folder, head, clock, 1);
  const auto lines = records(folder.log());
  CHECK(lines.at(5)["seq"] == 8);
  CHECK(lines.at(5)["reason"] == "records 6 to 7 are missing from the file");
  const auto result = check(folder, head);
  REQUIRE(result.bad);
  CHECK(result.bad->str() == folder.log().string() + ":6: records 6 to 7 are missing");
}

TEST_CASE("log: a file that was deleted is noticed at start") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 1);
  std::filesystem::remove(folder.log());
  write_some(folder, head, clock, 1);
  CHECK(records(folder.log()).at(0)["reason"] == "records 1 to 3 are missing from the file");
  CHECK(records(folder.log()).at(0)["seq"] == 4);
}

TEST_CASE("log: a last line that was changed is noticed at start") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 1);
  std::string text = slurp(folder.log());
  text.replace(text.rfind("\"stop\""), 6, "\"STOP\"");
  spit(folder.log(), text);
  CHECK(check(folder, head).bad);
  write_some(folder, head, clock, 1);
  CHECK(records(folder.log()).at(3)["reason"] == "record 3 is not the one that was written");
  // The chain does not go on from the changed line: verify names it ever after.
  const auto result = check(folder, head);
  REQUIRE(result.bad);
  CHECK(result.bad->line == 3);
  CHECK(result.bad->why.starts_with("record 3 was altered"));
}

TEST_CASE("log: a log that was written anew as a whole does not fit what comes behind it") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 3);
  Folder forger;
  MemoryHead other;
  HandClock later(clock.wall() + std::chrono::seconds(1));
  write_some(forger, other, later, 3);
  CHECK_FALSE(check(forger, other).bad);
  CHECK(other.get()->seq == head.get()->seq);
  spit(folder.log(), slurp(forger.log()));
  write_some(folder, head, clock, 2);
  CHECK(check(folder, head).bad);
}

TEST_CASE("log: what another program adds to the running log, or changes there, shows") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  log->append(delivery("one"));
  const auto wait_for = [&](std::uint64_t seq) {
    while (log->head().seq < seq) std::this_thread::yield();
  };
  wait_for(2);
  const auto put = [&](const std::string& text) {  // at once, whatever the writer looks at
    spit(folder.path() / "forged", text);
    std::filesystem::rename(folder.path() / "forged", folder.log());
  };
  SECTION("a line that fits the chain") {
    const std::string hash = log->head().hash;
    put(slurp(folder.log()) + to_json_line(delivery("forged"), 3, hash, clock.wall()) + "\n");
  }
  SECTION("a last line that is longer than it was") {
    std::string text = slurp(folder.log());
    text.replace(text.rfind("\"one\""), 5, "\"other\"");
    put(text);
  }
  wait_for(3);  // it was noticed, and said
  log->append(delivery("two"));
  log->stop("ended");
  const auto result = check(folder, head);
  REQUIRE(result.bad);
  const auto named = records(folder.log()).at(result.bad->line - 1)["id"];
  CHECK((named == "forged" || named == "other"));
}

TEST_CASE("log: the last line torn at every octet is repaired and noted", "[asan-only]") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 2);
  const std::string whole = slurp(folder.log());
  const std::size_t start = whole.rfind('\n', whole.size() - 2) + 1;
  const Head before{3, records(folder.log()).at(3)["prev"]};
  for (std::size_t end = start; end < whole.size(); end += end + 40 < whole.size() ? 7 : 1) {
    CAPTURE(end);
    Folder torn;
    MemoryHead kept;
    kept.set(before);
    spit(torn.log(), whole.substr(0, end));
    write_some(torn, kept, clock, 1);
    REQUIRE_FALSE(check(torn, kept).bad);
    const auto lines = records(torn.log());
    const bool complete = end + 1 == whole.size();
    const auto& note = lines.at(complete ? 4 : 3)["reason"];
    if (end == start) {
      CHECK(note.is_null());
    } else if (complete) {
      CHECK(note == "the newline missing from the last line was added");
    } else {
      CHECK(note.get<std::string>().starts_with("a torn last line of " +
                                                std::to_string(end - start) + " octets was moved"));
    }
    CHECK(torn_files(torn) == (end == start || complete ? 0 : 1));
  }
}

TEST_CASE("log: zeros at the end, as a power cut leaves them, are a torn line") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 2);
  spit(folder.log(), slurp(folder.log()) + std::string(300000, '\0'));
  write_some(folder, head, clock, 1);
  CHECK_FALSE(check(folder, head).bad);
}

TEST_CASE("log: whole lines that are no records stay where verify finds them") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 2);
  spit(folder.log(), slurp(folder.log()) + "garbage\nmore\n");
  write_some(folder, head, clock, 1);
  const auto result = check(folder, head);
  REQUIRE(result.bad);
  CHECK(result.bad->line == 5);
  CHECK(head.get()->seq == 9);  // 4, two lines that count, then 3
}

TEST_CASE("log: a second writer is refused") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  LogOptions options;
  options.path = folder.log();
  const auto second = EnforcementLog::open(options, head, clock);
  REQUIRE(second.has_error());
  CHECK(second.error().text.find("another process") != std::string::npos);
}

TEST_CASE("log: a folder that is not there is an error at start") {
  MemoryHead head;
  HandClock clock;
  LogOptions options;
  options.path = "/nonexistent/enforcement.jsonl";
  CHECK(EnforcementLog::open(options, head, clock).has_error());
}

TEST_CASE("log: rotates at midnight UTC; the chain goes on; retention deletes") {
  Folder folder;
  MemoryHead head;
  HandClock clock(at("2026-03-01T23:59:59.999Z"));
  write_some(folder, head, clock, 1);
  clock.set(at("2026-03-02T00:00:00.000Z"));
  write_some(folder, head, clock, 1);  // a restart finds the older day's file
  const auto first = folder.path() / "enforcement-20260302T000000Z.jsonl";
  REQUIRE(std::filesystem::exists(first));
  CHECK(records(first).size() == 3);
  CHECK(records(folder.log()).size() == 3);
  CHECK_FALSE(check(folder, head).bad);
  CHECK(check(folder, head).records == 6);

  clock.set(at("2027-04-06T00:00:00.000Z"));  // the 400th day after
  write_some(folder, head, clock, 1);
  CHECK(std::filesystem::exists(first));
  clock.set(at("2027-04-07T00:00:00.000Z"));
  write_some(folder, head, clock, 1);
  CHECK_FALSE(std::filesystem::exists(first));
  const auto result = check(folder, head);
  CHECK_FALSE(result.bad);
  CHECK(result.first_seq == 4);
}

TEST_CASE("log: files that an operator compressed belong to the chain and to retention") {
  Folder folder;
  MemoryHead head;
  HandClock clock(at("2026-03-01T12:00:00.000Z"));
  write_some(folder, head, clock, 2);
  clock.set(at("2026-03-02T12:00:00.000Z"));
  write_some(folder, head, clock, 2);
  const auto compress = [](const std::filesystem::path& file) {
    spit(file.string() + ".gz", tlsrpt::gzip(slurp(file)));
    std::filesystem::remove(file);
  };
  const auto first = folder.path() / "enforcement-20260302T120000Z.jsonl";
  compress(first);
  CHECK(check(folder, head).records == 8);
  CHECK_FALSE(check(folder, head).bad);

  // The newest lines are in a compressed file: the chain goes on behind them, without a word.
  const auto second = folder.path() / "enforcement-20260303T120000Z.jsonl";
  std::filesystem::rename(folder.log(), second);
  compress(second);
  clock.set(at("2026-03-03T12:00:00.000Z"));
  write_some(folder, head, clock, 1);
  CHECK(records(folder.log()).front()["seq"] == 9);
  CHECK(records(folder.log()).front()["reason"].is_null());
  CHECK_FALSE(check(folder, head).bad);

  clock.set(at("2027-04-07T12:00:00.000Z"));  // 401 days after the first, 400 after the second
  write_some(folder, head, clock, 1);
  CHECK_FALSE(std::filesystem::exists(first.string() + ".gz"));
  CHECK(std::filesystem::exists(second.string() + ".gz"));
  const auto result = check(folder, head);
  CHECK_FALSE(result.bad);
  CHECK(result.first_seq == 5);
}

TEST_CASE("log: a running log rotates before the first line of the new day") {
  Folder folder;
  MemoryHead head;
  HandClock clock(at("2026-03-01T23:59:59.000Z"));
  auto log = open_log(folder, head, clock);
  log->append(delivery("old"));
  while (log->head().seq < 2) std::this_thread::yield();
  clock.set(at("2026-03-02T00:00:01.000Z"));
  log->append(delivery("new"));
  log->stop("test");
  CHECK(records(folder.log()).at(0)["id"] == "new");
  CHECK_FALSE(check(folder, head).bad);
}

TEST_CASE("log: two rotations within one second do not overwrite each other") {
  Folder folder;
  MemoryHead head;
  HandClock clock(at("2026-03-01T12:00:00.000Z"));
  write_some(folder, head, clock, 1);
  spit(folder.path() / "enforcement-20260302T000000Z.jsonl", "");
  clock.set(at("2026-03-02T00:00:00.000Z"));
  write_some(folder, head, clock, 1);
  CHECK(std::filesystem::exists(folder.path() / "enforcement-20260302T000000Z-2.jsonl"));
  CHECK_FALSE(check(folder, head).bad);
}

TEST_CASE("log: killed between the two renames of a rotation") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  write_some(folder, head, clock, 1);
  std::filesystem::rename(folder.log(), folder.path() / "enforcement-20260301T120000Z.jsonl");
  spit(folder.log().string() + ".next", "");
  write_some(folder, head, clock, 1);
  CHECK(records(folder.log()).at(0)["seq"] == 4);
  CHECK(records(folder.log()).at(0)["reason"].is_null());
  CHECK_FALSE(check(folder, head).bad);
  CHECK_FALSE(std::filesystem::exists(folder.log().string() + ".next"));
}

TEST_CASE("log: a file moved away is begun anew, and said") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  std::filesystem::rename(folder.log(), folder.path() / "taken");
  while (!std::filesystem::exists(folder.log())) {
    log->append(delivery("x"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  log->stop("test");
  const auto lines = records(folder.log());
  CHECK(lines.at(0)["event"] == "start");
  CHECK(lines.at(0)["reason"].get<std::string>().find("moved") != std::string::npos);
  const std::vector<std::filesystem::path> both{folder.path() / "taken", folder.log()};
  CHECK_FALSE(verify(both, head.get()).bad);
}

TEST_CASE("log: a reservation is released, moved and used up") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  LogOptions options;
  options.path = folder.log();
  options.window = 128 * line_limit;
  auto log = std::move(*EnforcementLog::open(options, head, clock));
  for (int i = 0; i < 1000; ++i) {
    auto one = log->reserve();
    REQUIRE(one.has_value());
    Reservation moved = std::move(*one);
    CHECK(moved.holds());
    if (i % 2 == 0) log->append(delivery("r"), std::move(moved));
    while (i % 100 == 0 && log->head().seq < static_cast<std::uint64_t>(i / 2 + 1)) {
      std::this_thread::yield();
    }
  }
  std::vector<Reservation> held;  // the window grows with the promises
  for (int i = 0; i < 1000; ++i) {
    auto one = log->reserve();
    while (!one) {
      std::this_thread::yield();
      one = log->reserve();
    }
    held.push_back(std::move(*one));
  }
  held.clear();
  log->stop("test");
  CHECK(check(folder, head).records == 502);
}

TEST_CASE("log: many threads append; every line is there once and the chain is whole") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (int i = 0; i < 500; ++i) {
        auto promise = log->reserve();
        log->append(delivery(std::to_string(t * 1000 + i)),
                    promise ? std::move(*promise) : Reservation());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  log->stop("test");
  CHECK(log->dropped() == 0);
  CHECK_FALSE(check(folder, head).bad);
  std::vector<std::string> ids;
  for (const auto& line : records(folder.log())) {
    if (line["event"] == "delivery") ids.push_back(line["id"]);
  }
  CHECK(ids.size() == 2000);
  std::sort(ids.begin(), ids.end());
  CHECK(std::unique(ids.begin(), ids.end()) == ids.end());
}

TEST_CASE("log: after stop nothing is written and nothing breaks") {
  Folder folder;
  MemoryHead head;
  HandClock clock;
  auto log = open_log(folder, head, clock);
  log->stop("once");
  log->append(delivery("late"));
  log->stop("twice");
  CHECK(records(folder.log()).size() == 2);
  CHECK(log->dropped() == 1);
}
