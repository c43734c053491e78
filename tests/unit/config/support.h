// A machine for the loader that is the same everywhere: 2026-06-01, edge.example.com, the group
// "postfix", and the files that a test puts there.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"

namespace config_test {

inline config::Surroundings machine(std::map<std::string, std::string> files = {}) {
  using namespace std::chrono;
  files.emplace("/usr/share/dns/root.key", ". IN DS 20326 8 2 E06D");
  config::Surroundings out;
  out.today = sys_days(year{2026} / 6 / 1);
  out.host_name = [] { return std::string("edge.example.com"); };
  out.has_group = [](const std::string& group) { return group == "postfix"; };
  out.read_file = [files](const config::Path& path) -> base::Result<std::string, base::Error> {
    const auto found = files.find(path.string());
    if (found == files.end()) return base::fail("No such file or directory");
    return {boost::system::in_place_value, found->second};
  };
  return out;
}

inline config::LoadResult load_text(std::string_view text,
                                    std::map<std::string, std::string> files = {}) {
  return config::load_sources({{"main.toml", std::string(text)}}, machine(std::move(files)));
}

// A listener is the one thing that every configuration must have.
inline std::string with_listener(std::string_view text) {
  return std::string(text) + "\n[[listen]]\n";
}

inline std::vector<std::string> texts(const std::vector<config::Issue>& issues,
                                      std::string_view kind) {
  std::vector<std::string> out;
  for (const config::Issue& issue : issues) out.push_back(config::text_of(issue, kind));
  return out;
}

inline std::vector<std::string> errors_of(std::string_view text,
                                          std::map<std::string, std::string> files = {}) {
  return texts(load_text(text, std::move(files)).errors, "error");
}

inline std::vector<std::string> warnings_of(std::string_view text,
                                            std::map<std::string, std::string> files = {}) {
  return texts(load_text(text, std::move(files)).warnings, "warning");
}

}  // namespace config_test
