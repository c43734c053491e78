// What several resolvers answered, compared; see assemble.h.
#include <algorithm>
#include <map>

#include "check/assemble.h"
#include "policy/plan_words.h"

namespace check {

namespace {

std::string words_of(const Asked& asked) {
  Answer answer = answer_of(asked);
  // Who failed to answer does so in other words each time.
  if (answer.existence.empty()) return answer.state;
  std::ranges::sort(answer.records);
  std::string words = answer.state + " " + answer.existence;
  if (!answer.canonical_name.empty()) words += " at " + answer.canonical_name;
  for (std::size_t i = 0; i < answer.records.size(); ++i) {
    words += (i == 0 ? ": " : " | ") + answer.records[i];
  }
  if (answer.more > 0) words += " and " + std::to_string(answer.more) + " more";
  return words;
}

std::vector<std::string> plan_of(const Gathered& gathered) {
  if (!gathered.survey) return {"not known"};
  if (const auto* refused = gathered.survey->refused()) return {refused->reply.str()};
  std::vector<std::string> lines;
  for (const policy::HostPlan& host : gathered.survey->hosts) {
    const auto* decided = std::get_if<policy::Try>(&host.decision);
    const auto* out = std::get_if<policy::Excluded>(&host.decision);
    lines.push_back(host.host.str() + ": " + (decided ? decided->why : out->reply.str()));
  }
  return lines;
}

}  // namespace

std::vector<Resolver> resolvers_of(const std::vector<std::string>& names,
                                   const std::vector<Gathered>& all) {
  std::vector<Resolver> resolvers;
  for (std::size_t i = 0; i < all.size(); ++i) {
    resolvers.push_back({names[i], std::string(dns::to_string(all[i].validation.state)),
                         plan_of(all[i])});
  }
  return resolvers;
}

std::vector<Difference> differences_of(const std::vector<Gathered>& all) {
  std::vector<Difference> differences;
  std::map<std::pair<dns::Type, std::string>, std::size_t> place;
  const auto silent = [&all](std::size_t i) {
    return all[i].validation.state == dns::Validation::unknown;
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (silent(i)) continue;
    for (const Asked& one : all[i].asked) {
      const auto [at, is_new] = place.try_emplace({one.type, one.name}, differences.size());
      if (is_new) {
        std::vector<std::string> none;
        for (std::size_t k = 0; k < all.size(); ++k) {
          none.push_back(silent(k) ? "no answer to anything" : "not asked");
        }
        differences.push_back({std::string(dns::to_string(one.type)), one.name, none});
      }
      differences[at->second].answers[i] = words_of(one);
    }
  }
  std::erase_if(differences, [&](const Difference& one) {
    std::optional<std::string> first;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (silent(i)) continue;
      if (first && *first != one.answers[i]) return false;
      first = one.answers[i];
    }
    return true;
  });
  return differences;
}

}  // namespace check
