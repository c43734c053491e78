// Any text is either a configuration or a list of mistakes: no crash, no throw, no third outcome.
#include <cstdlib>
#include <string>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace std::chrono;
  config::Surroundings surroundings;
  surroundings.today = sys_days(year{2026} / 6 / 1);
  surroundings.host_name = [] { return std::string("edge.example.com"); };
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto result = config::load_sources({{"fuzz.toml", text}}, surroundings);
  if ((result.config == nullptr) != !result.errors.empty()) std::abort();
  for (const auto& issue : result.errors) {
    if (issue.place.line == 0 || issue.place.column == 0 || issue.text.empty()) std::abort();
  }
  // Two files with the same text: a key twice is told, never taken.
  const auto twice = config::load_sources({{"a.toml", text}, {"b.toml", text}}, surroundings);
  if (!result.errors.empty() && twice.errors.empty()) std::abort();
  return 0;
}
