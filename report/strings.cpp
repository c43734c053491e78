#include "report/strings.h"

#include <memory>
#include <unordered_map>

#include "base/log.h"

namespace report {

namespace {

constexpr std::size_t policies_remembered = 20000;

}  // namespace

PolicyStrings stored_policies(store::Store& store) {
  using Known = std::unordered_map<std::string, tlsrpt::Policy>;
  return [&store, known = std::make_shared<Known>()](
             const std::string& digest) -> std::optional<tlsrpt::Policy> {
    const auto found = known->find(digest);
    if (found != known->end()) return found->second;
    const auto text = store.policy_strings(digest);
    if (!text) {
      base::log_error("", "TLS reports: the strings of a policy: " + text.error().text);
      return std::nullopt;
    }
    if (!*text) return std::nullopt;
    auto policy = policy_from_json(**text);
    if (!policy) return std::nullopt;
    if (known->size() >= policies_remembered) known->clear();
    known->emplace(digest, *policy);
    return policy;
  };
}

}  // namespace report
