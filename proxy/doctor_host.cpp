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
#include <cctype>
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

enum class Use : std::uint8_t { folder, written, read, secret };  // secret: read by nobody else

struct Place {
  std::string path;
  std::string key;
  Use use = Use::folder;
};

bool is_file(const Place& place) { return place.use == Use::read || place.use == Use::secret; }

int mode_of(const Place& place) {
  if (is_file(place)) return R_OK;
  return place.use == Use::folder ? W_OK | X_OK : W_OK;
}

// errno of each for that account; 0: may be used so. Empty where no child could tell.
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
      int why = EPERM;
      if (taken) why = ::access(place.path.c_str(), mode_of(place)) == 0 ? 0 : errno;
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
        std::pair((config.server.state_dir / "lock").string(), "server.state_dir"),
        std::pair((config.server.state_dir / "report.secret").string(), "server.state_dir")}) {
    std::error_code error;
    if (std::filesystem::exists(file, error)) places.push_back({file, key, Use::written});
  }
  return places;
}

// What `serve` reads as its user. The loader has read all of them as whoever runs this.
std::vector<Place> files_of(const config::Config& config, const config::Path& config_file) {
  std::vector<Place> places;
  const auto add = [&places](const config::Path& path, const char* key, Use use) {
    if (!path.empty()) places.push_back({path.string(), key, use});
  };
  add(config_file, "the configuration", Use::read);
  std::error_code error;
  for (std::filesystem::directory_iterator it(config_file.parent_path() / "conf.d", error), end;
       !error && it != end; it.increment(error)) {
    const config::Path& path = it->path();
    const bool hidden = path.filename().string().starts_with('.');
    if (path.extension() == ".toml" && !hidden) add(path, "the configuration", Use::read);
  }
  add(config.dns.trust_anchor_file, "dns.trust_anchor_file", Use::read);
  add(config.dns.unbound_config, "dns.unbound_config", Use::read);
  add(config.tls.ca_file, "tls.ca_file", Use::read);
  for (const config::Listen& one : config.listen) {
    add(one.tls_certificate, "listen.tls_certificate", Use::read);
    add(one.tls_key, "listen.tls_key", Use::secret);
    add(one.client_ca, "listen.client_ca", Use::read);
  }
  for (const config::Rule& one : config.policy.rules) {
    add(one.ca_file, "policy.rule.ca_file", Use::read);
  }
  if (config.tls_rpt.enabled) add(config.tls_rpt.dkim_key, "tls_rpt.dkim_key", Use::secret);
  if (config.admin.listen) add(config.admin.token_file, "admin.token_file", Use::secret);
  return places;
}

// What is wrong with several places in the same way, told once.
struct Alike {
  Use use = Use::folder;
  int why = 0;
  std::string what;   // "/a (key), /b (key)"
  std::string paths;  // "/a /b", for a command
  std::size_t count = 0;
};

// As one word of a shell's command.
std::string in_shell(const std::string& path) {
  const bool plain = std::ranges::all_of(path, [](unsigned char c) {
    return std::isalnum(c) != 0 || c >= 0x80 || std::strchr("/._-+:@%,=", c) != nullptr;
  });
  if (plain) return path;
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// In the order of the places.
std::vector<Alike> alike(const std::vector<Place>& places, const std::vector<int>& answers) {
  std::vector<Alike> all;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (answers[i] == 0) continue;
    // A folder, or what is in it: the same to do, but where the folder is not there.
    const Use use = places[i].use == Use::folder && answers[i] != ENOENT ? Use::written
                                                                         : places[i].use;
    auto found = std::ranges::find_if(all, [&](const Alike& one) {
      return one.use == use && one.why == answers[i];
    });
    if (found == all.end()) found = all.insert(all.end(), Alike{use, answers[i], {}, {}, 0});
    found->what += (found->count > 0 ? ", " : "") + places[i].path + " (" + places[i].key + ")";
    ++found->count;
    const bool before = std::any_of(places.begin(), places.begin() + static_cast<long>(i),
                                    [&](const Place& one) { return one.path == places[i].path; });
    if (before) continue;  // one folder for several things
    found->paths += (found->paths.empty() ? "" : " ") + in_shell(places[i].path);
  }
  return all;
}

// A folder that is not there yet is made by the daemon or by systemd, where the one above allows.
Finding judge_places(const Alike& wrong, const std::string& who, const std::string& owner) {
  const std::string why = std::strerror(wrong.why);
  if (wrong.use == Use::read || wrong.use == Use::secret) {
    std::string todo = wrong.use == Use::secret ? "chgrp " + owner + " " + wrong.paths +
                                                      " && chmod 640 " + wrong.paths
                                                : "chmod a+r " + wrong.paths;
    todo += std::string(", and let ") + owner + " enter the directories above " +
            (wrong.count > 1 ? "them" : "it");
    return {"files", Health::fail, wrong.what + " cannot be read by " + who + ": " + why,
            std::move(todo)};
  }
  if (wrong.why == ENOENT && wrong.use == Use::folder) {
    return {"directories", Health::warn,
            wrong.what + (wrong.count > 1 ? " are not there" : " is not there"),
            "systemd or the package makes " + std::string(wrong.count > 1 ? "them" : "it") +
                " at start; else: install -d -o " + owner + " " + wrong.paths};
  }
  return {"directories", Health::fail,
          wrong.what + " cannot be written by " + who + ": " + why,
          "chown " + owner + " " + wrong.paths + ", let " + owner +
              " enter the directories above, or look at the mount and its rights"};
}

// Who is asked for, and whether his answers are the daemon's.
struct Who {
  Account account;
  bool as_service = false;
  bool somebody_else = false;
  std::string words;
};

Who who_asks(const std::string& user) {
  Who who;
  who.account = account_of(user);
  who.as_service = !who.account.name.empty();
  who.somebody_else = ::geteuid() != 0 && is_another(user);
  who.words = who.as_service ? who.account.name
              : ::geteuid() == 0 ? "root"
                                 : "user " + std::to_string(::geteuid());
  return who;
}

void judge_space(std::vector<Finding>& findings, const Place& place) {
  struct statvfs disk {};
  if (place.use != Use::folder || ::statvfs(place.path.c_str(), &disk) != 0) return;
  const std::uint64_t left = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  if (left >= little_space) return;
  findings.push_back({"directories", Health::warn,
                      "only " + std::to_string(left >> 20) + " MiB are free at " + place.path,
                      "make room: a full disk defers all mail (log.on_failure)"});
}

// What is wrong; before it, how many places are not.
void ask_for_places(std::vector<Finding>& findings, const std::vector<Place>& places,
                  const Who& who, const std::string& user, const char* subject,
                  const char* verb) {
  const std::vector<int> answers = ask_as(who.account, places);
  if (answers.size() != places.size()) {
    findings.push_back({subject, Health::unknown, "could not ask as " + who.words,
                        "run doctor as root"});
    return;
  }
  const auto wrong = static_cast<std::size_t>(
      std::ranges::count_if(answers, [](int why) { return why != 0; }));
  if (who.somebody_else && wrong > 0) {
    findings.push_back({subject, Health::unknown,
                        who.words + " is not " + user + ", who has to " + verb + " them",
                        "run doctor as root"});
    return;
  }
  if (wrong < places.size()) {
    const std::size_t fine = places.size() - wrong;
    const std::string done = std::string(verb) == "read" ? "read" : "written";
    findings.push_back({subject, Health::pass,
                        std::to_string(fine) + (fine == 1 ? " place" : " places") +
                            " can be " + done + " by " + who.words,
                        ""});
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (answers[i] == 0) judge_space(findings, places[i]);
  }
  const bool known = !user.empty() && ::getpwnam(user.c_str()) != nullptr;
  for (const Alike& one : alike(places, answers)) {
    findings.push_back(judge_places(one, who.words, known ? user : "USER"));
  }
}

}  // namespace

std::vector<Finding> examine_rights(const config::Config& config,
                                    const DoctorQuestions& questions) {
  const std::string& user = questions.user;
  const Who who = who_asks(user);
  std::vector<Finding> findings;
  if (::geteuid() == 0 && !user.empty() && !who.as_service) {
    const std::string none = "there is no user " + user;
    const std::string make =
        "systemd-sysusers makes sternpost of contrib/sternpost.sysusers; --user names another";
    if (questions.user_named) return {{"directories", Health::fail, none, make}};
    // As in a container, where the daemon may well run as root.
    findings.push_back({"directories", Health::warn,
                        none + ": asked as root, who may do what the daemon's user may not",
                        make + ", --user root says that the daemon runs as root"});
  }
  const std::vector<Place> places = places_of(config);
  ask_for_places(findings, places, who, user, "directories", "write");
  const std::vector<Place> files = files_of(config, questions.config_file);
  if (!files.empty()) ask_for_places(findings, files, who, user, "files", "read");
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
