#include "base/log.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <functional>
#include <regex>
#include <string>

namespace {

// What `work` writes to standard error.
std::string captured(const std::function<void()>& work) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stderr);
  const int kept = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  work();
  std::fflush(stderr);
  dup2(kept, STDERR_FILENO);
  close(kept);
  std::string out;
  std::rewind(file);
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) out += static_cast<char>(c);
  std::fclose(file);
  return out;
}

}  // namespace

TEST_CASE("a text line has time, level and ID, and one event stays one line") {
  base::log_init("info", false);
  const std::string out = captured([] {
    base::log_debug("X", "not shown");
    base::log_info("ID1", "a\r\nforged {} line");
  });
  const std::regex want(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info )"
                        R"(\[ID1\] a\?\?forged \{\} line\n)");
  CHECK(std::regex_match(out, want));
}

TEST_CASE("a JSON line escapes what would end a string or is not UTF-8") {
  base::log_init("warn", true);
  const std::string out = captured([] {
    base::log_info("", "not shown");
    base::log_warn("I", "say \"x\\\" é \xff\n");
  });
  base::log_init("info", false);
  CHECK(std::regex_match(out, std::regex(R"(\{"time":"[^"]*Z","level":"warning",.*\}\n)")));
  CHECK(out.find(R"("id":"I","text":"say \"x\\\" é ?\u000a"})") != std::string::npos);
}

TEST_CASE("the level decides what is logged") {
  base::log_init("error", false);
  CHECK_FALSE(base::log_enabled(base::LogLevel::warn));
  CHECK(base::log_enabled(base::LogLevel::error));
  base::log_init("debug", false);
  CHECK(base::log_enabled(base::LogLevel::debug));
  base::log_init("info", false);
  CHECK_FALSE(base::log_enabled(base::LogLevel::debug));
}
