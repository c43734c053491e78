#include "audit/lines.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace audit {
namespace {

constexpr std::size_t piece = 256 * 1024;
constexpr int gzip_window = 15 + 16;  // zlib's way to ask for gzip instead of zlib's own format
constexpr std::uint64_t ratio_from = std::uint64_t{64} << 20;

base::Result<std::size_t, base::Error> read_some(int fd, char* to, std::size_t size) {
  for (;;) {
    const ssize_t got = ::read(fd, to, size);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return base::fail(std::string("read: ") + std::strerror(errno));
  }
}

}  // namespace

// The octets of the file, expanded where it is compressed.
class LineReader::Source {
 public:
  Source(int fd, std::string name, const LineLimits& limits)
      : fd_(fd), name_(std::move(name)), limits_(limits) {}
  ~Source() {
    if (compressed_) inflateEnd(&stream_);
    ::close(fd_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  base::Result<void, base::Error> begin() {
    input_.resize(piece);
    auto got = fill();
    if (!got) return base::fail(wrong(got.error().text));
    compressed_ = left_.starts_with("\x1f\x8b");
    if (compressed_ && inflateInit2(&stream_, gzip_window) != Z_OK) throw std::bad_alloc();
    return {};
  }

  // Up to `size` octets; none: the end.
  base::Result<std::size_t, base::Error> read(char* to, std::size_t size) {
    if (compressed_) return expand(to, size);
    if (!left_.empty()) {
      const std::size_t count = left_.copy(to, size);
      left_.remove_prefix(count);
      return count;
    }
    auto got = read_some(fd_, to, size);
    if (!got) return base::fail(wrong(got.error().text));
    return *got;
  }

 private:
  base::Error wrong(const std::string& text) const { return {name_ + ": " + text}; }

  base::Result<void, base::Error> fill() {
    auto got = read_some(fd_, input_.data(), input_.size());
    if (!got) return base::fail(std::move(got.error()));
    left_ = std::string_view(input_.data(), *got);
    read_ += *got;
    return {};
  }

  // Several members behind each other count as one (RFC 1952 §2.2).
  base::Result<std::size_t, base::Error> expand(char* to, std::size_t size) {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out == size) {
      if (left_.empty()) {
        auto filled = fill();
        if (!filled) return base::fail(wrong(filled.error().text));
      }
      if (left_.empty()) {
        if (between_) return std::size_t{0};
        return base::fail(wrong("gzip: cut short"));
      }
      if (between_ && !next_member()) continue;
      // zlib takes no const input, but does not write to it.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(left_.data()));
      stream_.avail_in = static_cast<uInt>(left_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      left_.remove_prefix(left_.size() - stream_.avail_in);
      if (code == Z_STREAM_END) {
        between_ = true;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        const char* const why = stream_.msg != nullptr ? stream_.msg : "not readable";
        return base::fail(wrong(std::string("gzip: ") + why));
      }
    }
    const std::size_t count = size - stream_.avail_out;
    expanded_ += count;
    if (expanded_ > limits_.expanded) return base::fail(wrong("gzip: too much comes out"));
    if (expanded_ > ratio_from && expanded_ / limits_.ratio > read_) {
      return base::fail(wrong("gzip: expands more than " + std::to_string(limits_.ratio) +
                              " times, as no log does"));
    }
    return count;
  }

  // Zeros behind a member are padding; anything else begins another one.
  bool next_member() {
    const std::size_t at = left_.find_first_not_of('\0');
    left_.remove_prefix(std::min(at, left_.size()));
    if (left_.empty()) return false;
    if (inflateReset(&stream_) != Z_OK) throw std::runtime_error("inflateReset failed");
    between_ = false;
    return true;
  }

  int fd_;
  std::string name_;
  LineLimits limits_;
  std::string input_;
  std::string_view left_;  // of input_, not used yet
  z_stream stream_{};
  bool compressed_ = false;
  bool between_ = false;   // a member has ended, no other has begun
  std::uint64_t read_ = 0;
  std::uint64_t expanded_ = 0;
};

base::Result<LineReader, base::Error> LineReader::open(const std::filesystem::path& path,
                                                       const LineLimits& limits) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return base::fail(path.string() + ": " + std::strerror(errno));
  return take(fd, path.string(), limits);
}

base::Result<LineReader, base::Error> LineReader::take(int fd, std::string name,
                                                       const LineLimits& limits) {
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  auto source = std::make_unique<Source>(fd, name, limits);
  // A pipe may be one, as of `<(zcat …)`; a device may have no end.
  if (!known || !(S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode))) {
    return base::fail(name + ": not a file");
  }
  auto begun = source->begin();
  if (!begun) return base::fail(std::move(begun.error()));
  return LineReader(std::move(source), limits);
}

LineReader::LineReader(std::unique_ptr<Source> source, const LineLimits& limits)
    : source_(std::move(source)), limits_(limits) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

// More octets behind those not taken yet; false: the file has no more.
base::Result<bool, base::Error> LineReader::refill() {
  if (at_end_) return false;
  buffer_.erase(0, taken_);
  taken_ = 0;
  const std::size_t had = buffer_.size();
  buffer_.resize(had + piece);
  auto got = source_->read(buffer_.data() + had, piece);
  buffer_.resize(had + (got ? *got : 0));
  if (!got) return base::fail(std::move(got.error()));
  at_end_ = *got == 0;
  return !at_end_;
}

base::Result<bool, base::Error> LineReader::next(Line& line) {
  line = Line{};
  std::size_t seen = 0;  // behind taken_, without a newline
  std::string start;     // of a line that is too long
  for (;;) {
    const std::size_t end = buffer_.find('\n', taken_ + seen);
    const bool found = end != std::string::npos;
    const std::size_t length = (found ? end : buffer_.size()) - taken_;
    if (length > limits_.line_room) {
      if (!line.cut) start = buffer_.substr(taken_, limits_.line_room);
      line.cut = true;
    }
    if (found) {
      line.text = std::string_view(buffer_).substr(taken_, std::min(length, limits_.line_room));
      line.ended = true;
      taken_ = end + 1;
      break;
    }
    if (line.cut) taken_ = buffer_.size();
    seen = buffer_.size() - taken_;
    auto more = refill();
    if (!more) return base::fail(std::move(more.error()));
    if (*more) continue;
    if (buffer_.size() == taken_ && !line.cut) return false;
    line.text = std::string_view(buffer_).substr(taken_);
    taken_ = buffer_.size();
    break;
  }
  if (line.cut) {
    cut_ = std::move(start);
    line.text = cut_;
  }
  line.number = ++number_;
  return true;
}

}  // namespace audit
