#include "policy/outlook.h"

#include <algorithm>

#include "base/overloaded.h"
#include "policy/plan_words.h"

namespace policy {

namespace {

// What a header may say of a host that meets its requirement; `rank`: the less, the weaker.
struct Words {
  int rank = 0;
  std::string text;
};

std::string pkix_name(const Try& plan) { return plan.pkix_by_sts ? "MTA-STS" : "PKIX"; }

Words words_of(const Try& plan) {
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) { return Words{0, "opportunistic"}; },
          [](const Encrypted&) { return Words{1, "encrypted"}; },
          [&](const Dane&) {
            if (plan.mx_vouched) return Words{3, "verified (DANE)"};
            return Words{2, "encrypted (DANE, unsigned MX)"};
          },
          [&](const Pkix&) { return Words{3, "verified (" + pkix_name(plan) + ")"}; },
          [&](const DaneAndPkix&) {
            return Words{3, "verified (DANE and " + pkix_name(plan) + ")"};
          },
          [](const Pinned&) { return Words{3, "verified (pin)"}; },
      },
      plan.requirement);
}

// Whose demand it is that is not met.
std::string demand_of(const Try& plan, const base::Domain& domain) {
  if (plan.pkix_by_sts && plan.sts) {
    return words::sts(domain.str(), plan.sts->id, plan.sts->mode) + " is not met";
  }
  if (plan.tlsa && (dane_of(plan.requirement) || plan.kind == PolicyKind::tlsa)) {
    return words::tlsa(plan.tlsa->policy.domain) + " are not met";
  }
  return "this server's own requirement for " + domain.str() + " is not met";
}

std::string age_of(std::chrono::seconds ago) {
  if (ago < std::chrono::seconds(90)) return std::to_string(ago.count()) + " s";
  return std::to_string(std::chrono::duration_cast<std::chrono::minutes>(ago).count()) + " min";
}

// What could not be found out, as against what was found out and falls short.
bool is_lookup_error(const std::optional<tlsrpt::ResultType>& result) {
  return result == tlsrpt::ResultType::dnssec_invalid ||
         result == tlsrpt::ResultType::sts_policy_fetch_error ||
         result == tlsrpt::ResultType::sts_webpki_invalid;
}

// Collects what the hosts say, in the order of their preference.
class Summary {
 public:
  // `sts_missing`: whether there is an MTA-STS policy, or what it says, could not be found out.
  Summary(const base::Domain& domain, const Sightings& seen, bool sts_missing)
      : domain_(domain), seen_(seen), sts_missing_(sts_missing) {}

  void add(const HostPlan& host) {
    if (const auto* excluded = std::get_if<Excluded>(&host.decision)) {
      // A host proven to have no address carries no mail and so excuses none.
      if (excluded->by_policy) {
        failed(excluded->reply, excluded->reason, excluded->kind);
        passing_ |= is_lookup_error(excluded->result);
      } else if (!excluded->no_address) {
        unknown(excluded->reason);
      }
      return;
    }
    add(host.host, std::get<Try>(host.decision));
  }

  Outlook outlook() && {
    Outlook out;
    out.kind = kind_;
    out.stale = stale_;
    if (open_) {
      out.prospect = Prospect::open;
    } else if (good_) {
      out.prospect = Prospect::good;
      out.stale = newest_ >= renewed_after;
    } else if (unknown_ || !failure_) {
      out.prospect = Prospect::unknown;
      out.reason = std::move(unknown_reason_);
    } else {
      out.prospect = Prospect::bad;
      out.words = "TLS as demanded is not to be had";
      out.reason = failure_->reason;
      out.kind = failure_->kind;
      out.reply = std::move(failure_->reply);
      out.passing = passing_;
      return out;
    }
    if (weakest_) out.words = std::move(weakest_->text);
    if (out.prospect == Prospect::unknown) {
      out.words = weakest_ ? out.words + " demanded, not seen lately" : "not known";
    }
    return out;
  }

 private:
  struct Failure {
    smtp::Reply reply;
    std::string reason;
    PolicyKind kind = PolicyKind::none;
  };

  void add(const base::Domain& host, const Try& plan) {
    const bool demands = demands_tls(plan.requirement);
    const std::optional<Sighting> sighting = demands ? seen_(host, plan) : std::nullopt;
    if (sighting && !sighting->fine) {
      // It can be met, and so may be mended any time.
      stale_ = true;
      const std::string text = demand_of(plan, domain_) + " by MX " + host.str() +
                               " of " + domain_.str() + ": " + sighting->reason + " (seen " +
                               age_of(sighting->ago) + " ago)";
      failed(sighting->no_starttls ? words::no_starttls(text) : words::not_verified(text), text,
             plan.kind);
      // With its policy the host may be vouched for, and this certificate good enough.
      const Pkix* const pkix = pkix_of(plan.requirement);
      passing_ |= sts_missing_ && pkix && pkix->vouching;
      return;
    }
    // The header speaks of the weakest host that may get the mail.
    Words said = words_of(plan);
    if (!weakest_ || said.rank < weakest_->rank) weakest_ = std::move(said);
    if (kind_ == PolicyKind::none) kind_ = plan.kind;
    if (!demands) {
      open_ = true;
    } else if (sighting) {
      newest_ = good_ ? std::min(newest_, sighting->ago) : sighting->ago;
      good_ = true;
    } else {
      stale_ = true;
      unknown("no session with " + host.str() + " was seen lately");
    }
  }

  void failed(const smtp::Reply& reply, const std::string& reason, PolicyKind kind) {
    if (!failure_) failure_ = Failure{reply, reason, kind};
  }
  void unknown(const std::string& reason) {
    if (!unknown_) unknown_reason_ = reason;
    unknown_ = true;
  }

  const base::Domain& domain_;
  const Sightings& seen_;
  bool sts_missing_;
  bool open_ = false;
  bool good_ = false;
  bool unknown_ = false;
  bool stale_ = false;
  bool passing_ = false;
  std::chrono::seconds newest_{0};
  std::string unknown_reason_;
  std::optional<Words> weakest_;
  std::optional<Failure> failure_;
  PolicyKind kind_ = PolicyKind::none;
};

// The whole domain: by a policy, by its null MX, or by what the MTA finds out itself.
Outlook of_refused(const Refused& refused) {
  Outlook out;
  out.reason = refused.reason;
  out.kind = refused.kind;
  if (refused.by_policy) {
    out.prospect = Prospect::bad;
    out.words = "TLS as demanded is not to be had";
    out.reply = refused.reply;
    out.passing = is_lookup_error(refused.result);
  } else if (refused.reply.code == 556) {  // RFC 7505 §4.2
    out.prospect = Prospect::refused;
    out.words = "takes no mail (null MX)";
    out.reply = refused.reply;
  }
  return out;
}

}  // namespace

Outlook unknown_outlook(std::string reason) {
  Outlook out;
  out.reason = std::move(reason);
  return out;
}

Outlook outlook_of(const Settings& settings, const base::Domain& domain, const Survey& survey,
                   const Sightings& seen) {
  Outlook out;
  if (const Refused* refused = survey.refused()) {
    out = of_refused(*refused);
  } else {
    const StsState& sts = survey.plan()->sts;
    Summary summary(domain, seen,
                    std::holds_alternative<StsUnknown>(sts) ||
                        std::holds_alternative<StsUnavailable>(sts));
    for (const HostPlan& host : survey.hosts) summary.add(host);
    out = std::move(summary).outlook();
  }
  out.observed = settings.mode == Mode::observe;
  if (out.observed && out.prospect == Prospect::bad) {
    out.words = "opportunistic (its policy is not met and only observed)";
  }
  return out;
}

Rule rule_for(Require require, const Operator& op) {
  Rule rule;
  if (op.rule) rule = *op.rule;
  const auto strength = [](Require of) {
    return of == Require::encrypted ? 0 : of == Require::verified ? 1 : 2;
  };
  if (!op.rule || strength(require) > strength(rule.require)) rule.require = require;
  return rule;
}

}  // namespace policy
