#include "report/secret.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/encode.h"

namespace report {
namespace {

using Secret = tlsrpt::ReturnPath::Secret;
using Taken = base::Result<Secret, base::Error>;

class File {
 public:
  File(const std::string& name, int flags) : fd_(::open(name.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

base::Error error_of(const std::string& file) {
  return base::Error{file + ": " + std::strerror(errno)};
}

// nullopt: there is no such file.
base::Result<std::optional<Secret>, base::Error> read_secret(const std::string& name) {
  const File file(name, O_RDONLY);
  if (file.fd() < 0 && errno == ENOENT) return std::optional<Secret>();
  if (file.fd() < 0) return base::fail(error_of(name));
  char octets[80];
  const ssize_t size = ::read(file.fd(), octets, sizeof octets);
  if (size < 0) return base::fail(error_of(name));
  std::string_view text(octets, static_cast<std::size_t>(size));
  if (text.ends_with('\n')) text.remove_suffix(1);
  const auto key = base::from_hex(text);
  Secret secret{};
  if (!key || key->size() != secret.size()) {
    return base::fail(base::Error{
        name + ": not 64 hex digits and a newline. Without the file a new secret is made, and "
               "report mail under way is then like any other mail"});
  }
  std::ranges::copy(*key, secret.begin());
  return std::optional<Secret>(secret);
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// Whole under another name first: a start that is cut short leaves no half of a secret.
Taken make_secret(const std::filesystem::path& path) {
  Secret secret{};
  if (::getrandom(secret.data(), secret.size(), 0) != static_cast<ssize_t>(secret.size())) {
    return base::fail(error_of("getrandom"));
  }
  const std::string name = path.string();
  const std::string unfinished = name + ".new";
  ::unlink(unfinished.c_str());
  const File file(unfinished, O_WRONLY | O_CREAT | O_EXCL);
  if (file.fd() < 0) return base::fail(error_of(unfinished));
  if (!write_all(file.fd(), base::to_hex(secret) + "\n") || ::fsync(file.fd()) != 0) {
    return base::fail(error_of(unfinished));
  }
  if (::rename(unfinished.c_str(), name.c_str()) != 0) return base::fail(error_of(name));
  const File folder(path.parent_path().string(), O_RDONLY | O_DIRECTORY);
  if (folder.fd() < 0 || ::fsync(folder.fd()) != 0) return base::fail(error_of(name));
  return secret;
}

}  // namespace

Taken take_secret(const std::filesystem::path& file) {
  auto found = read_secret(file.string());
  if (!found) return base::fail(std::move(found.error()));
  if (*found) return **found;
  return make_secret(file);
}

}  // namespace report
