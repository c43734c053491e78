// Database and Statement: SQLite's C interface with owners and Results, as little of it as the
// store needs. Every error's words begin with the file. Called by store/sqlite_store
// and store/connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace store {

class Statement {
 public:
  // Positions are 1-based in bind, 0-based in columns, as in SQLite. Text is bound without a copy:
  // it must live until the statement is done.
  Statement& bind(int position, std::string_view text);
  Statement& bind(int position, std::int64_t number);
  // true: a row is there; false: done. Reset comes by itself with the end or an error.
  base::Result<bool, base::Error> step();
  // Ready to be bound and stepped again, though rows were left.
  void reset();
  // step() for what returns no rows.
  base::Result<void, base::Error> run();
  std::string text(int column) const;
  std::int64_t number(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3* db, const std::string* file, sqlite3_stmt* statement)
      : db_(db), file_(file), statement_(statement) {}
  sqlite3* db_;
  const std::string* file_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

inline constexpr std::int64_t application_id = 0x5374706f;  // of our files: "Stpo"

class Database {
 public:
  // Opens or creates with mode 0640; WAL, synchronous=FULL. Not for two threads at once.
  static base::Result<std::unique_ptr<Database>, base::Error> open(
      const std::string& file, std::chrono::milliseconds busy_timeout);
  // Opens what is there, and changes nothing in it.
  static base::Result<std::unique_ptr<Database>, base::Error> open_to_read(
      const std::string& file, std::chrono::milliseconds busy_timeout);
  base::Result<void, base::Error> execute(const char* sql);
  base::Result<Statement, base::Error> prepare(std::string_view sql);
  // Rows that the last statement inserted, changed or deleted.
  std::int64_t changes() const;
  // The one number that `sql` yields.
  base::Result<std::int64_t, base::Error> number(std::string_view sql);

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  Database(std::string file, sqlite3* db) : file_(std::move(file)), db_(db) {}
  base::Error error() const;
  static base::Result<std::unique_ptr<Database>, base::Error> open(
      const std::string& file, int flags, std::chrono::milliseconds busy_timeout);

  std::string file_;
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace store
