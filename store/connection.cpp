#include "store/connection.h"

#include <charconv>

namespace store {

using base::fail;

base::Result<Statement*, base::Error> Connection::use(const char* sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    auto prepared = db_->prepare(sql);
    if (!prepared) return fail(std::move(prepared.error()));
    found = statements_.emplace(sql, std::move(*prepared)).first;
  }
  found->second.reset();
  return &found->second;
}

base::Result<std::optional<std::int64_t>, base::Error> Connection::value(const char* key) {
  auto statement = use("SELECT text FROM value WHERE key = ?1");
  if (!statement) return fail(std::move(statement.error()));
  auto row = (*statement)->bind(1, key).step();
  if (!row) return fail(std::move(row.error()));
  if (!*row) return std::optional<std::int64_t>();
  const std::string text = (*statement)->text(0);
  (*statement)->reset();
  std::int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return fail(std::string("the stored ") + key + " is no number: " + text);
  }
  return std::optional(number);
}

Outcome Connection::set_value(const char* key, std::int64_t number) {
  auto statement = use("INSERT OR REPLACE INTO value VALUES (?1, ?2)");
  if (!statement) return fail(std::move(statement.error()));
  const std::string text = std::to_string(number);
  return (*statement)->bind(1, key).bind(2, text).run();
}

Outcome Connection::erase_value(const char* key) {
  auto statement = use("DELETE FROM value WHERE key = ?1");
  if (!statement) return fail(std::move(statement.error()));
  return (*statement)->bind(1, key).run();
}

}  // namespace store
