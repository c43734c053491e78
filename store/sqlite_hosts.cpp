// SqliteStore, the table of what MX hosts showed in earlier sessions.
#include "store/database.h"
#include "store/sqlite_store.h"

namespace store {

namespace {

std::int64_t to_number(const std::optional<base::WallTime>& time) {
  return time ? time->time_since_epoch().count() : 0;
}
std::optional<base::WallTime> to_time(std::int64_t number) {
  if (number == 0) return std::nullopt;
  return base::WallTime(std::chrono::milliseconds(number));
}

}  // namespace

void SqliteStore::put_host(HostRow row) {
  Write write;
  write.table = Table::host;
  write.key = row.host;
  write.host_row = std::move(row);
  post(std::move(write));
}

void SqliteStore::erase_host(const std::string& host) {
  Write write;
  write.table = Table::host;
  write.key = host;
  post(std::move(write));
}

void SqliteStore::bind_host(Statement& statement, const HostRow& row) {
  statement.bind(2, to_number(row.seen)).bind(3, to_number(row.tls));
  statement.bind(4, to_number(row.authenticated)).bind(5, row.peer_auth);
  statement.bind(6, row.spki_sha256).bind(7, row.plain);
}

base::Result<std::vector<HostRow>, base::Error> SqliteStore::load_hosts() {
  const std::lock_guard<std::mutex> held(reading_);
  auto statement = reader_->prepare(
      "SELECT host, seen, tls, authenticated, peer_auth, spki_sha256, plain FROM mx_host "
      "ORDER BY seen DESC");
  if (!statement) return base::fail(std::move(statement.error()));
  std::vector<HostRow> rows;
  while (true) {
    auto more = statement->step();
    if (!more) return base::fail(std::move(more.error()));
    if (!*more) return rows;
    HostRow row;
    row.host = statement->text(0);
    row.seen = to_time(statement->number(1)).value_or(base::WallTime());
    row.tls = to_time(statement->number(2));
    row.authenticated = to_time(statement->number(3));
    row.peer_auth = statement->text(4);
    row.spki_sha256 = statement->text(5);
    row.plain = statement->text(6);
    rows.push_back(std::move(row));
  }
}

}  // namespace store
