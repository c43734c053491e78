#include "audit/query.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace audit {
namespace {

constexpr std::string_view time_start = "{\"time\":\"";
constexpr std::size_t time_size = 24;

// std::string_view::find looks for the first octet alone, which is a quotation mark here.
bool contains(std::string_view line, std::string_view word) {
  return ::memmem(line.data(), line.size(), word.data(), word.size()) != nullptr;
}

// A name below another ends in it: the quotation mark in front is somewhere else.
bool is_suffix(std::size_t index, std::string_view word) {
  return index == key_index("domain") && word.starts_with('.');
}

bool is_among_results(const Members& members, std::string_view quoted) {
  return contains(members.raw(key_index("results")), quoted);
}

}  // namespace

Matcher::Matcher(const Query& query)
    : since_(query.since ? rfc3339(*query.since) : ""),
      until_(query.until ? rfc3339(*query.until) : "") {
  // Those that few lines have first.
  want(key_index("id"), query.ids);
  want(key_index("queue_id"), query.queue_ids);
  want(key_index("domain"), query.domains);
  want(key_index("result"), query.results);
  want(key_index("verdict"), query.verdicts);
  want(key_index("protection"), query.protections);
  want(key_index("event"), query.events);
}

void Matcher::want(std::size_t index, const std::vector<std::string>& words) {
  if (words.empty()) return;
  Wanted wanted{index, words, {}};
  for (const std::string& word : words) {
    std::string quoted =
        nlohmann::json(word).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (is_suffix(index, word)) quoted.erase(0, 1);
    wanted.quoted.push_back(std::move(quoted));
  }
  wanted_.push_back(std::move(wanted));
}

bool Matcher::in_time(std::string_view time) const {
  return (since_.empty() || time >= since_) && (until_.empty() || time <= until_);
}

bool Matcher::may_match(std::string_view line) const {
  if (line.starts_with(time_start) && !in_time(line.substr(time_start.size(), time_size))) {
    return false;
  }
  return std::ranges::all_of(wanted_, [line](const Wanted& wanted) {
    return std::ranges::any_of(wanted.quoted, [line](const std::string& quoted) {
      return contains(line, quoted);
    });
  });
}

bool Matcher::holds(const Wanted& wanted, const Members& members) const {
  for (std::size_t i = 0; i < wanted.words.size(); ++i) {
    const std::string& word = wanted.words[i];
    if (is_suffix(wanted.index, word)) {
      const auto domain = members.text(wanted.index);
      if (domain && domain->size() > word.size() && domain->ends_with(word)) return true;
      continue;
    }
    if (members.is(wanted.index, word)) return true;
    const bool failure = wanted.index == key_index("result") && word != "success";
    if (failure && is_among_results(members, wanted.quoted[i])) return true;
  }
  return false;
}

bool Matcher::matches(std::string_view line, Members& members) const {
  if (!may_match(line) || !members.read(line)) return false;
  const auto time = members.text(key_index("time"));
  if (!time || !in_time(*time)) return false;
  return std::ranges::all_of(
      wanted_, [&](const Wanted& wanted) { return holds(wanted, members); });
}

}  // namespace audit
