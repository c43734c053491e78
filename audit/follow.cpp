#include "audit/follow.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "audit/chain.h"
#include "audit/record.h"

namespace audit {
namespace {

constexpr std::size_t piece = 256 * 1024;
constexpr std::uint64_t search_until = 64 * 1024;  // octets that are read rather than searched

base::Error system_error(const std::string& what) { return {what + ": " + std::strerror(errno)}; }

base::Result<std::size_t, base::Error> read_at(int fd, char* to, std::size_t size,
                                               std::uint64_t from) {
  for (;;) {
    const ssize_t got = ::pread(fd, to, size, static_cast<off_t>(from));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return base::fail(system_error("read"));
  }
}

}  // namespace

// `,"seq":` stands in no string: a quotation mark inside one has a backslash before it.
std::uint64_t line_number(std::string_view line) {
  static constexpr std::string_view key = ",\"seq\":";
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return 0;
  std::uint64_t number = 0;
  const char* const from = line.data() + at + key.size();
  const auto read = std::from_chars(from, line.data() + line.size(), number);
  return read.ec == std::errc() ? number : 0;
}

Follower::Follower(std::filesystem::path log, std::uint64_t after)
    : log_(std::move(log)), after_(after) {}

Follower::~Follower() { close(); }

void Follower::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  buffer_.clear();
  taken_ = 0;
  discarding_ = false;
}

// Whether the open file is the one that is being written.
bool Follower::is_current() const {
  struct stat open {};
  struct stat named {};
  if (::fstat(fd_, &open) != 0 || ::stat(log_.c_str(), &named) != 0) return false;
  return open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

// Where to begin in a file, so that a long one need not be read from its start: the offset of a
// line whose number is at most after_ + 1, or 0.
base::Result<std::uint64_t, base::Error> Follower::start_of(int fd, std::uint64_t size) const {
  std::uint64_t low = 0;
  std::uint64_t high = size;
  std::string text(3 * line_limit, '\0');
  while (high - low > search_until) {
    const std::uint64_t middle = low + (high - low) / 2;
    auto got = read_at(fd, text.data(), text.size(), middle);
    if (!got) return base::fail(std::move(got.error()));
    const std::string_view found(text.data(), *got);
    const std::size_t line = found.find('\n');
    const std::size_t end = line == found.npos ? line : found.find('\n', line + 1);
    const std::uint64_t seq =
        end == found.npos ? 0 : line_number(found.substr(line + 1, end - line - 1));
    if (seq == 0 || seq > after_) {
      high = middle;
    } else {
      low = middle + line + 1;
    }
  }
  return low;
}

// The file that holds the line behind after_, or the first one behind it that there is.
base::Result<bool, base::Error> Follower::open() {
  std::filesystem::path best;
  for (const std::filesystem::path& file : chain_files(log_)) {
    const auto first = read_first_line(file);
    if (!first) continue;
    if (best.empty() || first->seq <= after_ + 1) best = file;
    if (first->seq > after_) break;
  }
  if (best.empty()) return false;
  fd_ = ::open(best.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) {
    if (errno == ENOENT) return false;
    return base::fail(system_error(best.string()));
  }
  struct stat status {};
  if (::fstat(fd_, &status) != 0) return base::fail(system_error(best.string()));
  auto start = start_of(fd_, static_cast<std::uint64_t>(status.st_size));
  if (!start) return base::fail(std::move(start.error()));
  offset_ = *start;
  return true;
}

base::Result<std::size_t, base::Error> Follower::fill() {
  buffer_.erase(0, taken_);
  taken_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + piece);
  auto got = read_at(fd_, buffer_.data() + had, piece, offset_);
  buffer_.resize(had + (got ? *got : 0));
  if (!got) return base::fail(std::move(got.error()));
  offset_ += *got;
  return *got;
}

void Follower::take_lines(std::vector<Line>& lines) {
  const std::string_view text = buffer_;
  for (;;) {
    const std::size_t end = text.find('\n', taken_);
    if (end == std::string_view::npos) break;
    const std::string_view line = text.substr(taken_, end - taken_);
    taken_ = end + 1;
    if (std::exchange(discarding_, false)) continue;
    const std::uint64_t seq = line_number(line);
    if (seq <= after_) continue;
    after_ = seq;
    lines.push_back({seq, line});
  }
  if (buffer_.size() - taken_ > piece) {  // no line of ours
    taken_ = buffer_.size();
    discarding_ = true;
  }
}

base::Result<std::vector<Follower::Line>, base::Error> Follower::next() {
  std::vector<Line> lines;
  for (bool reopened = false;;) {
    if (fd_ < 0) {
      auto opened = open();
      if (!opened) return base::fail(std::move(opened.error()));
      if (!*opened) return lines;
    }
    // Asked before the read: what is written before a rotation is in the file that is read.
    const bool current = is_current();
    auto got = fill();
    if (!got) return base::fail(std::move(got.error()));
    take_lines(lines);
    if (!lines.empty()) return lines;
    if (*got > 0) continue;
    if (current || reopened) return lines;
    close();
    reopened = true;
  }
}

}  // namespace audit
