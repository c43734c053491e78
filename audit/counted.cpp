#include "audit/counted.h"

#include <nlohmann/json.hpp>

namespace audit {
namespace {

using nlohmann::json;

// The text behind `key` (`,"mx":`) in a line that render() wrote. Such a key stands in no string,
// because a quotation mark inside one has a backslash before it; those asked for here stand in no
// nested object either.
std::optional<std::string_view> behind(std::string_view line, std::string_view key) {
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  return line.substr(at + key.size());
}

// The string that `text` begins with; "" for null and whatever else.
std::string string_at(std::optional<std::string_view> text) {
  if (!text || text->empty() || text->front() != '"') return {};
  std::size_t end = 1;
  bool escaped = false;
  while (end < text->size() && (*text)[end] != '"') {
    if ((*text)[end] == '\\') {
      escaped = true;
      ++end;
    }
    ++end;
  }
  if (end >= text->size()) return {};
  if (!escaped) return std::string(text->substr(1, end - 1));
  const json value = json::parse(text->substr(0, end + 1), nullptr, false);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::string member(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get<std::string>();
}

std::optional<tlsrpt::PolicyType> policy_type(std::string_view word) {
  for (const auto type : {tlsrpt::PolicyType::tlsa, tlsrpt::PolicyType::sts,
                          tlsrpt::PolicyType::no_policy_found}) {
    if (tlsrpt::to_string(type) == word) return type;
  }
  return std::nullopt;
}

std::optional<PolicyResult> result_of(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto type = policy_type(member(object, "policy_type"));
  const auto types = object.find("result_types");
  if (!type || types == object.end() || !types->is_array()) return std::nullopt;
  PolicyResult result;
  result.policy_type = *type;
  result.policy_domain = member(object, "policy_domain");
  result.policy_digest = member(object, "policy_digest");
  result.reason = member(object, "reason");
  for (const json& one : *types) {
    if (one.is_string()) result.result_types.push_back(one.get<std::string>());
  }
  return result;
}

}  // namespace

std::optional<CountedSession> counted_session(std::string_view line) {
  static constexpr std::string_view results_key = ",\"results\":";
  static constexpr std::string_view behind_results = ",\"requirement\":";
  if (line.find(",\"event\":\"session\"") == std::string_view::npos) return std::nullopt;
  if (line.find(",\"counted\":true") == std::string_view::npos) return std::nullopt;
  const std::size_t from = line.find(results_key);
  const std::size_t to = line.find(behind_results);
  if (from == std::string_view::npos || to == std::string_view::npos || to < from) {
    return std::nullopt;
  }
  const std::size_t begin = from + results_key.size();
  const json list = json::parse(line.substr(begin, to - begin), nullptr, false);
  if (!list.is_array()) return std::nullopt;
  CountedSession session;
  for (const json& one : list) {
    if (auto result = result_of(one)) session.results.push_back(std::move(*result));
  }
  static constexpr std::string_view start = "{\"time\":";
  if (session.results.empty() || !line.starts_with(start)) return std::nullopt;
  const auto time = parse_rfc3339(string_at(line.substr(start.size())));
  if (!time) return std::nullopt;
  session.time = *time;
  session.domain = string_at(behind(line, ",\"domain\":"));
  if (session.domain.empty()) return std::nullopt;
  const std::string_view rest = line.substr(to);
  session.mx = string_at(behind(rest, ",\"mx\":"));
  session.ip = string_at(behind(rest, ",\"ip\":"));
  session.source_ip = string_at(behind(rest, ",\"source_ip\":"));
  session.helo = string_at(behind(rest, ",\"helo\":"));
  return session;
}

}  // namespace audit
