// SqliteStore: the store of one machine, a SQLite file in WAL mode. One writer thread with a
// bounded queue, in which a newer write takes the place of an older one to the same key; what could
// not be written stays there and is tried again. What is committed survives a kill -9 at any
// moment and, with synchronous=FULL, a loss of power. Made by main and by the CLI.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "store/store.h"

struct sqlite3;

namespace store {

class Database;
class Statement;

struct SqliteOptions {
  std::string file;
  std::size_t queue = 100000;                   // writes held at most; further ones fail
  std::chrono::milliseconds busy_timeout{5000};
  std::chrono::milliseconds retry{10000};       // after a failed write
  // Words for the operator's log: a write failed, a write works again. On the writer's thread.
  std::function<void(const std::string&)> on_error;
};

class SqliteStore final : public Store {
 public:
  // Opens or creates the file and brings its schema up to date. A file that is damaged, not a
  // database, another program's, or of a newer Sternpost is an error that names it; it is never
  // replaced.
  static base::Result<std::unique_ptr<SqliteStore>, base::Error> open(SqliteOptions options);
  // Writes what is posted, once, and joins the writer.
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  void put_policy(PolicyRow row) override;
  void erase_policy(const std::string& domain) override;
  void put_host(HostRow row) override;
  void erase_host(const std::string& host) override;
  void put_value(std::string key, std::string value, Done done = {}) override;
  void erase_value(std::string key) override;
  void put_policy_strings(const std::string& digest, std::string json, std::chrono::sys_days used,
                          Done done = {}) override;
  void forget_policy_strings(std::chrono::sys_days before) override;

  base::Result<void, base::Error> each_policy(
      const std::function<void(PolicyRow row)>& take) override;
  base::Result<std::vector<HostRow>, base::Error> load_hosts() override;
  base::Result<std::optional<std::string>, base::Error> value(const std::string& key) override;
  base::Result<std::vector<std::pair<std::string, std::string>>, base::Error> values(
      const std::string& prefix) override;
  base::Result<std::optional<std::string>, base::Error> policy_strings(
      const std::string& digest) override;
  bool has_policy_strings(const std::string& digest, std::chrono::sys_days used) override;
  std::optional<std::string> trouble() const override;
  Outcome flush() override;

 private:
  enum class Table { policy, host, value, strings, old_strings };
  struct Write {
    Table table = Table::value;
    std::string key;
    std::optional<std::string> text;  // of value and strings; nullopt: erase
    std::optional<PolicyRow> row;     // of policy; nullopt: erase
    std::optional<HostRow> host_row;  // of host; nullopt: erase
    std::chrono::sys_days day{};      // of strings: used; of old_strings: before
    std::vector<Done> done;
  };
  using Batch = std::map<std::uint64_t, Write>;

  SqliteStore(SqliteOptions options, std::unique_ptr<Database> reader,
              std::unique_ptr<Database> writer);
  void post(Write write);
  void run();
  Batch take();  // with lock_ held
  Outcome commit(const Batch& batch);
  Outcome apply(const Write& write);
  void finish(Batch batch, const Outcome& outcome);
  static std::string slot(const Write& write);
  static void bind_host(Statement& statement, const HostRow& row);

  SqliteOptions options_;
  std::mutex reading_;
  std::unique_ptr<Database> reader_;
  std::unique_ptr<Database> writer_;  // the writer thread's alone

  mutable std::mutex lock_;
  std::condition_variable work_;
  std::condition_variable settled_;
  std::map<std::uint64_t, Write> pending_;                // by number, so oldest first
  std::unordered_map<std::string, std::uint64_t> slots_;  // table and key → number in pending_
  std::unordered_map<std::string, std::chrono::sys_days> strings_on_disk_;  // to when last used
  std::uint64_t posted_ = 0;            // number of the last write
  std::uint64_t in_flight_ = 0;         // lowest number of the batch being tried; 0: none
  std::uint64_t begun_ = 0;             // batches begun
  std::uint64_t ended_ = 0;
  std::optional<std::string> error_;    // of the last batch that ended
  bool retry_now_ = false;
  bool stopping_ = false;
  std::thread thread_;               // last: it uses all of the above
};

}  // namespace store
