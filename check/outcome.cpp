#include "check/outcome.h"

#include <algorithm>

#include "policy/own_mx.h"
#include "proxy/walk_failure.h"

namespace check {

using policy::Excluded;
using policy::HostPlan;
using proxy::WalkFailure;

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::delivered: return "delivered";
    case Verdict::deferred: return "deferred";
    case Verdict::rejected: return "rejected";
    case Verdict::open: break;
  }
  return "open";
}

policy::Verdict verdict_of(const base::Domain& domain, const HostPlan& host,
                           const policy::Try& terms, const SeenAddress& seen) {
  policy::Verdict verdict = policy::judge(terms, domain, host.host, *seen.evidence);
  if (!std::holds_alternative<policy::RetryInCleartext>(verdict.outcome)) return verdict;
  const policy::NoStartTls again{"TLS failed before on this address"};
  return policy::judge(terms, domain, host.host, again, true);
}

namespace {

// An answer that did not come, rather than one that says no: another try may tell more.
std::optional<std::string> doubt_about(const policy::DomainFacts& facts,
                                       const policy::Refused& refused) {
  if (const auto* failed = std::get_if<policy::MxFailed>(&facts.mx)) {
    if (!failed->bogus) return refused.reason;
    return std::nullopt;
  }
  if (refused.kind != policy::PolicyKind::sts) return std::nullopt;
  const auto* missing = std::get_if<policy::StsUnavailable>(&facts.sts);
  if (std::holds_alternative<policy::StsUnknown>(facts.sts) || (missing && missing->pending)) {
    return refused.reason;
  }
  return std::nullopt;
}

std::optional<std::string> doubt_about(const policy::HostFacts& facts, const Excluded& excluded) {
  const auto* failed = std::get_if<dane::LookupFailed>(&facts.dane);
  const bool no_tlsa = failed && !failed->bogus && !facts.address_bogus;
  const bool no_address = facts.addresses.empty() && !facts.address_bogus && !excluded.no_address;
  return no_tlsa || no_address ? std::optional(excluded.reason) : std::nullopt;
}

class Round {
 public:
  Round(const base::Domain& domain, const Gathered& gathered, bool connected)
      : domain_(domain), gathered_(gathered), connected_(connected) {}

  Decided decide() {
    if (!gathered_.facts) return not_gathered();
    if (const policy::Refused* refused = gathered_.survey->refused()) {
      if (auto doubt = doubt_about(gathered_.facts->domain, *refused)) note_doubt(*doubt);
      decided_.by_sts = refused->kind == policy::PolicyKind::sts;
      keep_most_telling(failure_, proxy::failure_of(*refused));
      return failed();
    }
    if (walk(false)) return decided_;
    const auto& settings = gathered_.snapshot->settings;
    if (by_policy_ && settings.mode == policy::Mode::observe && walk(true)) {
      decided_.outcome.observed = true;
      return decided_;
    }
    return failed();
  }

 private:
  void note_doubt(const std::string& why) {
    Outcome& outcome = decided_.outcome;
    if (outcome.certain) outcome.uncertain_why = why;
    outcome.certain = false;
  }

  Decided not_gathered() {
    const bool broken = gathered_.validation.state == dns::Validation::does_not_validate;
    failure_ = broken ? proxy::resolver_broken(domain_) : proxy::mx_not_in_time(domain_);
    note_doubt(failure_->reply.lines.front());
    return failed();
  }

  Decided failed() {
    Outcome& outcome = decided_.outcome;
    const bool nowhere = without_address_ > 0 && without_address_ == hosts_ && !beside_own_;
    outcome.reply = nowhere ? policy::no_address_reply(domain_) : proxy::last_word(failure_);
    outcome.verdict = outcome.reply->is_permanent() ? Verdict::rejected : Verdict::deferred;
    return decided_;
  }

  // As proxy/walk does: mail for a domain whose host this machine is goes to better hosts alone.
  std::vector<std::size_t> order() {
    const auto& plans = gathered_.survey->hosts;
    std::vector<policy::MxHost> hosts = gathered_.survey->plan()->hosts;
    const auto own = policy::cut_at_own(hosts, [&](const policy::MxHost& host) {
      for (std::size_t i = 0; i < plans.size(); ++i) {
        if (plans[i].host == host.host) return gathered_.seen[i].own;
      }
      return false;
    });
    beside_own_ = own.has_value();
    if (own && hosts.empty()) {
      keep_most_telling(failure_, {WalkFailure::Rank::dns, policy::own_mx_reply(domain_, *own),
                                   std::nullopt});
    }
    std::vector<std::size_t> indices;
    for (const policy::MxHost& host : hosts) {
      for (std::size_t i = 0; i < plans.size(); ++i) {
        if (plans[i].host == host.host) indices.push_back(i);
      }
    }
    return indices;
  }

  // Whether a host would have the mail. `unprotected`: the second walk of observe mode.
  bool walk(bool unprotected) {
    const std::vector<std::size_t> indices = order();
    hosts_ = indices.size();
    without_address_ = 0;
    for (const std::size_t i : indices) {
      const HostPlan& host = gathered_.survey->hosts[i];
      if (const auto* out = std::get_if<Excluded>(&host.decision)) {
        if (!unprotected || !out->by_policy) {
          leave_out(*gathered_.facts->hosts[i], *out);
          continue;
        }
      }
      if (try_host(i, unprotected)) return true;
    }
    return false;
  }

  void leave_out(const policy::HostFacts& facts, const Excluded& out) {
    if (out.no_address) ++without_address_;
    by_policy_ |= out.by_policy;
    decided_.by_sts |= out.by_policy && out.kind == policy::PolicyKind::sts;
    if (auto doubt = doubt_about(facts, out)) note_doubt(*doubt);
    keep_most_telling(failure_, proxy::failure_of(out));
  }

  bool try_host(std::size_t i, bool unprotected) {
    const HostPlan& host = gathered_.survey->hosts[i];
    const auto* decided = std::get_if<policy::Try>(&host.decision);
    const policy::Try& terms = unprotected || !decided ? host.unprotected : *decided;
    if (!connected_) {
      decided_.outcome.verdict = Verdict::open;
      decided_.outcome.mx = host.host.str();
      return true;
    }
    for (const SeenAddress& seen : gathered_.seen[i].addresses) {
      if (try_address(host, terms, seen)) return true;
    }
    return false;
  }

  bool try_address(const HostPlan& host, const policy::Try& terms, const SeenAddress& seen) {
    const std::string place = proxy::place_of(host.host, seen.ip);
    if (seen.state == SeenAddress::State::private_address) {
      keep_most_telling(failure_, proxy::private_address(place));
      return false;
    }
    if (seen.state == SeenAddress::State::not_tried) {
      note_doubt(place + " was not tried");
      return false;
    }
    if (seen.cut_short) note_doubt(place + " did not answer in the time that there was");
    if (seen.evidence) {
      const policy::Verdict verdict = verdict_of(domain_, host, terms, seen);
      if (const auto* denied = std::get_if<policy::Denied>(&verdict.outcome)) {
        by_policy_ = true;
        decided_.by_sts |= denied->by == policy::PolicyKind::sts;
        keep_most_telling(failure_,
                          {WalkFailure::Rank::policy, denied->reply, verdict.result});
        return false;
      }
      const auto* authorized = std::get_if<policy::Authorized>(&verdict.outcome);
      if (authorized && !seen.failure) return deliver(host, *authorized, seen);
    }
    if (seen.failure) keep_most_telling(failure_, proxy::failure_of(*seen.failure, place));
    return false;
  }

  bool deliver(const HostPlan& host, const policy::Authorized& authorized,
               const SeenAddress& seen) {
    Outcome& outcome = decided_.outcome;
    outcome.verdict = Verdict::delivered;
    outcome.certain = true;
    outcome.uncertain_why.clear();
    outcome.mx = host.host.str();
    outcome.ip = seen.ip;
    outcome.protection = policy::to_string(authorized.protection());
    outcome.peer_auth = policy::to_string(authorized.peer_auth());
    return true;
  }

  const base::Domain& domain_;
  const Gathered& gathered_;
  bool connected_;
  Decided decided_;
  std::optional<WalkFailure> failure_;
  std::size_t hosts_ = 0;
  std::size_t without_address_ = 0;
  bool beside_own_ = false;
  bool by_policy_ = false;
};

}  // namespace

Decided decide(const base::Domain& domain, const Gathered& gathered, bool connected) {
  return Round(domain, gathered, connected).decide();
}

}  // namespace check
