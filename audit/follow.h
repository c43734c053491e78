// Follower: reads the enforcement log line by line behind a given number, over rotations, while it
// is being written, also out of files that an operator compressed. Only whole lines; each once; a
// warning where lines are not there any more. Judges nothing: the chain is verify.h's. Blocking;
// for one thread. Called by report/counter.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/lines.h"
#include "base/result.h"

namespace audit {

class Follower {
 public:
  // `after`: number of the last line that is not wanted any more; 0: from the oldest on.
  Follower(std::filesystem::path log, std::uint64_t after);
  ~Follower();
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  struct Line {
    std::uint64_t seq = 0;
    std::string_view text;  // without its newline; until the next call
  };
  // The next lines, some hundred KiB at most, in their order; none: this is all there is for now.
  // Lines without a number are passed over. An error where the file cannot be read.
  base::Result<std::vector<Line>, base::Error> next();
  // Of the last line that next() returned, or the constructor's `after`.
  std::uint64_t after() const { return after_; }

 private:
  struct Choice {
    std::filesystem::path file;
    std::uint64_t first = 0;  // number of its first line
  };
  Choice choose(std::uint64_t ended) const;
  base::Result<bool, base::Error> open(std::uint64_t ended);
  base::Result<bool, base::Error> open(const Choice& choice);
  base::Result<std::uint64_t, base::Error> start_of(int fd, std::uint64_t size) const;
  base::Result<std::size_t, base::Error> fill();
  void take_lines(std::vector<Line>& lines);
  void take_expanded(std::vector<Line>& lines);
  bool is_next(std::uint64_t seq);
  bool is_current() const;
  bool is_rotated() const;
  bool is_at(const std::filesystem::path& path) const;
  bool is_cut() const;
  void close();

  std::filesystem::path log_;
  std::uint64_t after_;
  int fd_ = -1;
  std::uint64_t first_ = 0;   // number of the file's first line
  std::uint64_t offset_ = 0;  // in the file, of the end of `buffer_`
  std::string buffer_;
  std::size_t taken_ = 0;     // of buffer_, by lines that were returned
  unsigned waited_ = 0;       // calls in which a file that was moved had no more
  bool discarding_ = false;   // inside a line that is longer than the buffer
  std::optional<LineReader> expanded_;  // in place of fd_: a compressed file, which is whole
  bool spoilt_ = false;                 // it is damaged: no more can be read of it
  std::uint64_t drained_ = 0;  // number of the first line of the last one read to its end
  std::chrono::steady_clock::time_point warning_due_{};
};

// The number of a line of the log; 0 where it is none of ours.
std::uint64_t line_number(std::string_view line);

}  // namespace audit
