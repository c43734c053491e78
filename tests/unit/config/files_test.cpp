// Real files: conf.d beside the main file, order of name, keys set twice, what cannot be read.
#include <catch2/catch.hpp>

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "support.h"

using namespace config_test;
using Lines = std::vector<std::string>;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sternpost-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string put(const std::string& name, const std::string& text) const {
    const auto file = path_ / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
    return file.string();
  }
  std::string at(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("conf.d is read in order of name; lists are appended") {
  const Folder folder;
  const auto main = folder.put("sternpost.toml", "[[listen]]\naddress = \"127.0.0.1:1\"\n"
                                                 "[outbound]\nport = 2525\n");
  folder.put("conf.d/20-b.toml",
             "[[listen]]\naddress = \"127.0.0.1:3\"\n[outbound]\nstall = \"1s\"");
  folder.put("conf.d/10-a.toml", "[[listen]]\naddress = \"127.0.0.1:2\"\n");
  folder.put("conf.d/.hidden.toml", "nonsense");
  folder.put("conf.d/readme.txt", "nonsense");
  const auto result = config::load(main, machine());
  REQUIRE(texts(result.errors, "error") == Lines{});
  REQUIRE(result.config->listen.size() == 3);
  CHECK(config::text_of(result.config->listen[0].address) == "127.0.0.1:1");
  CHECK(config::text_of(result.config->listen[1].address) == "127.0.0.1:2");
  CHECK(config::text_of(result.config->listen[2].address) == "127.0.0.1:3");
  CHECK(result.config->outbound.port == 2525);
  CHECK(result.config->outbound.stall == std::chrono::seconds(1));
}

TEST_CASE("a key set twice in two files is an error that names both places") {
  const Folder folder;
  const auto main = folder.put("sternpost.toml", "[[listen]]\n[outbound]\nport = 25\n");
  const auto other = folder.put("conf.d/a.toml", "[outbound]\n  port = 26\n");
  CHECK(texts(config::load(main, machine()).errors, "error") ==
        Lines{other + ":2:3: error: outbound.port is set twice: here and at " + main + ":3:8"});
}

TEST_CASE("a key set twice in one file is an error that names both places") {
  CHECK(errors_of("[[listen]]\n[outbound]\nport = 25\nstall = \"1s\"\nport = 26\n") ==
        Lines{"main.toml:5:8: error: 'port' is set twice: here and at main.toml:3:1"});
  CHECK(errors_of("[outbound]\nport = 25\n[[listen]]\n[outbound]\nstall = \"1s\"\n") ==
        Lines{"main.toml:4:1: error: 'outbound' is set twice: here and at main.toml:1:2"});
}

TEST_CASE("a missing main file, a folder and an oversized file are mistakes") {
  const Folder folder;
  CHECK(texts(config::load(folder.at("none.toml"), machine()).errors, "error") ==
        Lines{folder.at("none.toml") + ":1:1: error: cannot be read: No such file or directory"});
  folder.put("dir/x", "");
  CHECK(texts(config::load(folder.at("dir"), machine()).errors, "error") ==
        Lines{folder.at("dir") + ":1:1: error: cannot be read: it is not a file"});
  const auto big = folder.put("big.toml", std::string(1024 * 1024 + 1, '#'));
  CHECK(texts(config::load(big, machine()).errors, "error") ==
        Lines{big + ":1:1: error: longer than 1 MiB"});
}

TEST_CASE("an unreadable file of conf.d does not hide the mistakes of the others") {
  const Folder folder;
  const auto main = folder.put("sternpost.toml", "[[listen]]\n[outbound]\nport = 0\n");
  std::filesystem::create_directories(folder.at("conf.d"));
  std::filesystem::create_symlink("/nowhere/at/all", folder.at("conf.d/x.toml"));
  const auto result = config::load(main, machine());
  CHECK_FALSE(result.config);
  CHECK(texts(result.errors, "error") ==
        Lines{folder.at("conf.d/x.toml") + ":1:1: error: cannot be read: No such file or directory",
              main + ":3:8: error: port: must be a port from 1 to 65535, not 0"});
}

TEST_CASE("the real surroundings read regular files and nothing else") {
  const Folder folder;
  const base::SystemClock clock;
  const auto real = config::real_surroundings(clock);
  const auto file = folder.put("x", "hello");
  REQUIRE(real.read_file(file).has_value());
  CHECK(*real.read_file(file) == "hello");
  CHECK_FALSE(real.read_file(folder.at("none")).has_value());
  CHECK_FALSE(real.read_file("/dev/zero").has_value());
  CHECK(real.has_group("root"));
  CHECK_FALSE(real.has_group("no-such-group-here"));
}
