// Which hosts are out before any connection: the dead, and those that a policy rules out.
#include "policy/plan_entries.h"
#include "policy/plan_standing.h"
#include "policy/plan_words.h"

namespace policy {
namespace {

using tlsrpt::ResultType;

Excluded exclude(smtp::Reply reply, std::string reason) {
  Excluded excluded;
  excluded.reply = std::move(reply);
  excluded.reason = std::move(reason);
  return excluded;
}

}  // namespace

// No policy's doing: there is nothing to connect to, or its address cannot be believed.
std::optional<Excluded> dead_host(const Standing& st) {
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
    out.results.push_back(failed_result(entry, ResultType::dnssec_invalid, why));
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

namespace {

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
  out.results.push_back(failed_result(tlsa_policy(st.host.host, {}), ResultType::dnssec_invalid,
                                      st.dane_failed->reason));
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
  auto result = failed_result(sts_policy(st.domain.domain, st.sts->policy),
                              ResultType::validation_failure, words::mx_mismatch);
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
    out.results.push_back(failed_result(std::move(entry), ResultType::dane_required,
                                        st.unusable ? words::all_unusable : "no-tlsa"));
  } else {
    return std::nullopt;
  }
  out.reply = words::not_verified(out.reason);
  out.by_policy = true;
  out.kind = PolicyKind::operator_rule;
  return out;
}

}  // namespace

std::optional<Excluded> ruled_out(const Standing& st) {
  if (auto out = ruled_out_by_dane_error(st)) return out;
  if (st.exception()) return std::nullopt;
  if (auto out = ruled_out_by_refusal(st)) return out;
  if (auto out = ruled_out_by_sts(st)) return out;
  return ruled_out_by_rule(st);
}

}  // namespace policy
