// doctor: what can be told from this machine alone: who may write where, and the clock.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proxy/doctor.h"

namespace proxy {

namespace {

constexpr std::uint64_t little_space = 256ULL << 20;

struct Account {
  std::string name;  // empty: whoever runs this
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// The daemon's user, where this process can take it on; else whoever runs this.
Account account_of(const std::string& user) {
  const passwd* const entry = user.empty() ? nullptr : ::getpwnam(user.c_str());
  if (entry == nullptr || ::geteuid() != 0) return {};
  Account account{user, entry->pw_uid, entry->pw_gid, {}};
  int count = 64;
  account.groups.resize(static_cast<std::size_t>(count));
  if (::getgrouplist(user.c_str(), account.gid, account.groups.data(), &count) < 0) count = 0;
  account.groups.resize(static_cast<std::size_t>(count));
  return account;
}

// Whether there is such a user, and it is not whoever runs this.
bool is_another(const std::string& user) {
  const passwd* const entry = ::getpwnam(user.c_str());
  return entry != nullptr && entry->pw_uid != ::geteuid();
}

struct Place {
  std::string path;
  std::string key;
  bool folder = true;
};

// errno of each for that account; 0: may be written. Empty where no child could tell.
std::vector<int> ask_as(const Account& account, const std::vector<Place>& places) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    const bool taken = account.name.empty() ||
                       (::setgroups(account.groups.size(), account.groups.data()) == 0 &&
                        ::setresgid(account.gid, account.gid, account.gid) == 0 &&
                        ::setresuid(account.uid, account.uid, account.uid) == 0);
    for (const Place& place : places) {
      const int mode = place.folder ? W_OK | X_OK : W_OK;
      int why = EPERM;
      if (taken) why = ::access(place.path.c_str(), mode) == 0 ? 0 : errno;
      if (::write(ends[1], &why, sizeof why) != sizeof why) ::_exit(1);
    }
    ::_exit(taken ? 0 : 1);
  }
  ::close(ends[1]);
  std::vector<int> answers;
  for (int why = 0; child > 0 && ::read(ends[0], &why, sizeof why) == sizeof why;) {
    answers.push_back(why);
  }
  ::close(ends[0]);
  int status = 0;
  while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const bool fine = child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!fine || answers.size() != places.size()) answers.clear();
  return answers;
}

std::vector<Place> places_of(const config::Config& config) {
  const std::string log = config.log.enforcement.string();
  const std::string store = config.store.sqlite_file().string();
  std::vector<Place> places{
      {config.server.state_dir.string(), "server.state_dir"},
      {config.log.enforcement.parent_path().string(), "log.enforcement"},
      {config.server.control.parent_path().string(), "server.control"}};
  if (config.tls_rpt.enabled) places.push_back({config.tls_rpt.directory.string(),
                                                "tls_rpt.directory"});
  if (!store.empty()) {
    places.push_back({config.store.sqlite_file().parent_path().string(), "store.url"});
  }
  for (const auto& [file, key] :
       {std::pair(log, "log.enforcement"), std::pair(store, "store.url"),
        std::pair(store + "-wal", "store.url"), std::pair(store + "-shm", "store.url"),
        std::pair((config.server.state_dir / "lock").string(), "server.state_dir")}) {
    std::error_code error;
    if (std::filesystem::exists(file, error)) places.push_back({file, key, false});
  }
  return places;
}

// A folder that is not there yet is made by the daemon or by systemd, where the one above allows.
Finding judge_place(const Place& place, int why, const std::string& who, bool as_service) {
  const std::string what = place.path + " (" + place.key + ")";
  if (why == ENOENT && place.folder) {
    return {"directories", Health::warn, what + " is not there",
            "systemd or the package makes it at start; else: install -d -o " +
                (as_service ? who : "USER") + " " + place.path};
  }
  return {"directories", Health::fail, what + " cannot be written by " + who + ": " +
                                           std::strerror(why),
          "chown " + (as_service ? who : std::string("USER")) + " " + place.path +
              ", or look at the mount and its rights"};
}

}  // namespace

std::vector<Finding> examine_directories(const config::Config& config, const std::string& user) {
  const Account account = account_of(user);
  const bool as_service = !account.name.empty();
  const bool root = ::geteuid() == 0;
  if (root && !user.empty() && !as_service) {
    return {{"directories", Health::fail, "there is no user " + user,
             "systemd-sysusers makes it of contrib/sternpost.sysusers; --user names another"}};
  }
  const std::string who = as_service ? account.name : "user " + std::to_string(::geteuid());
  const std::vector<Place> places = places_of(config);
  const std::vector<int> answers = ask_as(account, places);
  if (answers.empty()) {
    return {{"directories", Health::unknown, "could not ask as " + who, "run doctor as root"}};
  }
  std::vector<Finding> findings;
  if (!root && is_another(user) && std::ranges::any_of(answers, [](int why) { return why != 0; })) {
    return {{"directories", Health::unknown, who + " is not " + user + ", who has to write them",
             "run doctor as root"}};
  }
  std::size_t fine = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (answers[i] != 0) {
      findings.push_back(judge_place(places[i], answers[i], who, as_service));
      continue;
    }
    ++fine;
    struct statvfs disk {};
    if (!places[i].folder || ::statvfs(places[i].path.c_str(), &disk) != 0) continue;
    const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (left < little_space) {
      findings.push_back({"directories", Health::warn,
                          "only " + std::to_string(left >> 20) + " MiB are free at " +
                              places[i].path,
                          "make room: a full disk defers all mail (log.on_failure)"});
    }
  }
  if (fine > 0) {
    findings.insert(findings.begin(),
                    {"directories", Health::pass,
                     std::to_string(fine) + " places can be written by " + who, ""});
  }
  return findings;
}

// What the kernel knows of a time service that keeps the clock (NTP, chrony, timesyncd all tell
// it); no packet is sent.
Finding examine_clock() {
  timex state{};
  const int result = ::adjtimex(&state);
  if (result < 0) {
    return {"clock", Health::unknown, std::string("adjtimex: ") + std::strerror(errno), ""};
  }
  if (result == TIME_ERROR || (state.status & STA_UNSYNC) != 0) {
    return {"clock", Health::warn, "no time service keeps it",
            "certificates, DNSSEC signatures and policies are judged by it: timedatectl set-ntp "
            "true, or chrony"};
  }
  return {"clock", Health::pass,
          "kept by a time service, within " + std::to_string((state.esterror + 999) / 1000) +
              " ms", ""};
}

}  // namespace proxy
