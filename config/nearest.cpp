#include "config/nearest.h"

#include <algorithm>
#include <vector>

#include "config/schema.h"

namespace config {

namespace {

// Names longer than this are no slips of the pen; the distance need not be exact.
constexpr std::size_t longest = 128;

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, longest);
  b = b.substr(0, longest);
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest_key(std::string_view section, std::string_view key) {
  // Twice the distance, so that a key of another section loses against one of this section that is
  // as near, and wins against one that is farther.
  std::size_t least = static_cast<std::size_t>(-1);
  std::string best;
  for (const Section& one : schema()) {
    const bool here = one.name == section;
    for (const Key& known : one.keys) {
      const std::size_t distance = 2 * edit_distance(key, known.name) + (here ? 0 : 1);
      if (distance >= least) continue;
      least = distance;
      best = (here ? "" : std::string(one.name) + ".") + std::string(known.name);
    }
  }
  return best;
}

std::string nearest_section(std::string_view name) {
  const auto found = std::ranges::min_element(
      schema(), {}, [&](const Section& one) { return edit_distance(name, one.name); });
  return std::string(found->name);
}

}  // namespace config
