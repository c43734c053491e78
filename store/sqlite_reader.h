// SqliteReader: the store of one machine read beside the daemon or without it, and never written:
// no file is made, no schema changed, no lock taken. For commands that only look. Made by proxy/
// for cli/.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store.h"

namespace store {

class Database;

class SqliteReader {
 public:
  // An error names the file: it is not there, cannot be read, or is not this program's.
  static base::Result<std::unique_ptr<SqliteReader>, base::Error> open(
      const std::string& file, std::chrono::milliseconds busy_timeout);
  ~SqliteReader();
  base::Result<std::optional<std::string>, base::Error> value(const std::string& key);
  base::Result<std::vector<PolicyRow>, base::Error> policies();

 private:
  explicit SqliteReader(std::unique_ptr<Database> db);
  std::unique_ptr<Database> db_;
};

// What both readers of the tables share.
base::Result<void, base::Error> read_policies(Database& db,
                                              const std::function<void(PolicyRow row)>& take);
base::Result<std::optional<std::string>, base::Error> read_value(Database& db,
                                                                 const std::string& key);

}  // namespace store
