// LogFile: the enforcement log's open file: locked against a second writer, written in whole
// batches or not at all, with space allocated ahead of its end so that what was promised can be
// written on a full disk. Knows nothing of lines or the chain. Used by the log's writer alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace audit {

class LogFile {
 public:
  // Opens or creates (mode 0640) and takes the lock; fails where another process has it.
  static base::Result<LogFile, base::Error> open(const std::filesystem::path& path);
  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&& other) noexcept;
  ~LogFile();

  int fd() const { return fd_; }
  // Octets written, and those behind them that the disk holds for us.
  std::uint64_t end() const { return end_; }
  std::uint64_t window() const { return held_ > end_ ? held_ - end_ : 0; }

  // Tries to make the window `wanted` octets; less where the disk has no more. Fails only when not
  // even a part of it could be had.
  base::Result<void, base::Error> extend(std::uint64_t wanted);
  // All of `bytes` with one write(2), or nothing: what a failed write left is cut off again, now
  // or before the next one. After a failure the window is empty.
  base::Result<void, base::Error> append(std::string_view bytes);
  // Cuts the file at `end`; gives the space held behind it back.
  base::Result<void, base::Error> cut(std::uint64_t end);
  // Whether `path` still names this file and nobody else changed its size.
  bool is_at(const std::filesystem::path& path) const;
  void sync();
  void unlock();  // before the same file is opened anew

 private:
  explicit LogFile(int fd) : fd_(fd) {}
  void close();

  int fd_ = -1;
  std::uint64_t end_ = 0;
  std::uint64_t held_ = 0;     // the disk holds [end_, held_) for us
  bool ragged_ = false;        // a failed write left octets behind end_ that could not be cut
  bool preallocates_ = true;   // false: the file system cannot; free space is looked at instead
};

}  // namespace audit
