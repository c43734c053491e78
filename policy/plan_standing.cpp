#include "policy/plan_standing.h"

#include <algorithm>

#include "policy/plan_entries.h"
#include "policy/plan_words.h"

namespace policy {
namespace {

// An exception covers a TLSA look-up that fails; a bogus one only with dnssec = "ignore".
bool excepted(const DomainPlan& domain, const dane::LookupFailed& lookup) {
  return domain.exception && (domain.exception->ignore_dnssec || !lookup.bogus);
}

}  // namespace

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

bool is_active(const StsState& sts, StsMode mode) {
  const auto* active = std::get_if<StsActive>(&sts);
  return active && active->policy.mode == mode;
}

// DEC-C1: DANE replaces the policy's certificate check only behind a secure MX, and never under
// `both`; the policy's list of hosts holds either way.
bool sts_demands_pkix(const Standing& st) {
  if (!st.enforced()) return false;
  return !(st.dane_authenticates() && st.settings.combine == Combine::dane_first);
}

namespace {

Dane dane_demand(const dane::Usable& usable) { return {usable.records, usable.reference_ids}; }

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

}  // namespace

TlsRequirement requirement_of(const Standing& st) {
  if (const Exception* exception = st.exception()) {
    if (exception->allow == Allow::encrypted) return Encrypted{};
    return Opportunistic{};
  }
  return required(st);
}

PolicyKind kind_of(const Standing& st, const TlsRequirement& requirement) {
  if (st.exception()) return PolicyKind::operator_rule;
  if (requirement != published_requirement(st)) {
    return PolicyKind::operator_rule;
  }
  if (st.dane_authenticates()) return PolicyKind::tlsa;
  if (st.enforced()) return PolicyKind::sts;
  if (st.usable || st.unusable) return PolicyKind::tlsa;
  return st.sts ? PolicyKind::sts : PolicyKind::none;
}

namespace {

std::shared_ptr<const AppliedTlsa> applied_tlsa(const Standing& st) {
  if (st.usable) {
    return std::make_shared<const AppliedTlsa>(
        AppliedTlsa{tlsa_policy(st.usable->base, st.usable->published), true, {},
                    st.usable->records, st.usable->reference_ids});
  }
  if (st.unusable) {
    return std::make_shared<const AppliedTlsa>(
        AppliedTlsa{tlsa_policy(st.unusable->base, st.unusable->records), false,
                    st.unusable->reason, {}, {}});
  }
  return nullptr;
}

std::shared_ptr<const AppliedSts> applied_sts(const Standing& st) {
  if (!st.sts) return nullptr;
  return std::make_shared<const AppliedSts>(
      AppliedSts{.policy = sts_policy(st.domain.domain, st.sts->policy),
                 .id = st.sts->id,
                 .mode = st.sts->policy.mode,
                 .name_matched = st.pattern != nullptr,
                 .pattern = st.pattern ? *st.pattern : std::string(),
                 .refresh_failure = st.sts->refresh_failure});
}

std::shared_ptr<const AppliedNone> applied_none(const Standing& st) {
  if (const auto* missing = std::get_if<StsUnavailable>(&st.domain.sts)) {
    return std::make_shared<const AppliedNone>(
        AppliedNone{sts_unfetched(st.domain.domain), missing->failure});
  }
  if (st.usable || st.unusable || st.sts) return nullptr;
  return std::make_shared<const AppliedNone>(
      AppliedNone{no_policy(st.domain.domain), std::nullopt});
}

// RFC 7672 §8.1: the TLSA base domain; RFC 8461 §7.1 and opportunistic TLS: the MX host.
base::Domain sni_of(const Standing& st) {
  if (st.usable) return st.usable->base;
  return st.unusable ? st.unusable->base : st.host.host;
}

}  // namespace

Applied applied_to(const Standing& st) {
  return {applied_tlsa(st), applied_sts(st), applied_none(st)};
}

Try try_with(const Standing& st, const Applied& applied, TlsRequirement requirement) {
  Try out;
  out.sni = sni_of(st);
  out.tlsa = applied.tlsa;
  out.sts = applied.sts;
  out.none = applied.none;
  out.kind = kind_of(st, requirement);
  out.mx_vouched = st.vouched();
  out.pkix_by_sts = pkix_of(requirement) && sts_demands_pkix(st);
  out.on_downgrade = st.exception() ? OnDowngrade::pass : st.settings.on_downgrade;
  out.why = words::requirement(requirement);
  out.requirement = std::move(requirement);
  return out;
}

}  // namespace policy
