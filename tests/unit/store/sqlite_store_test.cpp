// SqliteStore: what is posted is there after a restart and after a kill -9; what is damaged is
// told and left alone; what cannot be written is told, kept and written later.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "store/database.h"
#include "store/sqlite_store.h"

namespace fs = std::filesystem;

namespace {

const std::chrono::sys_days today{std::chrono::year(2026) / 11 / 26};

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sternpost-store-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file() const { return (path_ / "state.db").string(); }

 private:
  fs::path path_;
};

store::SqliteOptions options_for(const Folder& folder) {
  store::SqliteOptions options;
  options.file = folder.file();
  return options;
}

std::unique_ptr<store::SqliteStore> open(store::SqliteOptions options) {
  auto opened = store::SqliteStore::open(std::move(options));
  if (!opened) FAIL(opened.error().text);
  return std::move(*opened);
}
std::unique_ptr<store::SqliteStore> open(const Folder& folder) {
  return open(options_for(folder));
}

store::PolicyRow row(const std::string& domain, const std::string& id = "1") {
  store::PolicyRow made;
  made.domain = domain;
  made.id = id;
  made.body = "version: STSv1\nmode: none\nmax_age: 86400\n";
  made.fetched = base::WallTime(std::chrono::milliseconds(1700000000123));
  made.expires = made.fetched + std::chrono::days(1);
  made.txt_checked = made.fetched;
  made.refresh_failures = 3;
  return made;
}

std::string failure_to_open(const Folder& folder) {
  const auto opened = store::SqliteStore::open(options_for(folder));
  REQUIRE(!opened);
  return opened.error().text;
}

std::string content(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("store: policies, values and policy strings are there after a restart") {
  const Folder folder;
  {
    const auto store = open(folder);
    store->put_policy(row("a.example"));
    store->put_policy(row("b.example"));
    store->put_policy(row("b.example", "2"));
    store->put_policy(row("gone.example"));
    store->erase_policy("gone.example");
    store->put_value("chain/head", "42 abc");
    store->put_value("chain/file", "x.jsonl");
    store->put_value("chair", "no");
    store->put_value("gone", "x");
    store->erase_value("gone");
    store->put_policy_strings("d1", "{\"a\":1}", today);
  }
  const auto store = open(folder);
  const auto rows = store->load_policies();
  REQUIRE(rows.has_value());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0] == row("a.example"));
  CHECK((*rows)[1] == row("b.example", "2"));
  CHECK(**store->value("chain/head") == "42 abc");
  CHECK(!store->value("gone")->has_value());
  const auto values = store->values("chain/");
  REQUIRE(values->size() == 2);
  CHECK((*values)[0].first == "chain/file");
  CHECK(**store->policy_strings("d1") == "{\"a\":1}");
  CHECK(!store->policy_strings("d2")->has_value());
  CHECK(store->has_policy_strings("d1", today));
  CHECK_FALSE(store->has_policy_strings("d2", today));
}

TEST_CASE("store: MX hosts are there after a restart, the one seen last first") {
  const Folder folder;
  store::HostRow plain;
  plain.host = "plain.example";
  plain.seen = base::WallTime(std::chrono::milliseconds(1700000000001));
  plain.plain = "192.0.2.1 2001:db8::1";
  store::HostRow known;
  known.host = "known.example";
  known.seen = base::WallTime(std::chrono::milliseconds(1700000000002));
  known.tls = known.authenticated = known.seen;
  known.peer_auth = "pkix";
  known.spki_sha256 = "ab";
  {
    auto store = open(folder);
    store->put_host(plain);
    store->put_host(known);
    store::HostRow gone;
    gone.host = "gone.example";
    store->put_host(gone);
    store->erase_host("gone.example");
    REQUIRE(store->flush().has_value());
    CHECK_FALSE(store->trouble().has_value());
  }
  auto store = open(folder);
  const auto rows = store->load_hosts();
  REQUIRE(rows.has_value());
  CHECK((*rows == std::vector<store::HostRow>{known, plain}));
}

TEST_CASE("store: text is kept octet for octet") {
  const Folder folder;
  const auto store = open(folder);
  auto odd = row("odd.example");
  odd.body = std::string("a'b\"c\0d\xff\n;--", 13);
  store->put_policy(odd);
  store->put_value("", "");
  REQUIRE(store->flush().has_value());
  CHECK(store->load_policies()->front() == odd);
  CHECK(store->value("")->value().empty());
}

TEST_CASE("store: done is told when the write is on disk, and at once for a known digest") {
  const Folder folder;
  const auto store = open(folder);
  std::atomic<int> told{0};
  const auto done = [&](const store::Outcome& outcome) { told += outcome ? 1 : 100; };
  store->put_policy_strings("d", "{}", today, done);
  store->put_value("k", "1", done);
  store->put_value("k", "2", done);
  REQUIRE(store->flush().has_value());
  CHECK(told == 3);
  CHECK(store->has_policy_strings("d", today));
  store->put_policy_strings("d", "{}", today, done);
  CHECK(told == 4);
  CHECK(**store->value("k") == "2");
}

TEST_CASE("store: strings of a policy are kept from the day they were last used") {
  const Folder folder;
  const auto day = [](int n) { return today + std::chrono::days(n); };
  {
    const auto store = open(folder);
    store->put_policy_strings("old", "{}", day(0));
    store->put_policy_strings("used", "{}", day(0));
    REQUIRE(store->flush().has_value());
    CHECK_FALSE(store->has_policy_strings("used", day(5)));
    store->put_policy_strings("used", "{}", day(5));
    store->forget_policy_strings(day(1));
    REQUIRE(store->flush().has_value());
    CHECK_FALSE(store->has_policy_strings("old", day(0)));
    CHECK(store->has_policy_strings("used", day(5)));
  }
  const auto store = open(folder);
  CHECK(store->has_policy_strings("used", day(5)));
  CHECK_FALSE(store->policy_strings("old")->has_value());
  store->put_policy_strings("old", "{\"again\":1}", day(6));
  REQUIRE(store->flush().has_value());
  CHECK(**store->policy_strings("old") == "{\"again\":1}");
}

TEST_CASE("store: what was flushed survives a kill -9") {
  const Folder folder;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    auto opened = store::SqliteStore::open(options_for(folder));
    if (!opened) _exit(1);
    for (int i = 0; i < 500; ++i) (*opened)->put_policy(row("d" + std::to_string(i) + ".example"));
    (*opened)->put_value("chain/head", "499");
    if (!(*opened)->flush()) _exit(1);
    for (int i = 0; i < 500; ++i) (*opened)->put_policy(row("e" + std::to_string(i) + ".example"));
    if (write(ready[1], "r", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  close(ready[1]);
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  REQUIRE(kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  const auto store = open(folder);
  const auto rows = store->load_policies();
  REQUIRE(rows.has_value());
  std::set<std::string> domains;
  for (const auto& one : *rows) domains.insert(one.domain);
  for (int i = 0; i < 500; ++i) CHECK(domains.contains("d" + std::to_string(i) + ".example"));
  CHECK(**store->value("chain/head") == "499");
}

TEST_CASE("store: a file that is no database is told by name and not touched") {
  const Folder folder;
  const std::string text = "This is not a database, but somebody may still need it.\n";
  std::ofstream(folder.file()) << text;
  CHECK(failure_to_open(folder).find(folder.file()) == 0);
  CHECK(content(folder.file()) == text);
}

TEST_CASE("store: a damaged database is told by name and not made anew") {
  const Folder folder;
  {
    const auto store = open(folder);
    for (int i = 0; i < 2000; ++i) store->put_policy(row("d" + std::to_string(i) + ".example"));
  }
  const auto size = fs::file_size(folder.file());
  REQUIRE(size > 65536);
  {
    std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size / 2));
    file << std::string(16384, '\xa5');
  }
  CHECK(failure_to_open(folder).find(folder.file()) == 0);
  CHECK(fs::file_size(folder.file()) == size);
}

TEST_CASE("store: another program's database and a newer schema are refused") {
  const Folder folder;
  auto other = store::Database::open(folder.file(), std::chrono::milliseconds(100));
  REQUIRE(other.has_value());
  SECTION("another program's") {
    REQUIRE((*other)->execute("CREATE TABLE t (x)").has_value());
    CHECK(failure_to_open(folder).find("another program") != std::string::npos);
  }
  SECTION("newer") {
    { const auto store = open(folder); }
    REQUIRE((*other)->execute("PRAGMA user_version = 999").has_value());
    CHECK(failure_to_open(folder).find("schema 999") != std::string::npos);
  }
}

TEST_CASE("store: a folder that is not there is an error that names the file") {
  store::SqliteOptions options;
  options.file = "/nonexistent/state.db";
  const auto opened = store::SqliteStore::open(options);
  REQUIRE(!opened);
  CHECK(opened.error().text.find("/nonexistent/state.db") == 0);
}

TEST_CASE("store: a write that fails is told, kept, and written once it can be") {
  const Folder folder;
  std::mutex lock;
  std::vector<std::string> words;
  auto options = options_for(folder);
  options.busy_timeout = std::chrono::milliseconds(20);
  options.on_error = [&](const std::string& text) {
    const std::lock_guard<std::mutex> held(lock);
    words.push_back(text);
  };
  const auto store = open(options);
  auto other = store::Database::open(folder.file(), std::chrono::milliseconds(5000));
  REQUIRE(other.has_value());
  REQUIRE((*other)->execute("BEGIN IMMEDIATE").has_value());  // nobody else may write now
  store->put_policy(row("a.example"));
  std::atomic<int> refused{0};
  store->put_value("k", "v", [&](const store::Outcome& outcome) { refused += outcome ? 0 : 1; });
  const auto flushed = store->flush();
  REQUIRE(!flushed);
  CHECK(flushed.error().text.find(folder.file()) == 0);
  CHECK(store->load_policies()->empty());
  REQUIRE((*other)->execute("ROLLBACK").has_value());
  REQUIRE(store->flush().has_value());
  CHECK(refused == 1);
  CHECK(store->load_policies()->size() == 1);
  CHECK(**store->value("k") == "v");
  const std::lock_guard<std::mutex> held(lock);
  REQUIRE(words.size() == 2);
  CHECK(words[0].find("tried again") != std::string::npos);
  CHECK(words[1].find("written again") != std::string::npos);
}

TEST_CASE("store: a full disk is told and the store goes on") {
  const Folder folder;
  const pid_t child = fork();
  if (child == 0) {
    // In a child, for the limit on file size is the whole process's.
    signal(SIGXFSZ, SIG_IGN);
    auto opened = store::SqliteStore::open(options_for(folder));
    if (!opened) _exit(2);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 65536;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (int i = 0; i < 2000; ++i) (*opened)->put_policy(row("d" + std::to_string(i) + ".example"));
    if ((*opened)->flush()) _exit(3);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!(*opened)->flush()) _exit(4);
    _exit((*opened)->load_policies()->size() == 2000 ? 0 : 5);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("store: the queue is bounded; a newer write to a waiting key always fits") {
  const Folder folder;
  auto options = options_for(folder);
  options.busy_timeout = std::chrono::milliseconds(1);
  options.queue = 2;
  const auto store = open(options);
  auto other = store::Database::open(folder.file(), std::chrono::milliseconds(5000));
  REQUIRE(other.has_value());
  REQUIRE((*other)->execute("BEGIN IMMEDIATE").has_value());
  store->put_value("a", "1");
  store->put_value("b", "1");
  CHECK(!store->flush());
  std::string refused;
  store->put_value("c", "1", [&](const store::Outcome& outcome) {
    if (!outcome) refused = outcome.error().text;
  });
  CHECK(refused.find("too many writes") != std::string::npos);
  store->put_value("b", "2");
  REQUIRE((*other)->execute("ROLLBACK").has_value());
  REQUIRE(store->flush().has_value());
  CHECK(**store->value("b") == "2");
  CHECK(!store->value("c")->has_value());
}

TEST_CASE("store: two processes' stores share one file") {
  const Folder folder;
  const auto first = open(folder);
  const auto second = open(folder);
  for (int i = 0; i < 200; ++i) {
    first->put_value("first/" + std::to_string(i), "x");
    second->put_value("second/" + std::to_string(i), "x");
  }
  REQUIRE(first->flush().has_value());
  REQUIRE(second->flush().has_value());
  CHECK(first->values("")->size() == 400);
}

TEST_CASE("store: the database and what SQLite keeps beside it are 0640, whatever the umask") {
  const auto mode_of = [](const std::string& file) {
    return static_cast<unsigned>(fs::status(file).permissions());
  };
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    CAPTURE(mask);
    const Folder folder;
    const mode_t before = ::umask(mask);
    auto store = open(folder);
    store->put_value("key", "text");
    REQUIRE(store->flush().has_value());
    ::umask(before);
    for (const char* const part : {"", "-wal", "-shm"}) {
      CAPTURE(part);
      CHECK(mode_of(folder.file() + part) == 0640);
    }
    store.reset();
    // One that was made before this was minded.
    fs::permissions(folder.file(), fs::perms{0644});
    store = open(folder);
    CHECK(mode_of(folder.file()) == 0640);
    store.reset();
    fs::permissions(folder.file(), fs::perms{0600});
    store = open(folder);
    CHECK(mode_of(folder.file()) == 0600);  // the operator's own wish
  }
}
