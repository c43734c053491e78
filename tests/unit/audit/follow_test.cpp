// Follower: each line of the log once and in order, however the file comes to its end: written in
// pieces, rotated, moved away, cut, with lines missing or with what is no line of ours in it.
#include "audit/follow.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "tests/unit/audit/support.h"
#include "tlsrpt/gzip.h"

using namespace audit;
using audit_test::at;
using audit_test::delivery;
using audit_test::Folder;
using audit_test::slurp;
using audit_test::spit;

namespace {

const std::string hash(64, 'a');

std::string line(std::uint64_t seq, const std::string& id = "0ABC") {
  return to_json_line(delivery(id), seq, hash, at("2026-03-01T00:00:00.000Z")) + "\n";
}
std::string lines(std::uint64_t from, std::uint64_t to) {
  std::string text;
  for (; from <= to; ++from) text += line(from);
  return text;
}
void add(const std::filesystem::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary | std::ios::app) << text;
}
std::filesystem::path rotated(const Folder& folder, int day) {
  return rotated_name(folder.log(), "2026030" + std::to_string(day) + "T000000Z", 1);
}

// Up to the end for now; each line's text must be the one of its number.
std::vector<std::uint64_t> rest(Follower& follower) {
  std::vector<std::uint64_t> numbers;
  for (;;) {
    auto some = follower.next();
    if (!some) FAIL(some.error().text);
    if (some->empty()) return numbers;
    for (const Follower::Line& one : *some) {
      numbers.push_back(one.seq);
      if (std::string(one.text) + "\n" != line(one.seq)) FAIL("line " << one.seq << one.text);
    }
    CHECK(follower.after() == some->back().seq);
  }
}
std::vector<std::uint64_t> range(std::uint64_t from, std::uint64_t to) {
  std::vector<std::uint64_t> numbers;
  for (; from <= to; ++from) numbers.push_back(from);
  return numbers;
}
using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("follow: the number of a line is the one behind its own key") {
  const auto good = [](const std::string& text, std::uint64_t want) {
    INFO(text);
    CHECK(line_number(text) == want);
  };
  Record tricky;
  for (const char* const text : {",\"seq\":9", "x,", "\\", ",\\\"seq\\\":9", "\"", ",\"seq\":"}) {
    tricky.id = text;
    tricky.queue_id = text;
    tricky.helo = text;
    tricky.reply = text;
    good(to_json_line(tricky, 1234567, hash, {}), 1234567);
  }
  good(to_json_line(tricky, ~std::uint64_t{0}, "", {}), ~std::uint64_t{0});
  good(R"({"time":"","seq":7})", 7);
  const auto bad = [](const std::string& text) {
    INFO(text);
    CHECK(line_number(text) == 0);
  };
  bad("");
  bad("{\"seq\":7}");                      // ours has a time before it
  bad("{\"time\":\"\",\"seq\":");          // cut short
  bad("{\"time\":\"\",\"seq\":\"7\"}");    // a text
  bad("{\"time\":\"\",\"seq\":-7}");       // below none
  bad("{\"time\":\"\",\"seq\":18446744073709551616}");  // larger than any
  bad("{\"id\":\",\\\"seq\\\":7\"}");      // within a text
}

TEST_CASE("follow: lines come as they are written, and none before its end is there") {
  const Folder folder;
  Follower follower(folder.log(), 0);
  CHECK(rest(follower).empty());  // not there yet
  spit(folder.log(), "");
  CHECK(rest(follower).empty());
  add(folder.log(), lines(1, 3));
  CHECK(rest(follower) == range(1, 3));
  const std::string next = line(4);
  for (const char octet : next.substr(0, next.size() - 1)) {
    add(folder.log(), std::string(1, octet));
    if (octet == ',') CHECK(rest(follower).empty());
  }
  CHECK(rest(follower).empty());
  add(folder.log(), "\n" + lines(5, 6));
  CHECK(rest(follower) == range(4, 6));
}

TEST_CASE("follow: begins behind the line named, wherever that is in a long file",
          "[asan-only]") {
  const Folder folder;
  std::string text;
  for (std::uint64_t seq = 1; seq <= 3000; ++seq) {
    text += line(seq);
    if (seq % 700 == 0) text += "what another program wrote\n\n";
  }
  REQUIRE(text.size() > 1000000);
  spit(folder.log(), text);
  for (const std::uint64_t after : {0, 1, 2, 57, 699, 700, 701, 1499, 1500, 2998, 2999, 3000}) {
    CAPTURE(after);
    Follower follower(folder.log(), after);
    CHECK(rest(follower) == range(after + 1, 3000));
  }
  Follower beyond(folder.log(), 4000);
  CHECK(rest(beyond).empty());
}

TEST_CASE("follow: goes on in the next file when the log is rotated") {
  const Folder folder;
  spit(folder.log(), lines(1, 5));
  Follower follower(folder.log(), 2);
  CHECK(rest(follower) == range(3, 5));
  add(folder.log(), lines(6, 7));  // written before the rotation, not read yet
  std::filesystem::rename(folder.log(), rotated(folder, 1));
  CHECK(rest(follower) == range(6, 7));  // and no new file yet
  spit(folder.log(), "");
  CHECK(rest(follower).empty());
  add(folder.log(), lines(8, 9));
  CHECK(rest(follower) == range(8, 9));
  // Twice before it is looked at again.
  std::filesystem::rename(folder.log(), rotated(folder, 2));
  spit(rotated(folder, 3), lines(10, 12));
  spit(folder.log(), lines(13, 13));
  CHECK(rest(follower) == range(10, 13));
}

TEST_CASE("follow: a file that was moved away is read while its writer still writes to it") {
  const Folder folder;
  spit(folder.log(), lines(1, 2));
  Follower follower(folder.log(), 0);
  CHECK(rest(follower) == range(1, 2));
  const auto aside = folder.log().parent_path() / "saved.log";
  std::filesystem::rename(folder.log(), aside);
  CHECK(rest(follower).empty());
  add(aside, lines(3, 4));       // the writer has not noticed yet
  CHECK(rest(follower) == range(3, 4));
  add(aside, lines(5, 6));
  spit(folder.log(), lines(7, 8));  // now it has
  CHECK(rest(follower) == range(5, 8));
}

TEST_CASE("follow: begins in the rotated file that holds the line") {
  const Folder folder;
  spit(rotated(folder, 1), lines(1, 5));
  spit(rotated(folder, 2), lines(6, 10));
  spit(folder.log(), lines(11, 15));
  for (std::uint64_t after = 0; after <= 15; ++after) {
    CAPTURE(after);
    Follower follower(folder.log(), after);
    CHECK(rest(follower) == range(after + 1, 15));
  }
}

TEST_CASE("follow: where lines are missing it goes on behind them") {
  const Folder folder;
  spit(rotated(folder, 1), lines(1, 5));
  spit(rotated(folder, 2), lines(8, 9) + lines(12, 13));
  spit(folder.log(), lines(20, 22));
  for (const std::uint64_t after : {3, 5, 6, 9, 10, 13, 17}) {
    CAPTURE(after);
    Follower follower(folder.log(), after);
    Numbers want;
    for (const std::uint64_t seq : {4, 5, 8, 9, 12, 13, 20, 21, 22}) {
      if (seq > after) want.push_back(seq);
    }
    CHECK(rest(follower) == want);
    CHECK(rest(follower).empty());
  }
  // The older files are past their retention.
  std::filesystem::remove(rotated(folder, 1));
  std::filesystem::remove(rotated(folder, 2));
  Follower late(folder.log(), 3);
  CHECK(rest(late) == range(20, 22));
}

TEST_CASE("follow: files that an operator compressed are read like others") {
  const Folder folder;
  const auto compress = [](const std::filesystem::path& file) {
    spit(file.string() + ".gz", tlsrpt::gzip(slurp(file)));
    std::filesystem::remove(file);
  };
  spit(rotated(folder, 1), lines(1, 1500));  // more than is returned at once
  spit(rotated(folder, 2), lines(1501, 1510));
  spit(rotated(folder, 3), lines(1515, 1520));
  for (int day = 1; day <= 3; ++day) compress(rotated(folder, day));
  Numbers all = range(1, 1510);
  for (const std::uint64_t seq : range(1515, 1520)) all.push_back(seq);
  Follower follower(folder.log(), 0);
  CHECK(rest(follower) == all);
  CHECK(rest(follower).empty());
  spit(folder.log(), "");
  CHECK(rest(follower).empty());
  add(folder.log(), lines(1521, 1523));
  CHECK(rest(follower) == range(1521, 1523));
  // While it is being read, and behind some of its lines.
  Follower second(folder.log(), 1521);
  CHECK(rest(second) == range(1522, 1523));
  std::filesystem::rename(folder.log(), rotated(folder, 4));
  compress(rotated(folder, 4));
  spit(folder.log(), lines(1524, 1525));
  CHECK(rest(second) == range(1524, 1525));
  Follower late(folder.log(), 1522);
  CHECK(rest(late) == range(1523, 1525));
}

TEST_CASE("follow: of a damaged compressed file what can be read, then the next file") {
  const Folder folder;
  const std::string octets = tlsrpt::gzip(lines(1, 2000));
  for (const std::size_t size : {octets.size() - 1, octets.size() / 2, std::size_t{20},
                                 std::size_t{1}, std::size_t{0}}) {
    CAPTURE(size);
    spit(rotated(folder, 1).string() + ".gz", octets.substr(0, size));
    spit(folder.log(), lines(2001, 2003));
    Follower follower(folder.log(), 0);
    const Numbers found = rest(follower);
    REQUIRE(found.size() >= 3);
    CHECK(Numbers(found.end() - 3, found.end()) == range(2001, 2003));
    CHECK(Numbers(found.begin(), found.end() - 3) == range(1, found.size() - 3));
    CHECK((size < 100 || found.size() > 500));
  }
}

TEST_CASE("follow: a file that was moved away is read to its end, then the new one") {
  const Folder folder;
  spit(folder.log(), lines(1, 3));
  Follower follower(folder.log(), 0);
  CHECK(rest(follower) == range(1, 3));
  add(folder.log(), lines(4, 5));
  std::filesystem::rename(folder.log(), folder.path() / "moved");
  spit(folder.log(), lines(6, 7));
  CHECK(rest(follower) == range(4, 7));
}

TEST_CASE("follow: what is no line of ours is passed over, whatever its length") {
  const Folder folder;
  const std::string huge(700000, 'x');
  for (const std::string& foreign :
       {std::string("x"), huge, std::string(5000, '\0'), std::string(4096, 'y'),
        huge.substr(0, 256 * 1024), huge.substr(0, 256 * 1024 - 1)}) {
    CAPTURE(foreign.size());
    spit(folder.log(), lines(1, 2) + foreign + "\n" + lines(3, 4));
    Follower follower(folder.log(), 0);
    CHECK(rest(follower) == range(1, 4));
    Follower second(folder.log(), 3);
    CHECK(rest(second) == Numbers{4});
    // Its end comes later than its start.
    add(folder.log(), foreign);
    CHECK(rest(follower).empty());
    add(folder.log(), "\n" + line(5));
    CHECK(rest(follower) == Numbers{5});
  }
}

TEST_CASE("follow: a file that begins with what is no line of ours counts all the same") {
  const Folder folder;
  spit(rotated(folder, 1), lines(1, 5));
  for (const std::size_t size : {1, 9000, 200000}) {
    CAPTURE(size);
    spit(folder.log(), std::string(size, 'x') + "\n" + lines(6, 8));
    Follower follower(folder.log(), 5);
    CHECK(rest(follower) == range(6, 8));
    Follower earlier(folder.log(), 2);
    CHECK(rest(earlier) == range(3, 8));
  }
}

TEST_CASE("follow: the rest of a write that failed is not taken for the start of the next line") {
  const Folder folder;
  spit(folder.log(), lines(1, 2) + line(3, "0FIRST").substr(0, 150));
  Follower follower(folder.log(), 0);
  CHECK(rest(follower) == range(1, 2));
  // As the log does it: cut, then written again, other octets this time.
  REQUIRE(::truncate(folder.log().c_str(), static_cast<off_t>(lines(1, 2).size())) == 0);
  add(folder.log(), lines(3, 5));
  CHECK(rest(follower) == range(3, 5));
  // Seen while it is shorter than before.
  add(folder.log(), line(6, "0FIRST").substr(0, 150));
  CHECK(rest(follower).empty());
  REQUIRE(::truncate(folder.log().c_str(), static_cast<off_t>(lines(1, 5).size())) == 0);
  CHECK(rest(follower).empty());
  add(folder.log(), lines(6, 6));
  CHECK(rest(follower) == Numbers{6});
}

TEST_CASE("follow: whole lines that are cut off and written again come once") {
  const Folder folder;
  spit(folder.log(), lines(1, 6));
  Follower follower(folder.log(), 0);
  CHECK(rest(follower) == range(1, 6));
  REQUIRE(::truncate(folder.log().c_str(), static_cast<off_t>(lines(1, 3).size())) == 0);
  CHECK(rest(follower).empty());
  add(folder.log(), lines(4, 8));
  CHECK(rest(follower) == range(7, 8));
}

TEST_CASE("follow: the last record's number, of a file that is there or not") {
  const Folder folder;
  CHECK(*read_last_number(folder.log()) == 0);
  spit(folder.log(), "");
  CHECK(*read_last_number(folder.log()) == 0);
  spit(folder.log(), lines(1, 900) + line(901).substr(0, 100));
  CHECK(*read_last_number(folder.log()) == 900);
  std::filesystem::create_directory(folder.path() / "d");
  CHECK_FALSE(read_last_number(folder.path() / "d").has_value());
}

TEST_CASE("follow: the log as it is written, over rotations, with a new follower at any time") {
  const Folder folder;
  audit_test::MemoryHead head;
  audit_test::HandClock clock;
  audit::LogOptions options;
  options.path = folder.log();
  options.rotate = std::chrono::seconds(3600);
  auto opened = EnforcementLog::open(std::move(options), head, clock);
  REQUIRE(opened.has_value());
  std::mt19937 random(7);
  auto follower = std::make_unique<Follower>(folder.log(), 0);
  std::vector<std::string> ids;
  int appended = 0;
  const auto read = [&] {
    for (;;) {
      auto some = follower->next();
      REQUIRE(some.has_value());
      if (some->empty()) return;
      for (const Follower::Line& one : *some) {
        const auto json = nlohmann::json::parse(one.text);
        if (json["event"] == "delivery") ids.push_back(json["id"]);
      }
    }
  };
  for (int round = 0; round < 60; ++round) {
    for (auto n = random() % 50; n > 0; --n) {
      (*opened)->append(delivery(std::to_string(appended++)));
    }
    if (random() % 4 == 0) clock.set(clock.wall() + std::chrono::minutes(45));
    if (random() % 3 == 0) {
      read();
      if (random() % 2 == 0) {
        follower = std::make_unique<Follower>(folder.log(), follower->after());
      }
    }
  }
  (*opened)->stop("end");
  read();
  read();
  REQUIRE(ids.size() == static_cast<std::size_t>(appended));
  for (int i = 0; i < appended; ++i) CHECK(ids[static_cast<std::size_t>(i)] == std::to_string(i));
  CHECK(chain_files(folder.log()).size() > 1);
}
