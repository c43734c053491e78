#include "audit/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "audit/chain.h"

namespace audit {
namespace {

bool is_same(int fd, const std::filesystem::path& path) {
  struct stat open {};
  struct stat named {};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

bool is_there(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 || errno != ENOENT;
}

}  // namespace

base::Result<LogFiles, base::Error> LogFiles::of(const std::filesystem::path& current) {
  LogFiles files;
  files.listed_ = true;
  files.current_ = ::open(current.c_str(), O_RDONLY | O_CLOEXEC);
  const int why = errno;
  if (files.current_ < 0 && why != ENOENT) {
    return base::fail(current.string() + ": " + std::strerror(why));
  }
  for (RotatedFile& file : rotated_files(current)) {
    // Rotated between the two steps: it is the last one of this moment.
    if (files.current_ >= 0 && is_same(files.current_, file.path)) continue;
    files.files_.push_back(std::move(file.path));
  }
  if (files.current_ >= 0) files.files_.push_back(current);
  if (files.files_.empty()) return base::fail(current.string() + ": " + std::strerror(why));
  return files;
}

LogFiles LogFiles::named(std::vector<std::filesystem::path> files) {
  LogFiles made;
  made.files_ = std::move(files);
  return made;
}

LogFiles LogFiles::sorted(std::vector<std::filesystem::path> files) {
  // A look into a pipe would take from it what is to be read.
  std::error_code ignored;
  for (const std::filesystem::path& file : files) {
    if (std::filesystem::is_fifo(file, ignored)) return named(std::move(files));
  }
  std::vector<std::pair<std::uint64_t, std::filesystem::path>> numbered;
  for (std::filesystem::path& file : files) {
    const std::optional<FirstLine> first = read_first_line(file);
    numbered.emplace_back(first ? first->seq : UINT64_MAX, std::move(file));
  }
  std::ranges::stable_sort(numbered, {}, [](const auto& one) { return one.first; });
  LogFiles made;
  for (auto& [seq, file] : numbered) made.files_.push_back(std::move(file));
  return made;
}

LogFiles::LogFiles(LogFiles&& other) noexcept
    : files_(std::move(other.files_)),
      current_(std::exchange(other.current_, -1)),
      listed_(other.listed_) {}

LogFiles& LogFiles::operator=(LogFiles&& other) noexcept {
  std::swap(files_, other.files_);
  std::swap(current_, other.current_);
  listed_ = other.listed_;
  return *this;
}

LogFiles::~LogFiles() {
  if (current_ >= 0) ::close(current_);
}

base::Result<std::optional<LineReader>, base::Error> LogFiles::open(std::size_t index) {
  const std::filesystem::path& path = files_[index];
  if (index + 1 == files_.size() && current_ >= 0) {
    auto reader = LineReader::take(std::exchange(current_, -1), path.string());
    if (!reader) return base::fail(std::move(reader.error()));
    return std::optional(std::move(*reader));
  }
  // Two looks, because compressing makes one file before it removes the other.
  for (const std::filesystem::path& name : {path, std::filesystem::path(path.string() + ".gz")}) {
    if (listed_ && !is_there(name)) continue;
    auto reader = LineReader::open(name);
    if (!reader && listed_ && !is_there(name)) continue;
    if (!reader) return base::fail(std::move(reader.error()));
    return std::optional(std::move(*reader));
  }
  return std::optional<LineReader>();
}

}  // namespace audit
