// The decisions of plan.h. A host's Standing gathers what holds for it (which DANE status counts,
// whether MTA-STS is asked, who vouches for it); from that follow, in this order: is it dead, does
// a policy rule it out, what must it prove.
#include "policy/plan.h"

#include <algorithm>

#include "base/overloaded.h"
#include "policy/plan_words.h"

namespace policy {
namespace {

using tlsrpt::ResultType;

tlsrpt::SessionResult failed(tlsrpt::Policy policy, ResultType type, std::string_view reason) {
  tlsrpt::SessionResult result{std::move(policy), false, {}};
  result.failures.push_back({type, std::string(reason)});
  return result;
}

tlsrpt::Policy no_policy(const base::Domain& domain) {
  return {tlsrpt::PolicyType::no_policy_found, domain.str(), {}, {}};
}
// RFC 8460 §4.4: what there is of a policy that could not be fetched is its domain.
tlsrpt::Policy sts_unfetched(const base::Domain& domain) {
  return {tlsrpt::PolicyType::sts, domain.str(), {}, {}};
}
tlsrpt::Policy sts_policy(const base::Domain& domain, const StsPolicy& policy) {
  return {tlsrpt::PolicyType::sts, domain.str(), policy.lines, policy.mx};
}
tlsrpt::Policy tlsa_policy(const base::Domain& base, const std::vector<dane::Tlsa>& records) {
  tlsrpt::Policy policy{tlsrpt::PolicyType::tlsa, base.str(), {}, {}};
  for (const dane::Tlsa& record : records) policy.strings.push_back(record.str());
  std::ranges::sort(policy.strings);  // RPT-4.5-c: a stable key
  return policy;
}

// ---- the domain ---------------------------------------------------------------------------------

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
  refused.results.push_back(failed(no_policy(domain), ResultType::dnssec_invalid, mx.reason));
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
    refused.results.push_back(
        failed(sts_unfetched(facts.domain), missing->failure.type, missing->failure.reason));
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
      failed(no_policy(facts.domain), ResultType::dane_required, "insecure-mx"));
  refused.by_policy = true;
  refused.kind = PolicyKind::operator_rule;
  return refused;
}

bool is_active(const StsState& sts, StsMode mode) {
  const auto* active = std::get_if<StsActive>(&sts);
  return active && active->policy.mode == mode;
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

// ---- one host -----------------------------------------------------------------------------------

namespace {

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

// An exception covers a TLSA look-up that fails; a bogus one only with dnssec = "ignore".
bool excepted(const DomainPlan& domain, const dane::LookupFailed& lookup) {
  return domain.exception && (domain.exception->ignore_dnssec || !lookup.bogus);
}

Standing standing_of(const Settings& settings, const DomainPlan& domain, const HostFacts& host) {
  Standing st{settings, domain, host};
  st.secure_mx = domain.mx_security == dns::Security::secure;
  st.dane_counts =
      settings.dane_enabled && (st.secure_mx || settings.insecure_mx == InsecureMx::dane);
  if (st.dane_counts) {
    st.usable = std::get_if<dane::Usable>(&host.dane);
    st.unusable = std::get_if<dane::Unusable>(&host.dane);
    st.dane_failed = std::get_if<dane::LookupFailed>(&host.dane);
    if (st.dane_failed && excepted(domain, *st.dane_failed)) st.dane_failed = nullptr;
  }
  const auto* active = std::get_if<StsActive>(&domain.sts);
  const bool not_asked = settings.combine == Combine::dane_alone && st.dane_authenticates();
  if (active && active->policy.mode != StsMode::none && !not_asked) {
    st.sts = active;
    // RFC 8461 §4.1: the name of the MX record, as published.
    st.pattern = active->policy.matching_pattern(host.host);
  }
  if (const Rule* rule = domain.rule) {
    st.rule_mx = std::ranges::any_of(rule->mx, [&host](const std::string& pattern) {
      return base::matches_pattern(pattern, host.host);
    });
  }
  return st;
}

Excluded exclude(smtp::Reply reply, std::string reason) {
  Excluded excluded;
  excluded.reply = std::move(reply);
  excluded.reason = std::move(reason);
  return excluded;
}

// No policy's doing: there is nothing to connect to, or its address cannot be believed.
std::optional<Excluded> dead(const Standing& st) {
  const HostFacts& host = st.host;
  const std::string& name = host.host.str();
  const std::string why = host.address_error.value_or("no reason given");
  const bool ignored = st.exception() && st.exception()->ignore_dnssec;
  // With one family bogus and the other insecure the host can still be used (DANE-2.2.2-j).
  const bool doubtful =
      host.addresses.empty() || std::holds_alternative<dane::LookupFailed>(host.dane);
  if (host.address_bogus && doubtful && !ignored) {
    const std::string text = "the addresses of " + name + ", MX of " + st.domain.domain.str() +
                             ", do not pass DNSSEC validation: " + why;
    Excluded out = exclude(words::not_verified(text), text);
    out.result = ResultType::dnssec_invalid;
    const auto entry =
        st.dane_counts ? tlsa_policy(host.host, {}) : no_policy(st.domain.domain);
    out.results.push_back(failed(entry, ResultType::dnssec_invalid, why));
    return out;
  }
  if (!host.addresses.empty()) return std::nullopt;
  if (host.address_error || !host.no_address_proven) {
    const std::string text = "DNS gave no answer for the address of " + name + ": " + why;
    return exclude(words::no_answer(text), text);
  }
  const std::string text =
      name + ", MX of " + st.domain.domain.str() + ", has no address in the DNS";
  Excluded out = exclude(
      st.domain.by_mx ? words::no_route(text) : no_address_reply(st.domain.domain), text);
  out.no_address = true;
  return out;
}

std::optional<Excluded> ruled_out_by_refusal(const Standing& st) {
  const auto& refusal = st.domain.refusal;
  if (!refusal) return std::nullopt;
  const bool independent = refusal->kind == PolicyKind::sts &&
                           st.settings.combine == Combine::dane_alone && st.dane_authenticates();
  if (independent) return std::nullopt;
  Excluded out = exclude(refusal->reply, refusal->reason);
  out.result = refusal->result;
  out.kind = refusal->kind;
  out.by_policy = true;
  if (st.host.host == st.domain.hosts.front().host) out.results = refusal->results;
  return out;
}

// RFC 7672 §2.1.2: a server whose TLSA look-up failed is unreachable, without exception.
std::optional<Excluded> ruled_out_by_dane_error(const Standing& st) {
  if (!st.dane_failed) return std::nullopt;
  const std::string text = "whether " + st.host.host.str() + ", MX of " + st.domain.domain.str() +
                           ", publishes TLSA records (DANE) could not be found out: " +
                           st.dane_failed->reason;
  Excluded out = exclude(words::not_verified(text), text);
  out.result = ResultType::dnssec_invalid;
  out.results.push_back(
      failed(tlsa_policy(st.host.host, {}), ResultType::dnssec_invalid, st.dane_failed->reason));
  out.by_policy = true;
  out.kind = PolicyKind::tlsa;
  return out;
}

// RFC 8461 §5: under enforce, no host that the policy does not name.
std::optional<Excluded> ruled_out_by_sts(const Standing& st) {
  if (!st.enforced() || st.pattern) return std::nullopt;
  const std::string& name = st.domain.domain.str();
  const std::string text = words::sts(name, st.sts->id, StsMode::enforce) + " does not list " +
                           st.host.host.str() + ": its mx patterns are " +
                           words::list(st.sts->policy.mx);
  Excluded out = exclude(words::not_verified(text), text);
  out.result = ResultType::validation_failure;  // DEC-C6
  auto result = failed(sts_policy(st.domain.domain, st.sts->policy), ResultType::validation_failure,
                       words::mx_mismatch);
  if (const auto& refresh = st.sts->refresh_failure) {
    result.failures.push_back({refresh->type, refresh->reason});
  }
  out.results.push_back(std::move(result));
  out.by_policy = true;
  out.kind = PolicyKind::sts;
  return out;
}

std::optional<Excluded> ruled_out_by_rule(const Standing& st) {
  const Rule* rule = st.rule();
  if (!rule) return std::nullopt;
  const std::string& name = st.domain.domain.str();
  Excluded out;
  if (!rule->mx.empty() && !st.rule_mx) {
    out.reason = "the rule of this server for " + name + " does not approve the MX " +
                 st.host.host.str() + ": it names " + words::list(rule->mx);
    out.result = ResultType::validation_failure;
  } else if (rule->require == Require::dane && !st.usable) {
    out.reason = "this server requires DANE for " + name + ", but " + st.host.host.str() +
                 (st.unusable ? " has no usable TLSA record: " + st.unusable->reason
                              : " publishes no TLSA record under DNSSEC");
    out.result = ResultType::dane_required;
    auto entry = st.unusable ? tlsa_policy(st.unusable->base, st.unusable->records)
                             : no_policy(st.domain.domain);
    out.results.push_back(failed(std::move(entry), ResultType::dane_required,
                                 st.unusable ? words::all_unusable : "no-tlsa"));
  } else {
    return std::nullopt;
  }
  out.reply = words::not_verified(out.reason);
  out.by_policy = true;
  out.kind = PolicyKind::operator_rule;
  return out;
}

std::optional<Excluded> ruled_out(const Standing& st) {
  if (auto out = ruled_out_by_dane_error(st)) return out;
  if (st.exception()) return std::nullopt;
  if (auto out = ruled_out_by_refusal(st)) return out;
  if (auto out = ruled_out_by_sts(st)) return out;
  return ruled_out_by_rule(st);
}

// ---- what a host must prove ---------------------------------------------------------------------

Dane dane_demand(const dane::Usable& usable) { return {usable.records, usable.reference_ids}; }

// DEC-C1: DANE replaces the policy's certificate check only behind a secure MX, and never under
// `both`; the policy's list of hosts holds either way.
bool sts_demands_pkix(const Standing& st) {
  if (!st.enforced()) return false;
  return !(st.dane_authenticates() && st.settings.combine == Combine::dane_first);
}

// Table 12.1: from what is published alone.
TlsRequirement published_requirement(const Standing& st) {
  const Pkix pkix{st.host.host, {}, {}};
  if (sts_demands_pkix(st)) {
    if (st.usable) return DaneAndPkix{dane_demand(*st.usable), pkix};
    return pkix;
  }
  if (st.usable) return dane_demand(*st.usable);
  if (st.unusable) return Encrypted{};  // RFC 7672 §2.2: TLS, authentication not required
  return Opportunistic{};
}

// The same, made stricter by the operator's rule and default. Both are floors: each holds unless
// what is published already gives as much.
TlsRequirement required(const Standing& st) {
  const Rule* rule = st.rule();
  const bool verified = (rule && rule->require == Require::verified) ||
                        st.settings.fallback == Default::verified;
  const bool encrypted = rule || st.settings.fallback != Default::opportunistic;
  const bool pinned = rule && !rule->spki_sha256.empty();
  const bool own_ca = rule && rule->ca_file;

  std::optional<Dane> dane;
  if (st.usable) dane = dane_demand(*st.usable);
  const bool dane_verifies = dane && st.vouched();
  std::optional<Pkix> pkix;
  if (sts_demands_pkix(st) || own_ca || (verified && !pinned && !dane_verifies)) {
    pkix = Pkix{st.host.host, own_ca ? rule->ca_file : std::nullopt, std::nullopt};
    // Nothing vouches for a host out of unsigned DNS but a certificate for the domain itself.
    if (verified && !pinned && !st.vouched()) pkix->vouching = st.domain.domain;
  }
  if (pinned) return Pinned{rule->spki_sha256, std::move(dane), std::move(pkix)};
  if (dane && pkix) return DaneAndPkix{*std::move(dane), *std::move(pkix)};
  if (dane) return *std::move(dane);
  if (pkix) return *std::move(pkix);
  if (st.unusable || encrypted) return Encrypted{};
  return Opportunistic{};
}

TlsRequirement requirement_of(const Standing& st) {
  if (const Exception* exception = st.exception()) {
    if (exception->allow == Allow::encrypted) return Encrypted{};
    return Opportunistic{};
  }
  return required(st);
}

PolicyKind kind_of(const Standing& st, const TlsRequirement& requirement) {
  if (st.exception()) return PolicyKind::operator_rule;
  if (fingerprint(requirement) != fingerprint(published_requirement(st))) {
    return PolicyKind::operator_rule;
  }
  if (st.dane_authenticates()) return PolicyKind::tlsa;
  if (st.enforced()) return PolicyKind::sts;
  if (st.usable || st.unusable) return PolicyKind::tlsa;
  return st.sts ? PolicyKind::sts : PolicyKind::none;
}

std::optional<AppliedTlsa> applied_tlsa(const Standing& st) {
  if (st.usable) {
    return AppliedTlsa{tlsa_policy(st.usable->base, st.usable->published), true, {},
                       st.usable->records, st.usable->reference_ids};
  }
  if (st.unusable) {
    return AppliedTlsa{tlsa_policy(st.unusable->base, st.unusable->records), false,
                       st.unusable->reason, {}, {}};
  }
  return std::nullopt;
}

std::optional<AppliedSts> applied_sts(const Standing& st) {
  if (!st.sts) return std::nullopt;
  return AppliedSts{.policy = sts_policy(st.domain.domain, st.sts->policy),
                    .id = st.sts->id,
                    .mode = st.sts->policy.mode,
                    .name_matched = st.pattern != nullptr,
                    .pattern = st.pattern ? *st.pattern : std::string(),
                    .refresh_failure = st.sts->refresh_failure};
}

std::optional<AppliedNone> applied_none(const Standing& st) {
  if (const auto* missing = std::get_if<StsUnavailable>(&st.domain.sts)) {
    return AppliedNone{sts_unfetched(st.domain.domain), missing->failure};
  }
  if (st.usable || st.unusable || st.sts) return std::nullopt;
  return AppliedNone{no_policy(st.domain.domain), std::nullopt};
}

// RFC 7672 §8.1: the TLSA base domain; RFC 8461 §7.1 and opportunistic TLS: the MX host.
base::Domain sni_of(const Standing& st) {
  if (st.usable) return st.usable->base;
  return st.unusable ? st.unusable->base : st.host.host;
}

Try try_with(const Standing& st, TlsRequirement requirement) {
  Try out;
  out.sni = sni_of(st);
  out.tlsa = applied_tlsa(st);
  out.sts = applied_sts(st);
  out.none = applied_none(st);
  out.kind = kind_of(st, requirement);
  out.mx_vouched = st.vouched();
  out.pkix_by_sts = pkix_of(requirement) && sts_demands_pkix(st);
  out.why = words::requirement(requirement);
  out.requirement = std::move(requirement);
  return out;
}

}  // namespace

HostPlan plan_host(const Settings& settings, const DomainPlan& domain, const HostFacts& host) {
  const Standing st = standing_of(settings, domain, host);
  const TlsRequirement requirement = requirement_of(st);
  HostPlan plan{.host = host.host,
                .addresses = host.addresses,
                .mx_security = domain.mx_security,
                .decision = {},
                .unprotected = try_with(st, Opportunistic{})};
  plan.unprotected.kind = kind_of(st, requirement);
  if (auto out = dead(st)) {
    plan.decision = *std::move(out);
  } else if (auto ruled = ruled_out(st)) {
    plan.decision = *std::move(ruled);
  } else {
    plan.decision = try_with(st, requirement);
  }
  return plan;
}

std::variant<Try, Excluded> plan_literal(const Settings& settings, const base::Ip& literal) {
  if (settings.fallback == Default::verified) {
    const std::string text = "this server sends to verified hosts alone, and the address literal " +
                             literal.literal() + " names none that could be verified";
    Excluded out = exclude(words::not_verified(text), text);
    out.result = ResultType::validation_failure;
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
