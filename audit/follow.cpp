#include "audit/follow.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "audit/chain.h"
#include "audit/record.h"
#include "base/log.h"

namespace audit {
namespace {

constexpr std::size_t piece = 256 * 1024;
constexpr unsigned calls_waited = 4;  // of next(), which comes every second
constexpr std::uint64_t search_until = 64 * 1024;  // octets that are read rather than searched
constexpr std::size_t foreign_start = 1024 * 1024;  // of a file, that is passed over

base::Error system_error(const std::string& what) { return {what + ": " + std::strerror(errno)}; }

base::Result<std::size_t, base::Error> read_at(int fd, char* to, std::size_t size,
                                               std::uint64_t from) {
  for (;;) {
    const ssize_t got = ::pread(fd, to, size, static_cast<off_t>(from));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return base::fail(system_error("read"));
  }
}

// The number of the first line of ours in an open file; 0 where there is none near its start.
std::uint64_t first_number(int fd) {
  for (const std::size_t size : {line_limit, foreign_start}) {
    std::string text(size, '\0');
    const auto got = read_at(fd, text.data(), text.size(), 0);
    if (!got) return 0;
    text.resize(*got);
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != text.npos; at = end + 1) {
      const std::uint64_t number = line_number(std::string_view(text).substr(at, end - at));
      if (number > 0) return number;
    }
  }
  return 0;
}

std::uint64_t first_number(const std::filesystem::path& file) {
  if (is_compressed(file)) {
    const std::optional<FirstLine> first = read_first_line(file);
    return first ? first->seq : 0;
  }
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const std::uint64_t number = first_number(fd);
  ::close(fd);
  return number;
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
  expanded_.reset();
  spoilt_ = false;
}

// Whether the open file is the one that is being written.
bool Follower::is_current() const { return is_at(log_); }

// Whether it was rotated by its writer, which then writes no more to it.
bool Follower::is_rotated() const {
  return std::ranges::any_of(rotated_files(log_),
                             [this](const RotatedFile& file) { return is_at(file.path); });
}

bool Follower::is_at(const std::filesystem::path& path) const {
  struct stat open {};
  struct stat named {};
  if (::fstat(fd_, &open) != 0 || ::stat(path.c_str(), &named) != 0) return false;
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

// What a failed write left of a batch is cut off again; it may have been read before that.
bool Follower::is_cut() const {
  struct stat open {};
  return ::fstat(fd_, &open) == 0 && static_cast<std::uint64_t>(open.st_size) < offset_;
}

// The file that holds the line behind after_, or the first one behind it that there is; no path:
// none. `ended`: the first line's number of a file that has no more, 0: none is known. Where lines
// are missing behind that one, the next file begins later than with the line behind after_.
Follower::Choice Follower::choose(std::uint64_t ended) const {
  Choice best;
  for (const std::filesystem::path& file : chain_files(log_)) {
    const std::uint64_t first = first_number(file);
    if (first == 0) continue;
    const bool over = best.first == ended || best.first == 0;  // none before this one holds it
    if (first <= after_ + 1 || over) best = {file, first};
    if (first > after_) break;
  }
  return best;
}

// Opens what was chosen; false: its name is another file's by now.
base::Result<bool, base::Error> Follower::open(const Choice& choice) {
  if (is_compressed(choice.file)) {
    auto reader = LineReader::open(choice.file);
    std::error_code gone;
    if (!reader && !std::filesystem::exists(choice.file, gone)) return false;
    if (!reader) return base::fail(std::move(reader.error()));
    expanded_ = std::move(*reader);
    first_ = choice.first;
    return true;
  }
  fd_ = ::open(choice.file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) return false;
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) {
    base::Error error = system_error(choice.file.string());
    close();
    return base::fail(std::move(error));
  }
  if (first_number(fd_) != choice.first) {
    close();
    return false;
  }
  auto start = start_of(fd_, static_cast<std::uint64_t>(status.st_size));
  if (!start) {
    close();
    return base::fail(std::move(start.error()));
  }
  offset_ = *start;
  first_ = choice.first;
  return true;
}

// A rotation may come between any two steps: a file may have moved to a place in the folder that
// was listed already, and a name may stand for the next file.
base::Result<bool, base::Error> Follower::open(std::uint64_t ended) {
  if (ended == 0) ended = drained_;
  for (int tries = 0; tries < 10; ++tries) {
    Choice choice = choose(ended);
    if (choice.first > after_ + 1) choice = choose(ended);
    if (choice.file.empty()) return false;
    // Nothing is ever added to it, and reading it anew takes long.
    if (choice.first == drained_ && is_compressed(choice.file)) return false;
    auto opened = open(choice);
    if (!opened || *opened) return opened;
  }
  return false;
}

// How many octets came that were not there before. A line whose end was missing is read anew from
// its start: a failed write may have left it, and other octets stand in its place now.
base::Result<std::size_t, base::Error> Follower::fill() {
  const std::size_t had = buffer_.size() - taken_;
  offset_ -= had;
  taken_ = 0;
  buffer_.resize(piece);
  auto got = read_at(fd_, buffer_.data(), piece, offset_);
  buffer_.resize(got ? *got : 0);
  if (!got) return base::fail(std::move(got.error()));
  offset_ += *got;
  return *got > had ? *got - had : 0;
}

// Whether the line of that number is wanted; it then counts as read.
bool Follower::is_next(std::uint64_t seq) {
  if (seq <= after_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (after_ > 0 && seq != after_ + 1 && now >= warning_due_) {
    warning_due_ = now + std::chrono::minutes(1);
    base::log_warn("", "enforcement log " + log_.string() + ": records " +
                           std::to_string(after_ + 1) + " to " + std::to_string(seq - 1) +
                           " are not there, or cannot be read: TLS-RPT does not count them");
  }
  after_ = seq;
  return true;
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
    if (is_next(seq)) lines.push_back({seq, line});
  }
  if (buffer_.size() - taken_ >= line_limit) {  // no line of ours
    taken_ = buffer_.size();
    discarding_ = true;
  }
}

// Copied into buffer_, since a line of the reader's stands until its next one alone. What a damaged
// file has no more of is missing, as where it was deleted: to wait for it would end all counting.
void Follower::take_expanded(std::vector<Line>& lines) {
  struct Place {
    std::uint64_t seq;
    std::size_t from;
    std::size_t size;
  };
  std::vector<Place> places;
  buffer_.clear();
  LineReader::Line line;
  while (!spoilt_ && buffer_.size() < piece) {
    const auto more = expanded_->next(line);
    spoilt_ = !more;
    if (!more) base::log_warn("", "enforcement log " + more.error().text);
    if (!more || !*more) break;
    const std::uint64_t seq = line.ended && !line.cut ? line_number(line.text) : 0;
    if (!is_next(seq)) continue;
    places.push_back({seq, buffer_.size(), line.text.size()});
    buffer_ += line.text;
  }
  const std::string_view text = buffer_;
  for (const Place& one : places) lines.push_back({one.seq, text.substr(one.from, one.size)});
}

base::Result<std::vector<Follower::Line>, base::Error> Follower::next() {
  std::vector<Line> lines;
  for (bool reopened = false;;) {
    if (fd_ >= 0 && is_cut()) close();
    if (fd_ < 0 && !expanded_) {
      auto opened = open(reopened ? first_ : 0);
      if (!opened) return base::fail(std::move(opened.error()));
      if (!*opened) return lines;
    }
    if (expanded_) {
      take_expanded(lines);
      if (!lines.empty()) return lines;
      drained_ = first_;
      close();
      reopened = true;
      continue;
    }
    // Asked before the read: what is written before a rotation is in the file that is read.
    const bool current = is_current();
    auto got = fill();
    if (!got) return base::fail(std::move(got.error()));
    take_lines(lines);
    if (!lines.empty()) return lines;
    if (*got > 0) continue;
    if (current || reopened) return lines;
    // A file that somebody moved away is written on until the writer notices: nothing is behind it
    // before the file that goes on where it ends, or a while later another one.
    const bool done = is_rotated() || choose(first_).first == after_ + 1;
    if (!done && ++waited_ < calls_waited) return lines;
    waited_ = 0;
    close();
    reopened = true;
  }
}

}  // namespace audit
