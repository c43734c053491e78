// LogFiles: the files of one enforcement log, oldest first, as they were at one moment: the one
// that is written is opened before the others are listed, so that a rotation meanwhile hides no
// line. Knows compressed ones (`.jsonl.gz`), and that a file may be compressed or deleted before
// its turn comes. Called by audit/verify and `audit query`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "audit/lines.h"
#include "base/result.h"

namespace audit {

class LogFiles {
 public:
  // The log `current` with what was rotated from it; an error: there is none, or it cannot be read.
  static base::Result<LogFiles, base::Error> of(const std::filesystem::path& current);
  // These files as they are, in this order.
  static LogFiles named(std::vector<std::filesystem::path> files);
  // These files in the order of the chain: by the number of each one's first record. Where a pipe
  // is among them, as they are given.
  static LogFiles sorted(std::vector<std::filesystem::path> files);
  LogFiles(LogFiles&& other) noexcept;
  LogFiles& operator=(LogFiles&& other) noexcept;
  ~LogFiles();

  std::size_t size() const { return files_.size(); }
  const std::filesystem::path& path(std::size_t index) const { return files_[index]; }
  // Once for each file. nullopt: it was deleted since they were listed.
  base::Result<std::optional<LineReader>, base::Error> open(std::size_t index);

 private:
  LogFiles() = default;
  std::vector<std::filesystem::path> files_;
  int current_ = -1;  // descriptor of the last one; -1: none, or given away
  bool listed_ = false;
};

}  // namespace audit
