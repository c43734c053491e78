#include "store/sqlite_store.h"

#include <iterator>

#include "store/database.h"
#include "store/sqlite_reader.h"

namespace store {

namespace {

constexpr std::size_t batch_size = 2000;
constexpr std::int64_t schema_version = 3;

constexpr const char* schema_1 = R"(
BEGIN IMMEDIATE;
CREATE TABLE policy (
  domain TEXT PRIMARY KEY, id TEXT NOT NULL, body TEXT NOT NULL, fetched INTEGER NOT NULL,
  expires INTEGER NOT NULL, txt_checked INTEGER NOT NULL, refresh_failures INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE value (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE policy_strings (digest TEXT PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = 1400139887;
PRAGMA user_version = 1;
COMMIT;
)";
// TLS-RPT: store/sqlite_reports.cpp and store/sqlite_counts.cpp read and write these. report_batch
// is the journal of counts that report_policy and report_failure do not hold yet; what lies in a
// row of it is store/count_journal.h's matter.
constexpr const char* schema_2 = R"(
BEGIN IMMEDIATE;
CREATE TABLE report_policy (
  day INTEGER NOT NULL, domain TEXT NOT NULL, digest TEXT NOT NULL, type TEXT NOT NULL,
  policy_domain TEXT NOT NULL, fine INTEGER NOT NULL, noted INTEGER NOT NULL,
  failed INTEGER NOT NULL, PRIMARY KEY (day, domain, digest)
) WITHOUT ROWID;
CREATE TABLE report_failure (
  day INTEGER NOT NULL, domain TEXT NOT NULL, digest TEXT NOT NULL, result TEXT NOT NULL,
  reason TEXT NOT NULL, mx TEXT NOT NULL, helo TEXT NOT NULL, ip TEXT NOT NULL,
  source TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (day, domain, digest, result, reason, mx, helo, ip, source)
) WITHOUT ROWID;
CREATE TABLE report_batch (
  number INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, rows INTEGER NOT NULL,
  policies TEXT NOT NULL, failures TEXT NOT NULL
);
CREATE TABLE report (
  day INTEGER NOT NULL, domain TEXT NOT NULL, id TEXT NOT NULL, successes INTEGER NOT NULL,
  failures INTEGER NOT NULL, composed INTEGER NOT NULL, state INTEGER NOT NULL,
  due INTEGER NOT NULL, lookups INTEGER NOT NULL, first_lookup INTEGER NOT NULL,
  record TEXT NOT NULL, PRIMARY KEY (day, domain)
) WITHOUT ROWID;
CREATE INDEX report_due ON report (state, due);
CREATE TABLE report_endpoint (
  day INTEGER NOT NULL, domain TEXT NOT NULL, uri TEXT NOT NULL, state INTEGER NOT NULL,
  attempts INTEGER NOT NULL, first INTEGER NOT NULL, next INTEGER NOT NULL, answer TEXT NOT NULL,
  reverse_path TEXT NOT NULL, message TEXT NOT NULL, PRIMARY KEY (day, domain, uri)
);
ALTER TABLE policy_strings ADD COLUMN used INTEGER NOT NULL DEFAULT 0;
UPDATE policy_strings SET used = unixepoch() / 86400;
PRAGMA user_version = 2;
COMMIT;
)";
// What MX hosts showed: store/sqlite_hosts.cpp. A time of 0: never.
constexpr const char* schema_3 = R"(
BEGIN IMMEDIATE;
CREATE TABLE mx_host (
  host TEXT PRIMARY KEY, seen INTEGER NOT NULL, tls INTEGER NOT NULL,
  authenticated INTEGER NOT NULL, peer_auth TEXT NOT NULL, spki_sha256 TEXT NOT NULL,
  plain TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 3;
COMMIT;
)";
static_assert(application_id == 1400139887);

// Whatever stands between that schema and the present one.
Outcome bring_up_to_date(Database& db, std::int64_t version) {
  const char* const steps[] = {schema_1, schema_2, schema_3};
  static_assert(std::size(steps) == schema_version);
  for (std::int64_t step = version; step < schema_version; ++step) {
    auto taken = db.execute(steps[step]);
    if (!taken) return taken;
  }
  return {};
}

std::int64_t to_number(std::chrono::sys_days day) { return day.time_since_epoch().count(); }
std::chrono::sys_days to_day(std::int64_t number) {
  return std::chrono::sys_days(std::chrono::days(number));
}
std::int64_t to_number(base::WallTime time) { return time.time_since_epoch().count(); }

// The file is ours, undamaged and of this schema; an empty one gets it.
Outcome prepare_schema(Database& db, const std::string& file) {
  auto id = db.number("PRAGMA application_id");
  if (!id) return base::fail(std::move(id.error()));
  auto version = db.number("PRAGMA user_version");
  if (!version) return base::fail(std::move(version.error()));
  auto tables = db.number("SELECT count(*) FROM sqlite_master");
  if (!tables) return base::fail(std::move(tables.error()));
  if (*id == 0 && *version == 0 && *tables == 0) {
    return bring_up_to_date(db, 0);
  }
  if (*id != application_id) return base::fail(file + ": is another program's database");
  if (*version < 1 || *version > schema_version) {
    return base::fail(file + ": has schema " + std::to_string(*version) +
                      ", of another Sternpost; this one knows " + std::to_string(schema_version));
  }
  auto check = db.prepare("PRAGMA quick_check(1)");
  if (!check) return base::fail(std::move(check.error()));
  auto row = check->step();
  if (!row) return base::fail(std::move(row.error()));
  if (!*row || check->text(0) != "ok") {
    return base::fail(file + ": is damaged: " + check->text(0));
  }
  auto done = bring_up_to_date(db, *version);
  if (!done) return done;
  // The pages of the check are not wanted again.
  return db.execute("PRAGMA shrink_memory");
}

}  // namespace

base::Result<std::unique_ptr<SqliteStore>, base::Error> SqliteStore::open(SqliteOptions options) {
  auto writer = Database::open(options.file, options.busy_timeout);
  if (!writer) return base::fail(std::move(writer.error()));
  auto prepared = prepare_schema(**writer, options.file);
  if (!prepared) return base::fail(std::move(prepared.error()));
  auto reader = Database::open(options.file, options.busy_timeout);
  if (!reader) return base::fail(std::move(reader.error()));
  std::unordered_map<std::string, std::chrono::sys_days> known;
  auto digests = (*reader)->prepare("SELECT digest, used FROM policy_strings");
  if (!digests) return base::fail(std::move(digests.error()));
  while (true) {
    auto row = digests->step();
    if (!row) return base::fail(std::move(row.error()));
    if (!*row) break;
    known.emplace(digests->text(0), to_day(digests->number(1)));
  }
  std::unique_ptr<SqliteStore> store(
      new SqliteStore(std::move(options), std::move(*reader), std::move(*writer)));
  store->strings_on_disk_ = std::move(known);
  store->thread_ = std::thread([self = store.get()] { self->run(); });
  return store;
}

SqliteStore::SqliteStore(SqliteOptions options, std::unique_ptr<Database> reader,
                         std::unique_ptr<Database> writer)
    : options_(std::move(options)), reader_(std::move(reader)), writer_(std::move(writer)) {}

SqliteStore::~SqliteStore() {
  {
    const std::lock_guard<std::mutex> held(lock_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// ---- posting ------------------------------------------------------------------------------------

std::string SqliteStore::slot(const Write& write) {
  return std::to_string(static_cast<int>(write.table)) + write.key;
}

void SqliteStore::post(Write write) {
  std::unique_lock<std::mutex> held(lock_);
  const std::string place = slot(write);
  const auto older = slots_.find(place);
  if (older != slots_.end()) {
    // The newest write is the one that counts; those who wait for an older one wait for it.
    const auto replaced = pending_.find(older->second);
    for (Done& done : replaced->second.done) write.done.push_back(std::move(done));
    pending_.erase(replaced);
    slots_.erase(older);
  } else if (pending_.size() >= options_.queue) {
    held.unlock();
    const Outcome full = base::fail(options_.file + ": too many writes are waiting; " +
                                    write.key + " is not stored");
    for (const Done& done : write.done) done(full);
    if (options_.on_error) options_.on_error(full.error().text);
    return;
  }
  // Whoever waits for an outcome learns of a full disk now, not after the next retry.
  if (!write.done.empty()) retry_now_ = true;
  slots_.emplace(place, ++posted_);
  pending_.emplace(posted_, std::move(write));
  held.unlock();
  work_.notify_all();
}

void SqliteStore::put_policy(PolicyRow row) {
  Write write;
  write.table = Table::policy;
  write.key = row.domain;
  write.row = std::move(row);
  post(std::move(write));
}

void SqliteStore::erase_policy(const std::string& domain) {
  Write write;
  write.table = Table::policy;
  write.key = domain;
  post(std::move(write));
}

void SqliteStore::put_value(std::string key, std::string value, Done done) {
  Write write;
  write.key = std::move(key);
  write.text = std::move(value);
  if (done) write.done.push_back(std::move(done));
  post(std::move(write));
}

void SqliteStore::erase_value(std::string key) {
  Write write;
  write.key = std::move(key);
  post(std::move(write));
}

void SqliteStore::put_policy_strings(const std::string& digest, std::string json,
                                     std::chrono::sys_days used, Done done) {
  if (has_policy_strings(digest, used)) {
    if (done) done(Outcome());
    return;
  }
  Write write;
  write.table = Table::strings;
  write.key = digest;
  write.text = std::move(json);
  write.day = used;
  if (done) write.done.push_back(std::move(done));
  post(std::move(write));
}

void SqliteStore::forget_policy_strings(std::chrono::sys_days before) {
  Write write;
  write.table = Table::old_strings;
  write.day = before;
  post(std::move(write));
}

bool SqliteStore::has_policy_strings(const std::string& digest, std::chrono::sys_days used) {
  const std::lock_guard<std::mutex> held(lock_);
  const auto found = strings_on_disk_.find(digest);
  return found != strings_on_disk_.end() && found->second >= used;
}

std::optional<std::string> SqliteStore::trouble() const {
  const std::lock_guard<std::mutex> held(lock_);
  return error_;
}

Outcome SqliteStore::flush() {
  std::unique_lock<std::mutex> held(lock_);
  const std::uint64_t last = posted_;
  const std::uint64_t begun = begun_;
  retry_now_ = true;
  work_.notify_all();
  while (true) {
    const bool waiting = !pending_.empty() && pending_.begin()->first <= last;
    const bool trying = in_flight_ != 0 && in_flight_ <= last;
    if (!waiting && !trying) return {};
    // Only the outcome of a batch that began after this call says that it cannot be written now.
    if (ended_ > begun && error_) return base::fail(*error_);
    settled_.wait(held);
  }
}

// ---- the writer's thread ------------------------------------------------------------------------

SqliteStore::Batch SqliteStore::take() {
  Batch batch;
  while (!pending_.empty() && batch.size() < batch_size) {
    auto node = pending_.extract(pending_.begin());
    slots_.erase(slot(node.mapped()));
    batch.insert(std::move(node));
  }
  in_flight_ = batch.begin()->first;
  ++begun_;
  retry_now_ = false;
  return batch;
}

void SqliteStore::run() {
  std::unique_lock<std::mutex> held(lock_);
  while (true) {
    const auto due = [this] { return stopping_ || (retry_now_ && !pending_.empty()); };
    if (error_) {
      work_.wait_for(held, options_.retry, due);
    } else {
      work_.wait(held, [this, &due] { return due() || !pending_.empty(); });
    }
    if (pending_.empty()) {
      if (stopping_) return;
      error_.reset();
      continue;
    }
    Batch batch = take();
    held.unlock();
    const Outcome outcome = commit(batch);
    finish(std::move(batch), outcome);
    held.lock();
    if (stopping_ && (error_ || pending_.empty())) return;
  }
}

Outcome SqliteStore::commit(const Batch& batch) {
  Outcome outcome = writer_->execute("BEGIN IMMEDIATE");
  if (!outcome) return outcome;
  for (const auto& [number, write] : batch) {
    outcome = apply(write);
    if (!outcome) break;
  }
  if (outcome) outcome = writer_->execute("COMMIT");
  // A failed COMMIT may leave the transaction open; SQLite says so itself where it does not.
  if (!outcome) (void)writer_->execute("ROLLBACK");
  return outcome;
}

Outcome SqliteStore::apply(const Write& write) {
  const char* sql = nullptr;
  if (write.table == Table::policy) {
    sql = write.row ? "INSERT OR REPLACE INTO policy VALUES (?1,?2,?3,?4,?5,?6,?7)"
                    : "DELETE FROM policy WHERE domain = ?1";
  } else if (write.table == Table::host) {
    sql = write.host_row ? "INSERT OR REPLACE INTO mx_host VALUES (?1,?2,?3,?4,?5,?6,?7)"
                         : "DELETE FROM mx_host WHERE host = ?1";
  } else if (write.table == Table::strings) {
    sql = "INSERT INTO policy_strings VALUES (?1, ?2, ?3) "
          "ON CONFLICT (digest) DO UPDATE SET used = excluded.used";
  } else if (write.table == Table::old_strings) {
    sql = "DELETE FROM policy_strings WHERE used < ?1";
  } else {
    sql = write.text ? "INSERT OR REPLACE INTO value VALUES (?1, ?2)"
                     : "DELETE FROM value WHERE key = ?1";
  }
  auto statement = writer_->prepare(sql);
  if (!statement) return base::fail(std::move(statement.error()));
  if (write.table == Table::old_strings) return statement->bind(1, to_number(write.day)).run();
  statement->bind(1, write.key);
  if (write.text) statement->bind(2, *write.text);
  if (write.table == Table::strings) statement->bind(3, to_number(write.day));
  if (write.row) {
    statement->bind(2, write.row->id).bind(3, write.row->body);
    statement->bind(4, to_number(write.row->fetched)).bind(5, to_number(write.row->expires));
    statement->bind(6, to_number(write.row->txt_checked));
    statement->bind(7, static_cast<std::int64_t>(write.row->refresh_failures));
  }
  if (write.host_row) bind_host(*statement, *write.host_row);
  return statement->run();
}

// A failed batch goes back into the queue, save where something newer took its place.
void SqliteStore::finish(Batch batch, const Outcome& outcome) {
  std::vector<Done> done;
  std::optional<std::string> words;
  {
    const std::lock_guard<std::mutex> held(lock_);
    for (auto& [number, write] : batch) {
      for (Done& one : write.done) done.push_back(std::move(one));
      write.done.clear();
      if (outcome) {
        if (write.table == Table::strings) strings_on_disk_[write.key] = write.day;
        if (write.table == Table::old_strings) {
          std::erase_if(strings_on_disk_,
                        [&write](const auto& one) { return one.second < write.day; });
        }
      } else if (slots_.emplace(slot(write), number).second) {
        pending_.emplace(number, std::move(write));
      }
    }
    if (!outcome && !error_) words = outcome.error().text + "; it will be tried again";
    if (outcome && error_) words = options_.file + ": written again";
    error_.reset();
    if (!outcome) error_ = outcome.error().text;
    in_flight_ = 0;
    ++ended_;
  }
  for (const Done& one : done) one(outcome);
  if (words && options_.on_error) options_.on_error(*words);
  settled_.notify_all();
}

// ---- reading ------------------------------------------------------------------------------------

base::Result<void, base::Error> SqliteStore::each_policy(
    const std::function<void(PolicyRow row)>& take) {
  const std::lock_guard<std::mutex> held(reading_);
  auto read = read_policies(*reader_, take);
  if (!read) return read;
  // The pages that were read are not wanted again: two megabytes.
  return reader_->execute("PRAGMA shrink_memory");
}

base::Result<std::optional<std::string>, base::Error> SqliteStore::value(const std::string& key) {
  const std::lock_guard<std::mutex> held(reading_);
  return read_value(*reader_, key);
}

base::Result<std::vector<std::pair<std::string, std::string>>, base::Error> SqliteStore::values(
    const std::string& prefix) {
  const std::lock_guard<std::mutex> held(reading_);
  auto statement = reader_->prepare(
      "SELECT key, text FROM value WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key");
  if (!statement) return base::fail(std::move(statement.error()));
  statement->bind(1, prefix);
  std::vector<std::pair<std::string, std::string>> found;
  while (true) {
    auto more = statement->step();
    if (!more) return base::fail(std::move(more.error()));
    if (!*more) return found;
    found.emplace_back(statement->text(0), statement->text(1));
  }
}

base::Result<std::optional<std::string>, base::Error> SqliteStore::policy_strings(
    const std::string& digest) {
  const std::lock_guard<std::mutex> held(reading_);
  auto statement = reader_->prepare("SELECT json FROM policy_strings WHERE digest = ?1");
  if (!statement) return base::fail(std::move(statement.error()));
  auto row = statement->bind(1, digest).step();
  if (!row) return base::fail(std::move(row.error()));
  std::optional<std::string> found;
  if (*row) found = statement->text(0);
  return found;
}

}  // namespace store
