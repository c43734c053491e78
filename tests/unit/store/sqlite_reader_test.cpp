#include "store/sqlite_reader.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "store/database.h"
#include "store/sqlite_store.h"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "sternpost-reader-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string file() const { return (path / "state.db").string(); }
  fs::path path;
};

store::PolicyRow row(const char* domain) {
  store::PolicyRow made;
  made.domain = domain;
  made.id = "1";
  made.body = "version: STSv1\nmode: none\nmax_age: 1";
  made.fetched = base::WallTime(std::chrono::milliseconds(1000));
  made.expires = base::WallTime(std::chrono::milliseconds(9000));
  made.txt_checked = made.fetched;
  made.refresh_failures = 3;
  return made;
}

}  // namespace

TEST_CASE("store reader: sees what the store has committed, beside it and after it") {
  const Folder folder;
  store::SqliteOptions options;
  options.file = folder.file();
  auto store = store::SqliteStore::open(options);
  REQUIRE(store.has_value());
  (*store)->put_policy(row("a.example"));
  (*store)->put_value("audit.head", "17 abc");
  REQUIRE((*store)->flush().has_value());
  auto reader = store::SqliteReader::open(folder.file(), 100ms);
  REQUIRE(reader.has_value());
  CHECK((*reader)->value("audit.head")->value() == "17 abc");
  CHECK_FALSE((*reader)->value("other")->has_value());
  CHECK(*(*reader)->policies() == std::vector{row("a.example")});
  (*store)->put_policy(row("b.example"));
  REQUIRE((*store)->flush().has_value());
  CHECK((*reader)->policies()->size() == 2);
  reader->reset();
  store->reset();
  reader = store::SqliteReader::open(folder.file(), 100ms);
  REQUIRE(reader.has_value());
  CHECK((*reader)->policies()->size() == 2);
}

TEST_CASE("store reader: makes no file, and reads no other program's") {
  const Folder folder;
  CHECK(store::SqliteReader::open(folder.file(), 100ms).has_error());
  CHECK_FALSE(fs::exists(folder.file()));
  auto other = store::Database::open(folder.file(), 100ms);
  REQUIRE(other.has_value());
  REQUIRE((*other)->execute("CREATE TABLE x (y)").has_value());
  const auto refused = store::SqliteReader::open(folder.file(), 100ms);
  REQUIRE(refused.has_error());
  CHECK(refused.error().text.find("is no store of Sternpost") != std::string::npos);
}
