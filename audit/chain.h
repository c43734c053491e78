// The head of the chain, where it is kept besides the log file, and how a file's own end is found
// again after a restart or a kill: `recover` compares the two and says in words what does not fit.
// Called by log.cpp at its start; rotated files are listed here for verify, too.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace audit {

// The last line of the chain: its number and the hash of its bytes, in hex. seq 0: no line yet.
struct Head {
  std::uint64_t seq = 0;
  std::string hash;
  bool operator==(const Head&) const = default;
};

// The last record that retention removed, seq 0 where it was none, and of which log.
struct Removed {
  Head last;
  std::filesystem::path log;
};

// Where the head is kept beside the file (the store). Called from the writer's thread, and before
// it starts from the one that opens the log.
class ChainHead {
 public:
  virtual ~ChainHead() = default;
  // nullopt: none was ever saved.
  virtual base::Result<std::optional<Head>, base::Error> load() = 0;
  virtual base::Result<void, base::Error> save(const Head& head) = 0;
  // nullopt: none was ever saved. Kept by retention.cpp; a store without it leaves both as they
  // are.
  virtual base::Result<std::optional<Removed>, base::Error> load_removed() {
    return std::optional<Removed>();
  }
  // Returns when it is on disk.
  virtual base::Result<void, base::Error> save_removed(const Removed& removed) {
    (void)removed;
    return {};
  }
};

// What a file ends with.
struct Tail {
  std::optional<Head> head;   // of its last whole line
  std::uint64_t whole = 0;    // octets up to the end of the last whole line
  std::uint64_t size = 0;     // of the file; more than `whole`: the last line is torn
  std::size_t unreadable = 0; // whole lines at the end that are no records
  std::string time;           // of the last record, as it stands there; empty: there is none
  // The hash of the line whose number was asked for, where the file holds it.
  std::optional<std::string> hash_of_known;
  // Only a newline is missing from the last line, which is the record that belongs there.
  bool lacks_newline = false;
};

// Reads the end of a file, as far back as the last record and, if the file reaches it, the line
// numbered `known_seq` (0: none). An empty file has no head.
base::Result<Tail, base::Error> read_tail(int fd, std::uint64_t known_seq);

// read_tail() of a file that an operator compressed; all of it has to be read.
base::Result<Tail, base::Error> read_compressed_tail(const std::filesystem::path& file,
                                                     std::uint64_t known_seq);
bool is_compressed(const std::filesystem::path& file);  // by its name, "….gz"

// What a rotated file ends with, compressed or not; nullopt where it cannot be read.
std::optional<Tail> read_end(const std::filesystem::path& file);

// The first record of a file, compressed or not; nullopt where it has none.
struct FirstLine {
  std::uint64_t seq = 0;
  std::string prev;  // empty: null
  std::string time;
};
std::optional<FirstLine> read_first_line(const std::filesystem::path& file);

// The words of a `start` record where the daemon comes from another log, whose path follows them.
std::string was_another_log(std::uint64_t last);

// The number of the file's last record; 0 where the file is not there or has none.
base::Result<std::uint64_t, base::Error> read_last_number(const std::filesystem::path& file);

// "20260101T000000Z"
std::string file_stamp(base::WallTime time);
// "…/enforcement.jsonl" rotated at "20260101T000000Z": "…/enforcement-20260101T000000Z.jsonl";
// `number` over 1 sets one apart that was rotated within the same second.
std::filesystem::path rotated_name(const std::filesystem::path& current, const std::string& stamp,
                                   unsigned number);
struct RotatedFile {
  std::filesystem::path path;
  std::string stamp;  // "20260101T000000Z"
};
// The rotated files of `current` in the order of the chain (by their first record's number), also
// those that an operator compressed: "….jsonl.gz", where there is none without the ".gz".
std::vector<RotatedFile> rotated_files(const std::filesystem::path& current);
// Those and `current` itself where it is there: what verify wants.
std::vector<std::filesystem::path> chain_files(const std::filesystem::path& current);

}  // namespace audit
