#include "audit/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace audit {
namespace {

// What the extension of a window is halved down to.
constexpr std::uint64_t least_window = 65536;
// Where the file system cannot allocate ahead: free space that others may take meanwhile.
constexpr std::uint64_t margin = 16ULL << 20;

base::Error system_error(const std::string& what) {
  return {what + ": " + std::strerror(errno)};
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

base::Result<LogFile, base::Error> LogFile::open(const std::filesystem::path& path) {
  // Again where the file was rotated away between open and lock.
  for (int attempt = 0; attempt < 10; ++attempt) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) return base::fail(system_error(path.string()));
    LogFile file(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return base::fail(system_error(path.string() + ": lock"));
      return base::fail(path.string() + ": another process writes this log");
    }
    struct stat opened {};
    struct stat named {};
    if (::fstat(fd, &opened) != 0) return base::fail(system_error(path.string()));
    if (!S_ISREG(opened.st_mode)) return base::fail(path.string() + ": not a regular file");
    if (::stat(path.c_str(), &named) != 0 || !same_file(opened, named)) continue;
    file.end_ = static_cast<std::uint64_t>(opened.st_size);
    file.held_ = file.end_;
    return file;
  }
  return base::fail(path.string() + ": the file is replaced all the time");
}

LogFile::LogFile(LogFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      end_(other.end_),
      held_(other.held_),
      ragged_(other.ragged_),
      preallocates_(other.preallocates_) {}

LogFile& LogFile::operator=(LogFile&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  end_ = other.end_;
  held_ = other.held_;
  ragged_ = other.ragged_;
  preallocates_ = other.preallocates_;
  return *this;
}

LogFile::~LogFile() { close(); }

void LogFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

base::Result<void, base::Error> LogFile::extend(std::uint64_t wanted) {
  for (std::uint64_t size = wanted; preallocates_; size /= 2) {
    if (window() >= size) return {};
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(end_),
                    static_cast<off_t>(size)) == 0) {
      held_ = end_ + size;
      return {};
    }
    if (errno == EINTR) {
      size *= 2;
    } else if (errno == EOPNOTSUPP || errno == ENOSYS) {
      preallocates_ = false;
    } else if (size <= least_window) {
      return base::fail(system_error("allocate"));
    }
  }
  struct statvfs disk {};
  if (::fstatvfs(fd_, &disk) != 0) return base::fail(system_error("statvfs"));
  const std::uint64_t available = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  held_ = end_ + std::min(wanted, available > margin ? available - margin : 0);
  if (window() == 0) return base::fail("the disk is nearly full");
  return {};
}

base::Result<void, base::Error> LogFile::append(std::string_view bytes) {
  if (ragged_) {
    auto repaired = cut(end_);
    if (!repaired) return repaired;
  }
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(fd_, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      const base::Error error = system_error("write");
      ragged_ = true;
      (void)cut(end_);
      held_ = end_;
      return base::fail(error);
    }
    done += static_cast<std::size_t>(wrote);
  }
  end_ += bytes.size();
  return {};
}

base::Result<void, base::Error> LogFile::cut(std::uint64_t end) {
  if (::ftruncate(fd_, static_cast<off_t>(end)) != 0) return base::fail(system_error("truncate"));
  end_ = end;
  held_ = end;
  ragged_ = false;
  return {};
}

bool LogFile::is_at(const std::filesystem::path& path) const {
  struct stat opened {};
  struct stat named {};
  if (::fstat(fd_, &opened) != 0) return false;
  if (::stat(path.c_str(), &named) != 0 || !same_file(opened, named)) return false;
  return ragged_ || static_cast<std::uint64_t>(opened.st_size) == end_;
}

void LogFile::sync() { (void)::fdatasync(fd_); }

void LogFile::unlock() { (void)::flock(fd_, LOCK_UN); }

}  // namespace audit
