#include "policy/map_query.h"

#include <algorithm>

namespace policy {

namespace {

constexpr std::size_t longest_key = 1024;  // A name in UTF-8, before it is put into A-labels.

bool is_no_next_hop(std::string_view key) {
  return key.empty() || key.front() == '.' || key.front() == '[';
}

bool is_service(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  });
}

}  // namespace

std::optional<MapQuery> parse_map_query(std::string_view payload) {
  const std::size_t space = payload.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  return MapQuery{payload.substr(0, space), payload.substr(space + 1)};
}

std::optional<base::Domain> domain_of_map_key(std::string_view key) {
  if (is_no_next_hop(key) || key.size() > longest_key) return std::nullopt;
  const std::size_t colon = key.find(':');
  if (colon != std::string_view::npos) {
    if (!is_service(key.substr(colon + 1))) return std::nullopt;
    key = key.substr(0, colon);
  }
  auto domain = base::Domain::parse(key);
  if (!domain) return std::nullopt;
  return *std::move(domain);
}

bool is_unknown_name(std::string_view key) {
  if (is_no_next_hop(key)) return false;
  const bool ascii = std::ranges::all_of(key, [](char c) { return (c & 0x80) == 0; });
  return !ascii && !domain_of_map_key(key);
}

}  // namespace policy
