// Plans: what plan_domain() and plan_host() made of the same facts a moment ago. Both are pure, so
// a plan is good for as long as all that went into it is the same: the configuration and the facts
// of the DNS by identity, the operator's word and the MTA-STS state by value. Nothing else makes it
// old, and a domain whose facts changed is planned anew. Lives on one thread; held by its worker,
// used by proxy/walk.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "policy/plan.h"
#include "proxy/gather.h"

namespace proxy {

struct Snapshot;

// What a connection must have met to be used, and a TLS session to be resumed, under `plan`: equal
// for equal terms.
std::string tls_terms(const policy::Try& plan);

// Under which proxy/host_memory keeps that the TLS of a host fell short of `plan`. `terms`: its own
// and the address. Domains share what DANE demands of a host, and connections; the words of a
// refusal, and what is reported, are each domain's own.
std::string mark_of_tls(const policy::Try& plan, const std::string& terms,
                        const base::Domain* domain);

struct PlannedHost {
  policy::HostPlan plan;
  std::string terms;              // of its decision, where that is a Try
  std::string unprotected_terms;  // of its `unprotected`
};

class Plans {
 public:
  using Host = std::shared_ptr<const PlannedHost>;
  // One domain's plan, and those of its hosts.
  struct Planned {
    std::variant<policy::Refused, policy::DomainPlan> outcome;
    std::vector<std::pair<std::shared_ptr<const policy::HostFacts>, Host>> hosts;
  };
  using Domain = std::shared_ptr<Planned>;

  // `capacity`: how many domains are remembered.
  explicit Plans(std::size_t capacity) : capacity_(capacity) {}

  Domain domain(const std::shared_ptr<const Snapshot>& snapshot, const policy::Operator& op,
                const base::Domain& domain, const std::shared_ptr<const MxFacts>& mx,
                policy::StsState sts);
  // The facts that a host of `planned` was planned by, while they are good: what Gather::host()
  // would answer, since all that its question is made of stands with the plan. Null: ask it.
  static std::shared_ptr<const policy::HostFacts> known_facts(const Planned& planned,
                                                              const base::Domain& host);
  // A host of `planned`, whose outcome is a plan made under the same configuration.
  static Host host(const Snapshot& snapshot, Planned& planned,
                   const std::shared_ptr<const policy::HostFacts>& facts);

  std::size_t size() const { return entries_.size(); }
  void clear();

 private:
  struct Entry {
    const policy::StsState& state() const;
    std::shared_ptr<const Snapshot> snapshot;
    policy::Operator op;
    std::shared_ptr<const MxFacts> mx;
    std::unique_ptr<policy::StsState> sts;  // of a refusal; a plan has its own
    Domain planned;
    std::list<base::Domain>::iterator age;
  };
  std::size_t capacity_;
  std::unordered_map<base::Domain, Entry> entries_;
  std::list<base::Domain> ages_;  // oldest first
};

}  // namespace proxy
