// plan_host() and what stands beside it. The rest of plan.h: plan_domain.cpp (the domain),
// plan_standing.cpp (what a host must prove), plan_exclude.cpp (which hosts are out),
// plan_requirement.cpp (the requirement as a value).
#include "policy/plan.h"

#include "policy/plan_standing.h"
#include "policy/plan_words.h"

namespace policy {

HostPlan plan_host(const Settings& settings, const DomainPlan& domain, const HostFacts& host) {
  const Standing st = standing_of(settings, domain, host);
  const TlsRequirement requirement = requirement_of(st);
  const Applied applied = applied_to(st);
  HostPlan plan{.host = host.host,
                .addresses = host.addresses,
                .mx_security = domain.mx_security,
                .decision = {},
                .unprotected = try_with(st, applied, Opportunistic{}),
                .demanded = requirement};
  plan.unprotected.kind = kind_of(st, requirement);
  if (plan.unprotected.on_downgrade == OnDowngrade::defer) {
    plan.unprotected.on_downgrade = OnDowngrade::log;
  }
  if (auto out = dead_host(st)) {
    plan.decision = *std::move(out);
  } else if (auto ruled = ruled_out(st)) {
    plan.decision = *std::move(ruled);
  } else {
    plan.decision = try_with(st, applied, requirement);
  }
  return plan;
}

std::variant<Try, Excluded> plan_literal(const Settings& settings, const base::Ip& literal) {
  if (settings.fallback == Default::verified) {
    const std::string text = "this server sends to verified hosts alone, and the address literal " +
                             literal.literal() + " names none that could be verified";
    Excluded out;
    out.reply = words::not_verified(text);
    out.reason = text;
    out.result = tlsrpt::ResultType::validation_failure;
    out.by_policy = true;
    out.kind = PolicyKind::operator_rule;
    return out;
  }
  Try plan;
  if (settings.fallback == Default::encrypted) {
    plan.requirement = Encrypted{};
    plan.kind = PolicyKind::operator_rule;
  }
  plan.why = words::requirement(plan.requirement);
  return plan;
}

smtp::Reply no_address_reply(const base::Domain& domain) {
  return words::not_reachable(550, {5, 4, 4}, "no MX of " + domain.str() + " has an address");
}

std::string_view policy_mode(const Try& plan, const StsState& sts) {
  switch (plan.kind) {
    case PolicyKind::tlsa:
    case PolicyKind::operator_rule: return "enforce";
    case PolicyKind::sts: return plan.sts ? to_string(plan.sts->mode) : "enforce";
    case PolicyKind::none: break;
  }
  return is_active(sts, StsMode::none) ? "none" : "";
}

}  // namespace policy
