#include "policy/survey.h"

#include <algorithm>

namespace policy {

std::vector<MxHost> hosts_of(const DomainFacts& facts) {
  if (std::holds_alternative<ImplicitMx>(facts.mx)) return {{facts.domain, 0}};
  const auto* list = std::get_if<MxList>(&facts.mx);
  if (!list) return {};
  std::vector<MxHost> hosts = list->hosts;
  std::ranges::stable_sort(hosts, {}, &MxHost::preference);
  return hosts;
}

Survey plan_all(const Settings& settings, const Operator& op, const GatheredFacts& facts) {
  Survey survey{plan_domain(settings, op, facts.domain), {}};
  const DomainPlan* const plan = survey.plan();
  if (!plan) return survey;
  for (const auto& host : facts.hosts) {
    survey.hosts.push_back(plan_host(settings, *plan, *host));
  }
  return survey;
}

}  // namespace policy
