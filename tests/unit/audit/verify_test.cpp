// verify: the first line that is at fault, by file and line, over rotated and compressed files.
#include <catch2/catch.hpp>

#include <algorithm>

#include "audit/verify.h"
#include "tests/unit/audit/support.h"
#include "tlsrpt/gzip.h"

using namespace audit_test;

namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

// A chain of `count` records from number `first` on, the hash before it `prev`.
Lines chain(std::size_t count, std::uint64_t first = 1, std::string prev = "") {
  audit::Sha256 sha;
  Lines lines;
  for (std::uint64_t seq = first; seq < first + count; ++seq) {
    lines.push_back(audit::to_json_line(delivery("t" + std::to_string(seq)), seq, prev,
                                        at("2026-03-01T12:00:00.000Z")));
    prev = sha.hex(lines.back());
  }
  return lines;
}

std::string text_of(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

audit::Head head_of(const Lines& lines) {
  return {audit::parse_link(lines.back())->seq, audit::Sha256().hex(lines.back())};
}

// LINE: why, of the first bad record; "" where there is none.
std::string bad_of(const Lines& lines, const std::optional<audit::Head>& head = std::nullopt) {
  Folder folder;
  spit(folder.log(), text_of(lines));
  const std::vector<fs::path> files{folder.log()};
  const auto result = audit::verify(files, head);
  if (!result.bad) return "";
  CHECK(result.bad->file == folder.log());
  return std::to_string(result.bad->line) + ": " + result.bad->why;
}

bool begins(const std::string& text, const std::string& with) {
  INFO(text << "\nshould begin with\n" << with);
  return text.starts_with(with);
}

Lines without(Lines lines, std::size_t index) {
  lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(index));
  return lines;
}
Lines with(Lines lines, std::size_t index, const std::string& line) {
  lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(index), line);
  return lines;
}
// As a forger writes it who has no way to the lines behind.
std::string forged(std::uint64_t seq, const std::string& prev) {
  return audit::to_json_line(delivery("forged"), seq, prev, at("2026-03-01T12:00:00.000Z"));
}
std::string hash(const std::string& line) { return audit::Sha256().hex(line); }

}  // namespace

TEST_CASE("verify: a whole chain, from its start or from where retention left it") {
  CHECK(bad_of(chain(6)).empty());
  CHECK(bad_of(chain(6), head_of(chain(6))).empty());
  CHECK(bad_of(chain(6), head_of(chain(3))).empty());
  CHECK(bad_of(without(chain(6), 0), head_of(chain(6))).empty());
  CHECK(bad_of({}).empty());
}

TEST_CASE("verify: every change of an octet is found at its own line", "[asan-only]") {
  const Lines whole = chain(4);
  for (std::size_t line = 0; line < whole.size(); ++line) {
    for (std::size_t i = 0; i < whole[line].size(); i += 2) {
      Lines lines = whole;
      lines[line][i] = lines[line][i] == 'x' ? 'y' : 'x';
      CAPTURE(line, i);
      REQUIRE(begins(bad_of(lines, head_of(whole)), std::to_string(line + 1) + ": "));
    }
  }
}

TEST_CASE("verify: numbers and hashes that were altered are found at their own line") {
  const Lines whole = chain(6);
  const auto with_link = [&](std::size_t index, std::uint64_t seq, const std::string& prev) {
    Lines lines = whole;
    lines[index] = audit::to_json_line(delivery("t"), seq, prev, at("2026-03-01T12:00:00.000Z"));
    return lines;
  };
  for (const std::uint64_t seq : {1U, 2U, 3U, 5U, 6U, 900U}) {
    CHECK(begins(bad_of(with_link(3, seq, hash(whole[2]))), "4: "));
  }
  CHECK(begins(bad_of(with_link(3, 4, hash("else"))), "4: record 4 was altered"));
  CHECK(begins(bad_of(with_link(0, 1, hash("else"))), "1: prev is not null in record 1"));
}

TEST_CASE("verify: without a line behind it a change of the last needs the known head") {
  Lines lines = chain(5);
  const audit::Head head = head_of(lines);
  lines[4] = forged(5, hash(lines[3]));
  CHECK(bad_of(lines).empty());
  CHECK(begins(bad_of(lines, head), "5: record 5 is not the line whose hash is known"));
  lines = chain(5);
  lines[3] = forged(4, hash(lines[2]));
  CHECK(begins(bad_of(lines), "5: record 5 or the one before it was altered"));
  CHECK(begins(bad_of(lines, head), "4: record 4 was altered"));
}

TEST_CASE("verify: a line left out") {
  const Lines whole = chain(8);
  CHECK(bad_of(without(whole, 3)) == "4: record 4 is missing");
  CHECK(bad_of(without(without(whole, 3), 3)) == "4: records 4 to 5 are missing");
}

TEST_CASE("verify: a line inserted: a copy, a forged one, and no record at all") {
  const Lines whole = chain(8);
  for (std::size_t at_index = 1; at_index < 8; ++at_index) {
    CAPTURE(at_index);
    const std::string place = std::to_string(at_index + 1) + ": ";
    CHECK(begins(bad_of(with(whole, at_index, whole[at_index - 1])), place));
    CHECK(begins(bad_of(with(whole, at_index, "not a record")), place + "a line was inserted"));
    const std::string fake = forged(at_index + 1, hash(whole[at_index - 1]));
    const std::string why = at_index < 7 ? "a line was inserted: a second record"
                                         : "record 8 is not the line whose hash is known";
    CHECK(begins(bad_of(with(whole, at_index, fake), head_of(whole)), place + why));
  }
  CHECK(begins(bad_of(with(whole, 8, whole[2]), head_of(whole)), "9: "));
}

TEST_CASE("verify: lines out of order") {
  Lines lines = chain(8);
  std::swap(lines[2], lines[3]);
  CHECK(bad_of(lines) == "3: out of order: record 3 stands in line 4");
  lines = chain(8);
  std::rotate(lines.begin() + 2, lines.begin() + 3, lines.begin() + 7);  // The third goes to seven.
  CHECK(bad_of(lines) == "3: out of order: record 3 stands in line 7");
}

TEST_CASE("verify: a cut-off end is found by the known head alone") {
  const Lines whole = chain(6);
  const Lines cut(whole.begin(), whole.begin() + 4);
  CHECK(bad_of(cut).empty());
  CHECK(bad_of(cut, head_of(whole)) == "5: records 5 to 6 are missing at the end");
  CHECK(bad_of({}, head_of(whole)) == "1: records 1 to 6 are missing at the end");
}

TEST_CASE("verify: a chain written anew from the known head on does not fit it") {
  const Lines whole = chain(6);
  CHECK(bad_of(chain(3, 7, head_of(whole).hash), head_of(whole)).empty());
  CHECK(begins(bad_of(chain(3, 7, hash("else")), head_of(whole)),
               "1: prev is not the hash that is known of record 6"));
  Folder folder;
  spit(folder.log(), text_of(chain(3, 9, hash("else"))));
  const std::vector<fs::path> files{folder.log()};
  const auto result = audit::verify(files, head_of(whole));
  CHECK_FALSE(result.bad);
  CHECK(result.head_is_older);
}

TEST_CASE("verify: a last line without an end is told, not judged; elsewhere it is a fault") {
  Folder folder;
  const Lines whole = chain(4);
  const std::string text = text_of(whole);
  spit(folder.log(), text.substr(0, text.size() - 30));
  const auto torn = audit::verify(*audit::LogFiles::of(folder.log()));
  CHECK_FALSE(torn.bad);
  REQUIRE(torn.torn);
  CHECK(torn.torn->line == 4);
  CHECK(torn.records == 3);
  spit(folder.path() / "enforcement-20260101T000000Z.jsonl", text.substr(0, text.size() - 30));
  spit(folder.log(), text_of(chain(2, 5, head_of(whole).hash)));
  const auto between = audit::verify(*audit::LogFiles::of(folder.log()));
  REQUIRE(between.bad);
  CHECK(between.bad->file.filename() == "enforcement-20260101T000000Z.jsonl");
  CHECK(between.bad->line == 4);
}

TEST_CASE("verify: over rotated files, plain and compressed, with the place of a change in them") {
  Folder folder;
  const Lines whole = chain(9);
  const auto part = [&](std::size_t from, std::size_t to) {
    return Lines(whole.begin() + static_cast<std::ptrdiff_t>(from),
                 whole.begin() + static_cast<std::ptrdiff_t>(to));
  };
  const fs::path first = folder.path() / "enforcement-20260101T000000Z.jsonl.gz";
  const fs::path second = folder.path() / "enforcement-20260102T000000Z.jsonl";
  spit(first, tlsrpt::gzip(text_of(part(0, 3))));
  spit(second, text_of(part(3, 6)));
  spit(folder.log(), text_of(part(6, 9)));
  const auto result = audit::verify(*audit::LogFiles::of(folder.log()), head_of(whole));
  CHECK_FALSE(result.bad);
  CHECK(result.records == 9);
  CHECK(result.files == 3);
  CHECK(result.first_seq == 1);

  Lines changed = part(0, 3);
  changed[2] = forged(3, hash(changed[1]));  // Found out by the first line of the next file.
  spit(first, tlsrpt::gzip(text_of(changed)));
  const auto altered = audit::verify(*audit::LogFiles::of(folder.log()), head_of(whole));
  REQUIRE(altered.bad);
  CHECK(altered.bad->str().starts_with(first.string() + ":3: record 3 was altered"));

  fs::remove(second);
  spit(first, tlsrpt::gzip(text_of(part(0, 3))));
  const auto gone = audit::verify(*audit::LogFiles::of(folder.log()), head_of(whole));
  REQUIRE(gone.bad);
  CHECK(gone.bad->str() == folder.log().string() + ":1: records 4 to 6 are missing");
}

TEST_CASE("verify: a damaged compressed file is said to be unreadable, with what was found") {
  Folder folder;
  const std::string octets = tlsrpt::gzip(text_of(chain(300)));
  const fs::path file = folder.path() / "enforcement-20260101T000000Z.jsonl.gz";
  spit(file, octets.substr(0, octets.size() / 2));
  spit(folder.log(), "");
  const auto result = audit::verify(*audit::LogFiles::of(folder.log()));
  CHECK_FALSE(result.bad);
  REQUIRE(result.unreadable);
  CHECK(result.unreadable->find("gzip: cut short") != std::string::npos);
}

TEST_CASE("log files: opened before a rotation, whole after it; compressed or deleted meanwhile") {
  Folder folder;
  const Lines whole = chain(6);
  const fs::path old = folder.path() / "enforcement-20260101T000000Z.jsonl";
  spit(old, text_of({whole[0], whole[1]}));
  spit(folder.log(), text_of({whole[2], whole[3]}));
  auto files = *audit::LogFiles::of(folder.log());
  fs::rename(folder.log(), folder.path() / "enforcement-20260102T000000Z.jsonl");
  spit(folder.log(), text_of({whole[4], whole[5]}));
  spit(old.string() + ".gz", tlsrpt::gzip(slurp(old)));
  fs::remove(old);
  const audit::Head then = head_of({whole[3]});
  const auto result = audit::verify(std::move(files), then);
  CHECK_FALSE(result.bad);
  CHECK(result.records == 4);

  auto again = *audit::LogFiles::of(folder.log());
  fs::remove(old.string() + ".gz");  // As retention does.
  const auto rest = audit::verify(std::move(again), head_of(whole));
  CHECK_FALSE(rest.bad);
  CHECK(rest.first_seq == 3);
  CHECK(audit::LogFiles::of(folder.path() / "other.jsonl").has_error());
}
