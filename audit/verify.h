// verify: reads the files of an enforcement log in the order of the chain and finds the first line
// that does not fit: not a record, a number left out or repeated, or a `prev` that is not the hash
// of the line before. The oldest file may begin anywhere, because retention deletes. Reads only.
// Called by tests and by `audit verify`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "audit/chain.h"
#include "audit/hash.h"

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
  std::optional<BadRecord> bad; // the first one
  Head head;                    // of the last good record
};

// One line after the other, without any I/O.
class ChainCheck {
 public:
  // `line` without its newline; why it does not fit, or nullopt.
  std::optional<std::string> next(std::string_view line);
  std::uint64_t records() const { return records_; }
  std::uint64_t first_seq() const { return first_seq_; }
  const Head& head() const { return head_; }

 private:
  Sha256 sha_;
  Head head_;
  std::uint64_t records_ = 0;
  std::uint64_t first_seq_ = 0;
};

// `files` oldest first, as chain_files() gives them. `stored`: the head that the store knows; the
// chain must reach it and hold that very line (a cut-off end is found by this alone).
Verification verify(std::span<const std::filesystem::path> files,
                    const std::optional<Head>& stored = std::nullopt);

}  // namespace audit
