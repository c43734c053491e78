// plan_domain(): whether the domain can have mail at all, and what holds for all its hosts.
#include <algorithm>

#include "base/overloaded.h"
#include "policy/plan.h"
#include "policy/plan_entries.h"
#include "policy/plan_standing.h"
#include "policy/plan_words.h"

namespace policy {
namespace {

using tlsrpt::ResultType;

Refused refuse(smtp::Reply reply, std::string reason) {
  Refused refused;
  refused.reply = std::move(reply);
  refused.reason = std::move(reason);
  return refused;
}

// RFC 7672 §2.1.2: without the MX answer nobody knows which servers to use: delay.
Refused refuse_mx_failed(const base::Domain& domain, const MxFailed& mx) {
  if (!mx.bogus) {
    const std::string text = "DNS gave no answer for the MX of " + domain.str() + ": " + mx.reason;
    return refuse(words::no_answer(text), text);
  }
  const std::string text = "the MX records of " + domain.str() +
                           " do not pass DNSSEC validation: " + mx.reason +
                           "; the signatures of the zone need its administrator";
  Refused refused = refuse(words::not_verified(text), text);
  refused.result = ResultType::dnssec_invalid;
  refused.results.push_back(
      failed_result(no_policy(domain), ResultType::dnssec_invalid, mx.reason));
  return refused;
}

std::optional<Refused> refuse_by_mx(const DomainFacts& facts) {
  using Outcome = std::optional<Refused>;
  const std::string& name = facts.domain.str();
  return std::visit(
      base::overloaded{
          [&](const MxFailed& mx) -> Outcome { return refuse_mx_failed(facts.domain, mx); },
          [&](const NoSuchDomain&) -> Outcome {
            const std::string text = "the domain " + name + " does not exist";
            return refuse(words::not_reachable(550, {5, 1, 2}, text), text);
          },
          [&](const NullMx&) -> Outcome {  // RFC 7505 §3, §4.2
            const std::string text = name + " accepts no mail: it publishes a null MX";
            return refuse(words::not_reachable(556, {5, 1, 10}, text), text);
          },
          [&](const NoUsableMx& mx) -> Outcome {  // RFC 5321 §5.1: an error, no implicit MX
            const std::string text = "no MX record of " + name + " names a host: " + mx.reason;
            return refuse(words::not_reachable(550, {5, 4, 4}, text), text);
          },
          [](const MxList&) -> Outcome { return std::nullopt; },
          [](const ImplicitMx&) -> Outcome { return std::nullopt; },
      },
      facts.mx);
}

// DEC-C4 and its sibling: the operator rather waits than sends without knowing the policy.
std::optional<Refused> refuse_by_unknown_policy(const Settings& settings, const DomainFacts& facts,
                                                const StsState& sts) {
  Refused refused;
  if (const auto* unknown = std::get_if<StsUnknown>(&sts);
      unknown && settings.on_lookup_error == OnError::defer) {
    refused.reason = "whether " + facts.domain.str() +
                     " has an MTA-STS policy could not be found out: " + unknown->reason;
    refused.reply = words::no_answer(refused.reason);
    refused.result = ResultType::sts_policy_fetch_error;
  } else if (const auto* missing = std::get_if<StsUnavailable>(&sts);
             missing && settings.on_fetch_error == OnError::defer) {
    refused.reason = "the MTA-STS policy that " + facts.domain.str() + " announces (id " +
                     missing->id + ") could not be had: " + missing->failure.reason;
    refused.reply = words::not_verified(refused.reason);
    refused.result = missing->failure.type;
    refused.results.push_back(failed_result(sts_unfetched(facts.domain), missing->failure.type,
                                            missing->failure.reason));
  } else {
    return std::nullopt;
  }
  refused.by_policy = true;
  refused.kind = PolicyKind::sts;
  return refused;
}

// RFC 7672 §2.2.1, §6: DANE is mandatory and the MX names are not authentic: delay.
std::optional<Refused> refuse_by_mandatory_dane(const Settings& settings, const Operator& op,
                                                const DomainFacts& facts) {
  if (!op.rule || op.rule->require != Require::dane) return std::nullopt;
  if (settings.dane_enabled && facts.mx_security == dns::Security::secure) return std::nullopt;
  Refused refused;
  refused.reason = "this server requires DANE for " + facts.domain.str() +
                   (settings.dane_enabled ? ", but its MX answer is not signed with DNSSEC"
                                          : ", but DANE is disabled here");
  refused.reply = words::not_verified(refused.reason);
  refused.result = ResultType::dane_required;
  refused.results.push_back(
      failed_result(no_policy(facts.domain), ResultType::dane_required, "insecure-mx"));
  refused.by_policy = true;
  refused.kind = PolicyKind::operator_rule;
  return refused;
}

void set_domain_kind(const Settings& settings, DomainPlan& plan) {
  const bool by_operator =
      plan.exception || plan.rule || settings.fallback != Default::opportunistic;
  if (!plan.exception && is_active(plan.sts, StsMode::enforce)) {
    plan.kind = PolicyKind::sts;
    plan.policy_mode = "enforce";
  } else if (by_operator) {
    plan.kind = PolicyKind::operator_rule;
    plan.policy_mode = "enforce";
  } else if (is_active(plan.sts, StsMode::testing)) {
    plan.kind = PolicyKind::sts;
    plan.policy_mode = "testing";
  } else if (is_active(plan.sts, StsMode::none)) {
    plan.policy_mode = "none";
  }
}

}  // namespace

std::variant<Refused, DomainPlan> plan_domain(const Settings& settings, const Operator& op,
                                              const DomainFacts& facts) {
  if (auto refused = refuse_by_mx(facts)) return *std::move(refused);
  DomainPlan plan{.domain = facts.domain,
                  .mx_security = facts.mx_security,
                  .by_mx = true,
                  .expanded = facts.expanded,
                  .hosts = {},
                  .sts = facts.sts,
                  .policy_mode = {},
                  .rule = op.exception ? nullptr : op.rule,
                  .exception = op.exception,
                  .refusal = {}};
  if (!settings.sts_enabled) plan.sts = StsAbsent{"MTA-STS is disabled here"};
  if (const auto* list = std::get_if<MxList>(&facts.mx)) {
    plan.hosts = list->hosts;
    std::ranges::stable_sort(plan.hosts, {}, &MxHost::preference);
  } else {
    plan.by_mx = false;
    plan.hosts.push_back({facts.domain, 0});
  }
  set_domain_kind(settings, plan);
  if (op.exception) return plan;

  plan.refusal = refuse_by_mandatory_dane(settings, op, facts);
  const bool for_good = plan.refusal.has_value();
  if (!for_good) plan.refusal = refuse_by_unknown_policy(settings, facts, plan.sts);
  // Under dane-alone a host that DANE authenticates does not depend on the policy.
  const bool host_may_pass = !for_good && settings.combine == Combine::dane_alone &&
                             settings.dane_enabled && plan.mx_security == dns::Security::secure;
  if (plan.refusal && settings.mode == Mode::enforce && !host_may_pass) {
    return *std::move(plan.refusal);
  }
  return plan;
}

}  // namespace policy
