#include "store/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

namespace store {

namespace {

base::Error error_of(sqlite3* db, const std::string& file) {
  return base::Error{file + ": " + sqlite3_errmsg(db)};
}

// Whom the relay writes to is nobody else's affair, whatever the umask. SQLite gives -wal and -shm
// the database's own mode; those of an older one may be there still. An existing file is never
// opened here: closing it would end the locks that this process has on it.
void make_private(const std::string& file) {
  constexpr mode_t mode = 0640;
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd >= 0) {
    (void)::fchmod(fd, mode);
    ::close(fd);
    return;
  }
  for (const char* const part : {"", "-wal", "-shm"}) {
    struct stat status {};
    const std::string name = file + part;
    if (::stat(name.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if ((status.st_mode & 07777 & ~mode) == 0) continue;
    (void)::chmod(name.c_str(), status.st_mode & mode);  // not ours: its owner's affair
  }
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement& Statement::bind(int position, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), position, text.data() == nullptr ? "" : text.data(),
                      text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Statement& Statement::bind(int position, std::int64_t number) {
  sqlite3_bind_int64(statement_.get(), position, number);
  return *this;
}

base::Result<bool, base::Error> Statement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  base::Error error = error_of(db_, *file_);
  sqlite3_reset(statement_.get());
  return base::fail(std::move(error));
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

base::Result<void, base::Error> Statement::run() {
  auto stepped = step();
  if (!stepped) return base::fail(std::move(stepped.error()));
  return {};
}

std::string Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_.get(), column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

void Database::Close::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

base::Error Database::error() const { return error_of(db_.get(), file_); }

base::Result<std::unique_ptr<Database>, base::Error> Database::open(
    const std::string& file, int flags, std::chrono::milliseconds busy_timeout) {
  // Nobody asks SQLite how much memory it has, and keeping account of it takes a lock each time.
  [[maybe_unused]] static const int no_accounts = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(file, raw));
  if (code != SQLITE_OK) {
    if (raw == nullptr) return base::fail(file + ": out of memory");
    return base::fail(database->error());
  }
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, static_cast<int>(busy_timeout.count()));
  return database;
}

base::Result<std::unique_ptr<Database>, base::Error> Database::open(
    const std::string& file, std::chrono::milliseconds busy_timeout) {
  make_private(file);
  auto database = open(file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, busy_timeout);
  if (!database) return database;
  auto set = (*database)->execute(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      // A page that changes every second is written back once for many of them: 80 MB of log at
      // most.
      "PRAGMA wal_autocheckpoint=20000;");
  if (!set) return base::fail(std::move(set.error()));
  return database;
}

base::Result<std::unique_ptr<Database>, base::Error> Database::open_to_read(
    const std::string& file, std::chrono::milliseconds busy_timeout) {
  return open(file, SQLITE_OPEN_READONLY, busy_timeout);
}

base::Result<void, base::Error> Database::execute(const char* sql) {
  if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return base::fail(error());
  }
  return {};
}

std::int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }

base::Result<Statement, base::Error> Database::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code =
      sqlite3_prepare_v2(db_.get(), sql.data(), static_cast<int>(sql.size()), &raw, nullptr);
  if (code != SQLITE_OK) return base::fail(error());
  return Statement(db_.get(), &file_, raw);
}

base::Result<std::int64_t, base::Error> Database::number(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return base::fail(std::move(statement.error()));
  auto row = statement->step();
  if (!row) return base::fail(std::move(row.error()));
  if (!*row) return base::fail(file_ + ": no answer to " + std::string(sql));
  return statement->number(0);
}

}  // namespace store
