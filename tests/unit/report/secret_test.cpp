#include "report/secret.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/sternpost-secret-XXXXXX";
    if (::mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path file() const { return path_ / "report.secret"; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("secret: made where there is none, for its owner alone, and the same from then on") {
  const Folder folder;
  const auto made = report::take_secret(folder.file());
  REQUIRE(made.has_value());
  CHECK(*made != tlsrpt::ReturnPath::Secret{});
  struct stat status {};
  REQUIRE(::stat(folder.file().c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  const std::string text = read(folder.file());
  CHECK(text.size() == 65);
  CHECK(text.ends_with('\n'));
  CHECK(*report::take_secret(folder.file()) == *made);
  CHECK(read(folder.file()) == text);
  const Folder other;
  CHECK(*report::take_secret(other.file()) != *made);
}

TEST_CASE("secret: what a start that was cut short left behind is made anew") {
  const Folder folder;
  write(folder.path() / "report.secret.new", "abc");
  REQUIRE(report::take_secret(folder.file()).has_value());
  CHECK(read(folder.file()).size() == 65);
  CHECK(!fs::exists(folder.path() / "report.secret.new"));
}

TEST_CASE("secret: hex digits in either case, with or without the newline") {
  const Folder folder;
  for (const std::string& text : {std::string(62, '0') + "aF\n", std::string(62, '0') + "Af"}) {
    write(folder.file(), text);
    const auto secret = report::take_secret(folder.file());
    REQUIRE(secret.has_value());
    CHECK(secret->back() == 0xAF);
  }
}

TEST_CASE("secret: a file that holds none is an error that names it, and stays as it is") {
  const Folder folder;
  const std::string bad[] = {"", "\n", std::string(63, 'a') + "\n", std::string(65, 'a') + "\n",
                             std::string(64, 'g') + "\n", std::string(64, 'a') + "\n\n",
                             " " + std::string(64, 'a') + "\n", std::string(200, 'a')};
  for (const std::string& text : bad) {
    write(folder.file(), text);
    const auto secret = report::take_secret(folder.file());
    REQUIRE(!secret.has_value());
    CHECK(secret.error().text.starts_with(folder.file().string() + ": not 64 hex digits"));
    CHECK(read(folder.file()) == text);
  }
}

TEST_CASE("secret: a place that cannot be read or written is an error") {
  const Folder folder;
  fs::create_directory(folder.file());
  CHECK(!report::take_secret(folder.file()).has_value());
  CHECK(!report::take_secret(folder.path() / "nowhere" / "report.secret").has_value());
}
