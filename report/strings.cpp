#include "report/strings.h"

#include <memory>
#include <stdexcept>
#include <unordered_map>

namespace report {

namespace {

constexpr std::size_t policies_remembered = 2000;  // of up to 64 KiB

}  // namespace

PolicyStrings stored_policies(store::Store& store) {
  using Known = std::unordered_map<std::string, tlsrpt::Policy>;
  return [&store, known = std::make_shared<Known>()](
             const std::string& digest) -> std::optional<tlsrpt::Policy> {
    const auto found = known->find(digest);
    if (found != known->end()) return found->second;
    const auto text = store.policy_strings(digest);
    // An error is no absence: a report without them would be another one for good.
    if (!text) throw std::runtime_error("the strings of a policy: " + text.error().text);
    if (!*text) return std::nullopt;
    auto policy = policy_from_json(**text);
    if (!policy) return std::nullopt;
    if (known->size() >= policies_remembered) known->clear();
    known->emplace(digest, *policy);
    return policy;
  };
}

}  // namespace report
