// Standing: what holds for one host before anything is demanded of it, and what follows from that.
// Inside plan*.cpp only; plan_host() puts it together. Refers to its arguments, so it must not
// outlive them.
#pragma once

#include <memory>
#include <string>

#include "policy/plan.h"

namespace policy {

// What holds for one host, before anything is demanded of it.
struct Standing {
  const Settings& settings;
  const DomainPlan& domain;
  const HostFacts& host;
  bool secure_mx = false;
  bool dane_counts = false;  // DANE is asked about this host at all
  const dane::Usable* usable = nullptr;
  const dane::Unusable* unusable = nullptr;
  const dane::LookupFailed* dane_failed = nullptr;
  const StsActive* sts = nullptr;        // enforce or testing, and asked about this host
  const std::string* pattern = nullptr;  // of that policy, that approves the host
  bool rule_mx = false;                  // the rule's `mx` names it

  // RFC 7672 §2.2.1: only behind a secure MX does DANE say anything about the recipient domain.
  bool dane_authenticates() const { return usable && secure_mx; }
  bool enforced() const { return sts && sts->policy.mode == StsMode::enforce; }
  bool approved_by_sts() const { return enforced() && pattern; }
  bool vouched() const { return secure_mx || approved_by_sts() || rule_mx; }
  const Rule* rule() const { return domain.rule; }
  const Exception* exception() const { return domain.exception; }
};

Standing standing_of(const Settings& settings, const DomainPlan& domain, const HostFacts& host);

// Whether there is a policy of this mode.
bool is_active(const StsState& sts, StsMode mode);

// Whether an enforce policy demands a PKIX certificate of this host.
bool sts_demands_pkix(const Standing& standing);
// Table 12.1 made stricter by rule and default, or weaker by the exception.
TlsRequirement requirement_of(const Standing& standing);
// What gave that requirement.
PolicyKind kind_of(const Standing& standing, const TlsRequirement& requirement);
// Each policy that applies to the host.
struct Applied {
  std::shared_ptr<const AppliedTlsa> tlsa;
  std::shared_ptr<const AppliedSts> sts;
  std::shared_ptr<const AppliedNone> none;
};
Applied applied_to(const Standing& standing);
// The host may be tried under `requirement`.
Try try_with(const Standing& standing, const Applied& applied, TlsRequirement requirement);

// Before any connection: no policy's doing, there is nothing to connect to or its address cannot
// be believed; and: a policy rules the host out.
std::optional<Excluded> dead_host(const Standing& standing);
std::optional<Excluded> ruled_out(const Standing& standing);

}  // namespace policy
