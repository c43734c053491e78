#include "dane/status.h"

#include <algorithm>

namespace dane {
namespace {

using Addresses = dns::Lookup<base::Ip>;

// The look-ups that were made, A first.
std::vector<const Addresses*> made(const AddressFacts& addresses) {
  std::vector<const Addresses*> lookups;
  if (addresses.a) lookups.push_back(&*addresses.a);
  if (addresses.aaaa) lookups.push_back(&*addresses.aaaa);
  return lookups;
}

bool has_data(const Addresses& lookup) {
  return lookup && lookup->existence == dns::Existence::data;
}

// The answer that the candidates follow from: one with addresses, a secure one before an insecure
// one, since looking for TLSA records can only make the host's case stricter. Null: no addresses.
const dns::Answer<base::Ip>* telling_answer(const AddressFacts& addresses) {
  const dns::Answer<base::Ip>* chosen = nullptr;
  for (const Addresses* lookup : made(addresses)) {
    if (!has_data(*lookup)) continue;
    if (!chosen || (chosen->security == dns::Security::insecure &&
                    (*lookup)->security == dns::Security::secure)) {
      chosen = &**lookup;
    }
  }
  return chosen;
}

std::optional<dns::LookupError> first_error(const AddressFacts& addresses) {
  for (const Addresses* lookup : made(addresses)) {
    if (!*lookup) return lookup->error();
  }
  return std::nullopt;
}

LookupFailed failed(const dns::LookupError& error) {
  return {error.text, error.kind == dns::LookupError::Kind::bogus};
}

// RFC 7672 §2.2.2, a CNAME whose end is insecure: whether its first link is secure decides.
std::variant<NotApplicable, LookupFailed, std::vector<base::Domain>> by_initial_cname(
    const base::Domain& host, const AddressFacts& addresses) {
  if (!addresses.initial_cname) {
    return LookupFailed{"the CNAME at " + host.str() + " was not asked for by itself", false};
  }
  const auto& initial = *addresses.initial_cname;
  if (!initial) return failed(initial.error());
  if (initial->security == dns::Security::insecure) {
    return NotApplicable{host.str() + " is an insecure CNAME", true};
  }
  return std::vector<base::Domain>{host};
}

void add_once(std::vector<base::Domain>& names, const base::Domain& name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
}

// RFC 7672 §3.2.2: any one of these may be named by a certificate under a DANE-TA(2) record.
std::vector<base::Domain> reference_ids(const base::Domain& host, const base::Domain& base,
                                        const HostOrigin& origin) {
  // §2.2.1: with an insecure MX a forger chose the host; nothing ties it to the next-hop domain.
  if (origin.mx_security == dns::Security::insecure) return {host};
  std::vector<base::Domain> names{base};
  add_once(names, origin.next_hop);
  if (origin.by_mx && origin.expanded_next_hop) add_once(names, *origin.expanded_next_hop);
  return names;
}

// RFC 7672 §2.2: secure records bind us to TLS, usable ones also to authentication.
Status of_records(const base::Domain& host, const HostOrigin& origin, const TlsaLookup& lookup) {
  const std::vector<Tlsa>& published = lookup.answer->records;
  std::vector<Tlsa> usable = usable_records(published);
  if (usable.empty()) {
    std::string reason;
    for (const Tlsa& record : published) {
      if (!reason.empty()) reason += "; ";
      reason += unusable_reason(record);
      if (reason.size() > 300) break;
    }
    return Unusable{lookup.base, published, std::move(reason)};
  }
  return Usable{lookup.base, std::move(usable), published,
                reference_ids(host, lookup.base, origin)};
}

}  // namespace

bool needs_initial_cname(const AddressFacts& addresses) {
  const auto* answer = telling_answer(addresses);
  return answer && answer->via_cname && answer->security == dns::Security::insecure;
}

std::variant<NotApplicable, LookupFailed, std::vector<base::Domain>> tlsa_candidates(
    const base::Domain& host, const AddressFacts& addresses) {
  const auto error = first_error(addresses);
  const auto* answer = telling_answer(addresses);
  if (!answer) {
    if (error) return failed(*error);
    return NotApplicable{host.str() + " has no address"};
  }
  const bool secure = answer->security == dns::Security::secure;
  // RFC 7672 §2.2.2: an insecure address without CNAME is no place to look for TLSA records. An
  // error of the other family changes nothing then; anywhere else it ends the host, since DANE
  // might apply (the RFC leaves the choice: "errors for any query in the process").
  if (!secure && !answer->via_cname) {
    return NotApplicable{"the address of " + host.str() + " is insecure", true};
  }
  if (!secure) {
    auto names = by_initial_cname(host, addresses);
    if (error && std::holds_alternative<std::vector<base::Domain>>(names)) return failed(*error);
    return names;
  }
  if (error) return failed(*error);
  std::vector<base::Domain> names;
  if (answer->via_cname) {
    // §2.2.2: the fully expanded name first. One that is no host name has no TLSA base domain.
    auto expanded = base::Domain::parse(answer->canonical_name);
    if (expanded) names.push_back(std::move(*expanded));
  }
  add_once(names, host);
  return names;
}

Status status_of(const base::Domain& host, const HostOrigin& origin,
                 const AddressFacts& addresses, std::span<const TlsaLookup> lookups) {
  auto candidates = tlsa_candidates(host, addresses);
  if (auto* none = std::get_if<NotApplicable>(&candidates)) return std::move(*none);
  if (auto* error = std::get_if<LookupFailed>(&candidates)) return std::move(*error);
  std::string reason;
  bool insecure = false;
  for (const base::Domain& candidate : std::get<std::vector<base::Domain>>(candidates)) {
    const auto lookup = std::find_if(lookups.begin(), lookups.end(), [&](const TlsaLookup& made) {
      return made.base == candidate;
    });
    // A question that was never put is no absence.
    if (lookup == lookups.end()) {
      return LookupFailed{"TLSA records of " + candidate.str() + " were not asked for", false};
    }
    const auto& answer = lookup->answer;
    if (!answer) return failed(answer.error());  // §2.1.2: the host is unreachable
    if (answer->existence == dns::Existence::data && answer->security == dns::Security::secure) {
      return of_records(host, origin, *lookup);
    }
    // §2.2.3: insecure records, or none: the next candidate.
    insecure |= answer->security == dns::Security::insecure;
    if (!reason.empty()) reason += ", ";
    reason += answer->existence == dns::Existence::data ? "insecure TLSA records at "
                                                        : "no TLSA records at ";
    reason += candidate.str();
  }
  return NotApplicable{std::move(reason), insecure};
}

}  // namespace dane
