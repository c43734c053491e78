// verify: reads the files of an enforcement log in the order of the chain and finds the first line
// that was altered, inserted, left out or moved. A hash tells of a change only at the line behind
// it: which of the two it is, the lines that follow tell. The oldest file may begin anywhere,
// because retention deletes: compare_beginning() says whether it did. Reads only. Called by tests
// and by `audit verify`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/chain.h"
#include "audit/hash.h"
#include "audit/log_files.h"
#include "audit/record.h"

namespace audit {

struct BadRecord {
  std::filesystem::path file;
  std::uint64_t line = 0;  // from 1
  std::string why;
  std::string str() const;  // FILE:LINE: why
};

struct Verification {
  std::uint64_t records = 0;
  std::uint64_t first_seq = 0;  // 0: no record at all
  std::string first_prev;       // its hash of the one before it; empty: null
  std::filesystem::path first_file;
  std::string first_time;       // RFC 3339, as it stands in the record
  std::string last_time;
  std::size_t files = 0;        // that were read
  std::optional<BadRecord> bad; // the first one
  Head head;                    // of the last good record
  // The last file's last line has no newline: it is being written, or a kill tore it. Not judged.
  std::optional<BadRecord> torn;
  // `bad` is that the chain ends before the known head.
  bool ends_early = false;
  // What is wrong with where the chain begins; it may be whole from there on.
  std::optional<BadRecord> beginning;
  // Where the log was another file for a while (log.enforcement was changed, and changed back), by
  // the word of the `start` record behind: those records are there, and were not read.
  std::vector<BadRecord> elsewhere;
  // The known head is older than all that is here, so that it says nothing about it.
  bool head_is_older = false;
  // A file could not be read: what was found holds for those before it.
  std::optional<std::string> unreadable;
};

// `known`: the head that the store, the daemon or the operator knows; the chain must reach it and
// hold that very line (a cut-off end is found by this alone).
Verification verify(LogFiles files, const std::optional<Head>& known = std::nullopt);
Verification verify(std::span<const std::filesystem::path> files,
                    const std::optional<Head>& known = std::nullopt);

// Whether the chain begins behind `removed`, the last record that retention removed (seq 0: none).
// To be asked for after the reading, since retention may go on meanwhile: it is told before it
// deletes. With no record left, tells an end that retention reached from one that was cut off.
void compare_beginning(Verification& result, const Head& removed,
                       const std::optional<Head>& known);

// A line as the chain sees it.
struct ChainLine {
  std::filesystem::path file;
  std::uint64_t number = 0;
  std::optional<Link> link;  // nullopt: no record
  std::string hash;
};
// `before` was fine, `line` does not fit behind it: which of the two is at fault, and why.
// `following`: the lines behind, as many as there are up to `lines_looked_at`. Pure.
inline constexpr std::size_t lines_looked_at = 64;
BadRecord diagnose(const ChainLine& before, const ChainLine& line,
                   std::span<const ChainLine> following, const std::optional<Head>& known);

}  // namespace audit
