#include "report/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "tlsrpt/report.h"

namespace report {

namespace {

constexpr std::string_view extension = ".json.gz";
constexpr std::size_t longest_name = 255;   // of a file, in octets, on every common file system
constexpr mode_t mode = 0640;
constexpr std::size_t read_limit = std::size_t{64} << 20;

base::Error system_error(const std::filesystem::path& path) {
  return {path.string() + ": " + std::strerror(errno)};
}

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

bool write_all(int fd, std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(fd, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

std::filesystem::path ReportFiles::path(store::Day day, std::string_view domain) const {
  std::string name(domain);
  if (name.size() + extension.size() > longest_name) {
    const tlsrpt::Policy named{tlsrpt::PolicyType::no_policy_found, name, {}, {}};
    name = name.substr(0, 200) + "~" + tlsrpt::policy_digest(named).substr(0, 16);
  }
  return directory_ / tlsrpt::day_text(day) / (name + std::string(extension));
}

base::Result<void, ReportFiles::WriteError> ReportFiles::write(store::Day day,
                                                               std::string_view domain,
                                                               std::string_view octets) const {
  const std::filesystem::path file = path(day, domain);
  std::error_code error;
  const bool made = std::filesystem::create_directories(file.parent_path(), error);
  // Whom the relay writes to is nobody else's affair.
  if (made) {
    std::error_code left;
    std::filesystem::permissions(file.parent_path(), std::filesystem::perms::others_all,
                                 std::filesystem::perm_options::remove, left);
  }
  if (error) return base::fail(WriteError{file.parent_path().string() + ": " + error.message()});
  // The name is the domain's, so one that is left by a kill is written over.
  const std::filesystem::path part = file.parent_path() / ".part";
  {
    const File out(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    // Whatever the umask, and whatever mode a .part of before had.
    const bool open = out.get() >= 0 && ::fchmod(out.get(), mode) == 0;
    if (!open || !write_all(out.get(), octets)) {
      return base::fail(WriteError{system_error(part).text});
    }
  }
  // What stands in the way here, such as a folder of that name, is in no other file's way.
  if (::rename(part.c_str(), file.c_str()) != 0) {
    return base::fail(WriteError{system_error(file).text, true});
  }
  return {};
}

base::Result<void, base::Error> ReportFiles::sync() const {
  const File folder(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0 || ::syncfs(folder.get()) != 0) {
    return base::fail(system_error(directory_));
  }
  return {};
}

base::Result<std::string, base::Error> ReportFiles::read(store::Day day,
                                                         std::string_view domain) const {
  const std::filesystem::path file = path(day, domain);
  const File in(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) return base::fail(system_error(file));
  std::string octets;
  char piece[65536];
  for (;;) {
    const ssize_t got = ::read(in.get(), piece, sizeof piece);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail(system_error(file));
    if (got == 0) return {boost::system::in_place_value, std::move(octets)};
    octets.append(piece, static_cast<std::size_t>(got));
    if (octets.size() > read_limit) return base::fail(file.string() + ": is too large");
  }
}

void ReportFiles::remove_before(store::Day day) const {
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(directory_, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const auto that = tlsrpt::parse_day(it->path().filename().string());
    if (!that || *that >= day) continue;
    std::error_code failed;
    std::filesystem::remove_all(it->path(), failed);
    base::log(failed ? base::LogLevel::warn : base::LogLevel::info, "",
              "TLS reports in " + it->path().string() + " are past tls_rpt.keep" +
                  (failed ? ": " + failed.message() : ""));
  }
}

}  // namespace report
