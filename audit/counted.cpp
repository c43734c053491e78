#include "audit/counted.h"

#include <algorithm>
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

// Takes `word` from the start of `text`, where it stands there.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// Takes the string that `text` begins with.
std::optional<std::string> take_string(std::string_view& text) {
  if (text.empty() || text.front() != '"') return std::nullopt;
  std::size_t end = 1;
  bool escaped = false;
  while (end < text.size() && text[end] != '"') {
    if (text[end] == '\\') {
      escaped = true;
      ++end;
    }
    ++end;
  }
  if (end >= text.size()) return std::nullopt;
  const std::string_view whole = text.substr(0, end + 1);
  text.remove_prefix(whole.size());
  if (!escaped) return std::string(whole.substr(1, end - 1));
  const json value = json::parse(whole, nullptr, false);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

// The string that `text` begins with; "" for null and whatever else.
std::string string_at(std::optional<std::string_view> text) {
  return text ? take_string(*text).value_or("") : std::string();
}

// `["certificate-expired",…]`
bool take_strings(std::string_view& text, std::vector<std::string>& strings) {
  if (!take(text, "[")) return false;
  if (take(text, "]")) return true;
  do {
    auto string = take_string(text);
    if (!string) return false;
    strings.push_back(std::move(*string));
  } while (take(text, ","));
  return take(text, "]");
}

// One entry of `results`; the policy type apart, whose word may be one that is not known.
bool take_result(std::string_view& text, PolicyResult& result, std::string& type) {
  const auto string = [&text](std::string_view key, std::string& into) {
    if (!take(text, key)) return false;
    auto found = take_string(text);
    if (found) into = std::move(*found);
    return found.has_value();
  };
  return string("{\"policy_type\":", type) &&
         string(",\"policy_domain\":", result.policy_domain) &&
         string(",\"policy_digest\":", result.policy_digest) &&
         take(text, ",\"result_types\":") && take_strings(text, result.result_types) &&
         string(",\"reason\":", result.reason) && take(text, "}");
}

// `results`, as render() writes it: a general parser takes longer for it than all else that a
// session costs. Empty where it is anything else.
std::vector<PolicyResult> take_results(std::string_view& text) {
  std::vector<PolicyResult> results;
  if (!take(text, "[")) return results;
  do {
    PolicyResult result;
    std::string word;
    if (!take_result(text, result, word)) return {};
    const auto type = tlsrpt::policy_type(word);
    if (!type) continue;
    result.policy_type = *type;
    results.push_back(std::move(result));
  } while (take(text, ","));
  if (!take(text, "]")) return {};
  return results;
}

}  // namespace

std::optional<CountedSession> counted_session(std::string_view line) {
  static constexpr std::size_t time_size = 24;
  if (!take(line, "{\"time\":\"")) return std::nullopt;
  const std::string_view behind_time = line.substr(std::min(time_size, line.size()));
  if (!behind_time.starts_with("\",\"event\":\"session\"")) return std::nullopt;
  const auto time = parse_rfc3339(line.substr(0, time_size));
  if (!time) return std::nullopt;
  auto rest = behind(line, ",\"counted\":true,\"results\":");
  if (!rest) return std::nullopt;
  CountedSession session;
  session.time = *time;
  session.results = take_results(*rest);
  session.domain = string_at(behind(line, ",\"domain\":"));
  if (session.results.empty() || session.domain.empty()) return std::nullopt;
  session.mx = string_at(behind(*rest, ",\"mx\":"));
  session.ip = string_at(behind(*rest, ",\"ip\":"));
  session.source_ip = string_at(behind(*rest, ",\"source_ip\":"));
  session.helo = string_at(behind(*rest, ",\"helo\":"));
  return session;
}

}  // namespace audit
