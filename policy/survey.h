// Survey: the plan for a domain and for each of its hosts, without a message. Pure. For those who
// only ask (milter, policy map, `check`); a delivery plans its hosts one by one as it walks them
// (proxy/walk.h). The facts come from proxy/survey.h.
#pragma once

#include <chrono>
#include <memory>
#include <variant>
#include <vector>

#include "policy/plan.h"

namespace policy {

// What was found out about a domain and each of its hosts.
struct GatheredFacts {
  DomainFacts domain;
  std::vector<std::shared_ptr<const HostFacts>> hosts;  // of hosts_of(domain.mx), in that order
  std::chrono::steady_clock::time_point expires{};      // when the first of all answers does
};

// By preference; the domain itself where the MX is implicit; none where there can be no mail.
std::vector<MxHost> hosts_of(const DomainFacts& facts);

struct Survey {
  std::variant<Refused, DomainPlan> domain;
  std::vector<HostPlan> hosts;  // by preference; empty where the domain is refused
  const DomainPlan* plan() const { return std::get_if<DomainPlan>(&domain); }
  const Refused* refused() const { return std::get_if<Refused>(&domain); }
};

// `settings` and what `op` points to must outlive the survey.
Survey plan_all(const Settings& settings, const Operator& op, const GatheredFacts& facts);

}  // namespace policy
