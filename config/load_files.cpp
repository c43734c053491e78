#include <grp.h>
#include <netdb.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/encode.h"
#include "config/load.h"

namespace config {

namespace {

using Octets = base::Result<std::string, base::Error>;

constexpr std::size_t longest_file = 1024 * 1024;
constexpr std::size_t longest_named_file = 256 * 1024;

Octets value(std::string text) { return {boost::system::in_place_value, std::move(text)}; }

Octets failure(int error) { return base::fail(std::string(std::strerror(error))); }

// Up to `most` octets. Never waits for the other end of a FIFO where `regular` is asked for.
Octets read_up_to(const Path& path, std::size_t most, bool regular) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | (regular ? O_NONBLOCK : 0));
  if (fd < 0) return failure(errno);
  struct ::stat status {};
  const bool wrong_kind = ::fstat(fd, &status) != 0 || S_ISDIR(status.st_mode) ||
                          (regular && !S_ISREG(status.st_mode));
  std::string text;
  int error = 0;
  while (!wrong_kind && text.size() < most) {
    std::array<char, 16384> chunk{};
    const ssize_t got = ::read(fd, chunk.data(), std::min(chunk.size(), most - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error = errno;
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  if (wrong_kind) return base::fail("it is not a file");
  if (error != 0) return failure(error);
  return value(std::move(text));
}

// getaddrinfo's canonical name: what hostname -f prints.
std::string canonical_host_name() {
  std::array<char, 256> own{};
  if (::gethostname(own.data(), own.size() - 1) != 0) return {};
  addrinfo hints{};
  hints.ai_flags = AI_CANONNAME;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string name = own.data();
  if (::getaddrinfo(own.data(), nullptr, &hints, &found) == 0 && found != nullptr) {
    if (found->ai_canonname != nullptr) name = found->ai_canonname;
    ::freeaddrinfo(found);
  }
  return name;
}

bool group_exists(const std::string& name) {
  std::vector<char> space(65536);
  ::group entry{};
  ::group* found = nullptr;
  return ::getgrnam_r(name.c_str(), &entry, space.data(), space.size(), &found) == 0 && found;
}

// conf.d/*.toml beside `file`, in order of name; hidden files are an editor's.
std::vector<Path> further_files(const Path& file, std::vector<Issue>& errors) {
  const Path folder = file.parent_path() / "conf.d";
  std::vector<Path> files;
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) {
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      const Path& path = entry->path();
      if (path.extension() == ".toml" && !path.filename().string().starts_with('.')) {
        files.push_back(path);
      }
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    errors.push_back({{folder.string(), 1, 1}, "cannot be read: " + error.message()});
  }
  std::ranges::sort(files, {}, [](const Path& path) { return path.filename().string(); });
  return files;
}

}  // namespace

Octets read_named_file(const Path& path) { return read_up_to(path, longest_named_file, true); }

Surroundings real_surroundings(const base::Clock& clock) {
  Surroundings real;
  real.today = std::chrono::floor<std::chrono::days>(clock.wall());
  real.host_name = canonical_host_name;
  real.has_group = group_exists;
  real.read_file = read_named_file;
  real.permissions = [](const Path& path) -> std::optional<std::filesystem::perms> {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (error) return std::nullopt;
    return status.permissions();
  };
  return real;
}

LoadResult load(const Path& file, const Surroundings& surroundings) {
  std::vector<Issue> unreadable;
  std::vector<Source> sources;
  std::vector<Path> files = further_files(file, unreadable);
  files.insert(files.begin(), file);
  for (const Path& one : files) {
    Octets text = read_up_to(one, longest_file + 1, false);
    const Place place{one.string(), 1, 1};
    if (!text) {
      unreadable.push_back({place, "cannot be read: " + text.error().text});
    } else if (text->size() > longest_file) {
      unreadable.push_back({place, "longer than 1 MiB"});
    } else {
      sources.push_back({one.string(), std::move(*text)});
    }
    if (one == file && sources.empty()) break;  // the rest means nothing without it
  }
  if (sources.empty() || sources.front().name != file.string()) {
    return {nullptr, std::move(unreadable), {}};
  }
  LoadResult result = load_sources(sources, surroundings);
  if (!unreadable.empty()) {
    std::ranges::move(result.errors, std::back_inserter(unreadable));
    result.errors = std::move(unreadable);
    result.config = nullptr;
  }
  return result;
}

}  // namespace config
