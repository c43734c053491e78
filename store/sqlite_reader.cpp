#include "store/sqlite_reader.h"

#include <unistd.h>

#include <filesystem>

#include "store/database.h"

namespace store {

namespace {

// Who only reads has to write, too: a reader of a write-ahead log marks in -shm what it reads.
base::Error words_for_who_may_not_write(base::Error error, const std::string& file) {
  const std::string folder = std::filesystem::path(file).parent_path().string();
  if (::access(file.c_str(), W_OK) == 0 && ::access(folder.c_str(), W_OK) == 0) return error;
  return {file + " is not this user's to write, as reading it needs (be root or its owner): " +
          error.text};
}

base::WallTime to_time(std::int64_t number) {
  return base::WallTime(std::chrono::milliseconds(number));
}

}  // namespace

base::Result<void, base::Error> read_policies(Database& db,
                                              const std::function<void(PolicyRow row)>& take) {
  auto statement = db.prepare(
      "SELECT domain, id, body, fetched, expires, txt_checked, refresh_failures FROM policy");
  if (!statement) return base::fail(std::move(statement.error()));
  while (true) {
    auto more = statement->step();
    if (!more) return base::fail(std::move(more.error()));
    if (!*more) return {};
    PolicyRow row;
    row.domain = statement->text(0);
    row.id = statement->text(1);
    row.body = statement->text(2);
    row.fetched = to_time(statement->number(3));
    row.expires = to_time(statement->number(4));
    row.txt_checked = to_time(statement->number(5));
    row.refresh_failures = static_cast<std::uint32_t>(statement->number(6));
    take(std::move(row));
  }
}

base::Result<std::optional<std::string>, base::Error> read_value(Database& db,
                                                                 const std::string& key) {
  auto statement = db.prepare("SELECT text FROM value WHERE key = ?1");
  if (!statement) return base::fail(std::move(statement.error()));
  auto row = statement->bind(1, key).step();
  if (!row) return base::fail(std::move(row.error()));
  std::optional<std::string> found;
  if (*row) found = statement->text(0);
  return found;
}

SqliteReader::SqliteReader(std::unique_ptr<Database> db) : db_(std::move(db)) {}
SqliteReader::~SqliteReader() = default;

base::Result<std::unique_ptr<SqliteReader>, base::Error> SqliteReader::open(
    const std::string& file, std::chrono::milliseconds busy_timeout) {
  auto db = Database::open_to_read(file, busy_timeout);
  if (!db) return base::fail(words_for_who_may_not_write(std::move(db.error()), file));
  const auto id = (*db)->number("PRAGMA application_id");
  if (!id) return base::fail(words_for_who_may_not_write(id.error(), file));
  if (*id != application_id) return base::fail(file + ": is no store of Sternpost");
  return std::unique_ptr<SqliteReader>(new SqliteReader(std::move(*db)));
}

base::Result<std::optional<std::string>, base::Error> SqliteReader::value(const std::string& key) {
  return read_value(*db_, key);
}

base::Result<std::vector<PolicyRow>, base::Error> SqliteReader::policies() {
  std::vector<PolicyRow> rows;
  auto read = read_policies(*db_, [&rows](PolicyRow row) { rows.push_back(std::move(row)); });
  if (!read) return base::fail(std::move(read.error()));
  return rows;
}

}  // namespace store
