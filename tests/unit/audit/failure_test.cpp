// What only a child process can suffer: kill -9, a full disk, a limit on the file's size.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "audit/log.h"
#include "tests/unit/audit/support.h"

using namespace audit;
using namespace audit_test;

namespace {

// A head kept in a file, so that it outlives a killed process.
class FileHead final : public ChainHead {
 public:
  explicit FileHead(std::filesystem::path path) : path_(std::move(path)) {}
  base::Result<std::optional<Head>, base::Error> load() override {
    std::optional<Head> none;
    if (!std::filesystem::exists(path_)) return none;
    std::istringstream in(slurp(path_));
    Head head;
    in >> head.seq >> head.hash;
    return std::optional<Head>(head);
  }
  base::Result<void, base::Error> save(const Head& head) override {
    const std::string next = path_.string() + ".new";
    spit(next, std::to_string(head.seq) + " " + head.hash);
    std::filesystem::rename(next, path_);
    return {};
  }

 private:
  std::filesystem::path path_;
};

// Skips where the machine allows no mount namespace of its own; 77 says so.
constexpr int no_namespace = 77;
bool small_disk(const std::filesystem::path& at) {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  return ::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=1m") == 0;
}

// Fills the rest of the disk; the file's name is to be removed to have the space again.
void fill(const std::filesystem::path& file) {
  std::ofstream out(file, std::ios::binary);
  const std::string block(4096, 'x');
  while (out.write(block.data(), 4096).flush()) {
  }
}

bool whole(const Folder& folder, const std::optional<Head>& head) {
  return !verify(chain_files(folder.log()), head).bad;
}

int on_full_disk(const Folder& folder) {
  if (!small_disk(folder.path())) return no_namespace;
  MemoryHead head;
  HandClock clock;
  LogOptions options;
  options.path = folder.log();
  options.window = 256 * 1024;
  auto opened = EnforcementLog::open(options, head, clock);
  if (!opened) return 1;
  EnforcementLog& log = **opened;
  fill(folder.path() / "filler");
  // What is promised now must be written; when no more can be, reserve says so.
  std::vector<Reservation> held;
  for (;;) {
    auto one = log.reserve();
    if (!one) break;
    held.push_back(std::move(*one));
    if (held.size() > 1000) return 2;
  }
  if (held.size() < 10) return 3;
  const std::size_t promised = held.size();
  for (int i = 0; i < 500; ++i) log.append(delivery("unpromised"));
  for (Reservation& one : held) log.append(delivery("promised"), std::move(one));
  std::size_t found = 0;
  for (int i = 0; i < 600 && found < promised; ++i) {
    found = 0;
    std::istringstream in(slurp(folder.log()));
    for (std::string line; std::getline(in, line);) {
      if (line.find("\"promised\"") != std::string::npos) ++found;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (found != promised) return 4;
  // Space again: what waited is written, nothing is numbered twice or left out.
  std::filesystem::remove(folder.path() / "filler");
  bool room = false;
  for (int i = 0; i < 600 && !room; ++i) {
    room = static_cast<bool>(log.reserve());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!room) return 5;
  log.append(delivery("after"));
  log.stop("test");
  if (!whole(folder, head.get())) return 6;
  return log.dropped() == 0 && records(folder.log()).size() == promised + 503 ? 0 : 7;
}

int over_a_limit(const Folder& folder) {
  ::signal(SIGXFSZ, SIG_IGN);
  MemoryHead head;
  HandClock clock;
  LogOptions options;
  options.path = folder.log();
  options.capacity = 100;
  auto opened = EnforcementLog::open(options, head, clock);
  if (!opened) return 1;
  EnforcementLog& log = **opened;
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = 20000;  // write(2) stops in the middle of a line
  ::setrlimit(RLIMIT_FSIZE, &limit);
  for (int i = 0; i < 5000 && log.healthy(); ++i) {
    log.append(delivery("x"));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (log.healthy() || log.reserve()) return 2;
  for (int i = 0; i < 300; ++i) log.append(delivery("y"));
  if (log.dropped() == 0) return 3;
  if (!whole(folder, std::nullopt)) return 4;  // no torn line stands there meanwhile
  limit.rlim_cur = before;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  for (int i = 0; i < 600 && !log.healthy(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!log.healthy()) return 5;
  log.stop("test");
  if (!whole(folder, head.get())) return 6;
  bool told = false;
  for (const auto& line : records(folder.log())) {
    told = told || (line["event"] == "start" && line["reason"].is_string() &&
                    line["reason"].get<std::string>().find("dropped") != std::string::npos);
  }
  return told ? 0 : 7;
}

}  // namespace

TEST_CASE("log: kill -9 at any moment leaves a chain that goes on") {
  Folder folder;
  const auto head_file = folder.path() / "head";
  std::mt19937 random(42);
  const auto written = [&] {
    std::uintmax_t octets = 0;
    for (const auto& file : chain_files(folder.log())) {
      std::error_code gone;  // renamed just now
      const auto size = std::filesystem::file_size(file, gone);
      if (!gone) octets += size;
    }
    return octets;
  };
  for (int round = 0; round < 25; ++round) {
    const std::uintmax_t before = written();
    const pid_t pid = child([&] {
      FileHead head(head_file);
      base::SystemClock clock;
      LogOptions options;
      options.path = folder.log();
      options.rotate = std::chrono::seconds(1);
      auto log = EnforcementLog::open(options, head, clock);
      if (!log) return 1;
      for (int i = 0;; ++i) {
        (*log)->append(delivery(std::to_string(i)));
        if (i % 50 == 0) std::this_thread::yield();
      }
      return 0;
    });
    // Every other one has written something, however slow the machine is.
    for (int i = 0; i < 60000 && round % 2 == 0 && written() <= before; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 120));
    ::kill(pid, SIGKILL);
    REQUIRE(status_of(pid) == 1000 + SIGKILL);
  }
  FileHead head(head_file);
  base::SystemClock clock;
  auto log = open_log(folder, head, clock);
  log->stop("test");
  const auto result = verify(chain_files(folder.log()), *head.load());
  CHECK((result.bad ? result.bad->str() : std::string()).empty());
  CHECK(result.first_seq == 1);
  CHECK(result.records > 12);
}

TEST_CASE("log: on a full disk what was promised is written, then reserve refuses") {
  Folder folder;
  const int status = status_of(child([&] { return on_full_disk(folder); }));
  if (status == no_namespace) {
    WARN("no mount namespace here: not tested");
  } else {
    CHECK(status == 0);
  }
}

TEST_CASE("log: a write that fails half-way leaves no torn line, and the chain goes on after") {
  Folder folder;
  CHECK(status_of(child([&] { return over_a_limit(folder); })) == 0);
}

TEST_CASE("log: on_failure = continue never refuses") {
  Folder folder;
  const int status = status_of(child([&] {
    if (!small_disk(folder.path())) return no_namespace;
    fill(folder.path() / "filler");
    MemoryHead head;
    HandClock clock;
    LogOptions options;
    options.path = folder.log();
    options.on_failure = OnFailure::proceed;
    auto log = EnforcementLog::open(options, head, clock);
    if (!log) return 1;
    const auto one = (*log)->reserve();
    if (!one || one->holds()) return 2;
    (*log)->append(delivery("x"));
    return (*log)->healthy() ? 3 : 0;
  }));
  if (status == no_namespace) {
    WARN("no mount namespace here: not tested");
  } else {
    CHECK(status == 0);
  }
}
