#include "proxy/plans.h"

#include <algorithm>

#include "proxy/tls_client.h"
#include "proxy/worker.h"

namespace proxy {

std::string tls_terms(const policy::Try& plan) {
  // A session of which less was collected cannot be judged by a plan that asks for more.
  return (plan.sni ? plan.sni->str() : std::string()) + (needs_pkix(plan) ? "|pkix|" : "|") +
         policy::fingerprint(plan.requirement);
}

std::string mark_of_tls(const policy::Try& plan, const std::string& terms,
                        const base::Domain* domain) {
  const bool shared = domain && policy::dane_of(plan.requirement);
  return "t|" + terms + (shared ? "|" + domain->str() : std::string());
}

const policy::StsState& Plans::Entry::state() const {
  return sts ? *sts : std::get<policy::DomainPlan>(planned->outcome).sts;
}

Plans::Domain Plans::domain(const std::shared_ptr<const Snapshot>& snapshot,
                            const policy::Operator& op, const base::Domain& domain,
                            const std::shared_ptr<const MxFacts>& mx, policy::StsState sts) {
  auto found = entries_.find(domain);
  if (found != entries_.end()) {
    const Entry& known = found->second;
    if (known.snapshot == snapshot && known.op == op && known.mx == mx &&
        known.state() == sts) {
      return known.planned;
    }
  }
  const policy::DomainFacts facts{domain, mx->mx, mx->security, mx->expanded, sts};
  auto planned = std::make_shared<Planned>();
  planned->outcome = policy::plan_domain(snapshot->settings, op, facts);
  if (found == entries_.end()) {
    while (entries_.size() >= capacity_ && !ages_.empty()) {
      entries_.erase(ages_.front());
      ages_.pop_front();
    }
    found = entries_.try_emplace(domain).first;
    found->second.age = ages_.insert(ages_.end(), domain);
  }
  Entry& entry = found->second;
  entry.snapshot = snapshot;
  entry.op = op;
  entry.mx = mx;
  const bool refused = std::holds_alternative<policy::Refused>(planned->outcome);
  entry.sts = refused ? std::make_unique<policy::StsState>(std::move(sts)) : nullptr;
  entry.planned = planned;
  return planned;
}

std::shared_ptr<const policy::HostFacts> Plans::known_facts(const Planned& planned,
                                                            const base::Domain& host) {
  const auto of_host = [&host](const auto& known) { return known.first->host == host; };
  const auto known = std::ranges::find_if(planned.hosts, of_host);
  if (known == planned.hosts.end()) return nullptr;
  return std::chrono::steady_clock::now() < known->first->expires ? known->first : nullptr;
}

Plans::Host Plans::host(const Snapshot& snapshot, Planned& planned,
                        const std::shared_ptr<const policy::HostFacts>& facts) {
  const auto of_host = [&facts](const auto& known) { return known.first->host == facts->host; };
  const auto known = std::ranges::find_if(planned.hosts, of_host);
  if (known != planned.hosts.end() && known->first == facts) return known->second;
  const auto& domain = std::get<policy::DomainPlan>(planned.outcome);
  PlannedHost made{policy::plan_host(snapshot.settings, domain, *facts), {}, {}};
  if (const auto* decided = std::get_if<policy::Try>(&made.plan.decision)) {
    made.terms = tls_terms(*decided);
  }
  made.unprotected_terms = tls_terms(made.plan.unprotected);
  Host plan = std::make_shared<const PlannedHost>(std::move(made));
  if (known != planned.hosts.end()) {
    *known = {facts, plan};
  } else {
    planned.hosts.emplace_back(facts, plan);
  }
  return plan;
}

void Plans::clear() {
  entries_.clear();
  ages_.clear();
}

}  // namespace proxy
