// Connection: a Database with its statements, which are prepared once, with transactions, and with
// the numbers that the table `value` keeps. For one thread. Called by store/sqlite_reports and
// store/sqlite_counts.
#pragma once

#include <memory>
#include <optional>
#include <unordered_map>

#include "store/database.h"
#include "store/store.h"

namespace store {

class Connection {
 public:
  explicit Connection(std::unique_ptr<Database> db) : db_(std::move(db)) {}

  Database& db() { return *db_; }
  // Ready to be bound. `sql` is known by its address and must live as long as this.
  base::Result<Statement*, base::Error> use(const char* sql);
  // All that `work` does or, where it or the commit fails, nothing.
  template <class Work>
  Outcome transaction(Work work);

  base::Result<std::optional<std::int64_t>, base::Error> value(const char* key);
  Outcome set_value(const char* key, std::int64_t number);
  Outcome erase_value(const char* key);

 private:
  std::unique_ptr<Database> db_;
  std::unordered_map<const char*, Statement> statements_;
};

template <class Work>
Outcome Connection::transaction(Work work) {
  Outcome outcome = db_->execute("BEGIN IMMEDIATE");
  if (!outcome) return outcome;
  outcome = work();
  if (outcome) outcome = db_->execute("COMMIT");
  if (!outcome) (void)db_->execute("ROLLBACK");
  return outcome;
}

}  // namespace store
