// LineReader: one file of the enforcement log from its start, line by line, plain or compressed by
// gzip (told by its first octets, not its name). Memory is bounded whatever the file holds: a line
// over `line_room` comes cut and marked, and a file that expands like no log is an error. Blocking.
// Called by audit/verify, audit/query's command, and the log's writer at start.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace audit {

struct LineLimits {
  std::size_t line_room = 65536;                      // ours have 4096 at most
  std::uint64_t expanded = std::uint64_t{64} << 30;   // octets that come out of one gzip file
  std::uint64_t ratio = 200;                          // of output to input, once 64 MiB came out
};

class LineReader {
 public:
  static base::Result<LineReader, base::Error> open(const std::filesystem::path& path,
                                                    const LineLimits& limits = {});
  // Takes over `fd`. `name`: for the words of errors.
  static base::Result<LineReader, base::Error> take(int fd, std::string name,
                                                    const LineLimits& limits = {});
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  struct Line {
    std::string_view text;     // without its newline; until the next call
    std::uint64_t number = 0;  // from 1
    bool ended = false;        // false: the file ends here without a newline
    bool cut = false;          // longer than line_room: only its start is here
  };
  // False: there are no more. An error: the file cannot be read, or is damaged.
  base::Result<bool, base::Error> next(Line& line);

 private:
  class Source;
  LineReader(std::unique_ptr<Source> source, const LineLimits& limits);
  base::Result<bool, base::Error> refill();

  std::unique_ptr<Source> source_;
  LineLimits limits_;
  std::string buffer_;
  std::size_t taken_ = 0;
  std::uint64_t number_ = 0;
  std::string cut_;  // the start of a line that was too long
  bool at_end_ = false;
};

}  // namespace audit
