// plan(): what each MX host must prove before it may have the domain's mail. Pure: no clock, no
// I/O, no log. plan_domain() decides what holds for all hosts and their order of preference,
// plan_host() the requirement of one host; a delivery asks for hosts one by one, so that a dead
// backup's DNS costs the primary nothing. `check` and the policy map call the same two.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "policy/downgrade.h"
#include "policy/facts.h"
#include "smtp/reply.h"
#include "tlsrpt/result.h"

namespace policy {

enum class Mode : std::uint8_t { enforce, observe };
enum class Combine : std::uint8_t { dane_first, both, dane_alone };
enum class Default : std::uint8_t { opportunistic, encrypted, verified };
enum class InsecureMx : std::uint8_t { dane, opportunistic };
enum class OnError : std::uint8_t { deliver, defer };
enum class Require : std::uint8_t { encrypted, verified, dane };
enum class Allow : std::uint8_t { encrypted, opportunistic };

// "example.com" or ".example.com" (all names below it, not itself).
struct DomainPattern {
  base::Domain domain;
  bool subdomains = false;
  bool matches(const base::Domain& name) const;
};

struct Rule {
  std::vector<DomainPattern> domains;
  Require require = Require::verified;
  std::vector<std::string> mx;           // approved hosts, "name" or "*.name"; empty: any
  std::vector<std::string> spki_sha256;  // pins, hex, lower case
  std::optional<std::string> ca_file;    // its own trust store
};

struct Exception {
  std::vector<DomainPattern> domains;
  Allow allow = Allow::opportunistic;
  std::chrono::sys_days until{};  // the last day, UTC
  std::string owner;
  std::string reason;
  bool ignore_dnssec = false;
};

struct Settings {
  Mode mode = Mode::enforce;
  Combine combine = Combine::dane_first;
  Default fallback = Default::opportunistic;  // policy.default
  InsecureMx insecure_mx = InsecureMx::dane;
  OnError on_lookup_error = OnError::deliver;
  OnError on_fetch_error = OnError::deliver;
  OnDowngrade on_downgrade = OnDowngrade::log;
  bool dane_enabled = true;
  bool sts_enabled = true;
  std::vector<Rule> rules;
  std::vector<Exception> exceptions;
};

// What the operator says of one domain today: at most one of both is in force (an exception stands
// above rules; past its day it is void). The pointers live as long as the settings.
struct Operator {
  const Rule* rule = nullptr;
  const Exception* exception = nullptr;
  bool operator==(const Operator&) const = default;
};
Operator operator_for(const Settings& settings, const base::Domain& domain,
                      std::chrono::sys_days today);

// ---- requirements: alternatives, never a ladder -------------------------------------------------

// Equal ones hold the same in the same order; fingerprint() does not look at the order.

struct Opportunistic {    // TLS if it can be had, cleartext otherwise
  bool operator==(const Opportunistic&) const = default;
};
struct Encrypted {        // TLS with anybody
  bool operator==(const Encrypted&) const = default;
};
struct Dane {
  std::vector<dane::Tlsa> records;
  std::vector<base::Domain> reference_ids;
  bool operator==(const Dane&) const = default;
};
struct Pkix {             // trusted chain, in date, and a DNS-ID that names the host
  base::Domain name;
  std::optional<std::string> ca_file;  // the CAs that count, and no others
  // Besides `name`: a certificate that names the recipient domain itself vouches for the host
  // (rule `verified` behind an insecure MX); then one of `vouching` must be named too.
  std::optional<base::Domain> vouching;
  bool operator==(const Pkix&) const = default;
};
struct DaneAndPkix {
  Dane dane;
  Pkix pkix;
  bool operator==(const DaneAndPkix&) const = default;
};
struct Pinned {           // the leaf's key is one of these; what else is demanded must hold too
  std::vector<std::string> spki_sha256;
  std::optional<Dane> dane;
  std::optional<Pkix> pkix;
  bool operator==(const Pinned&) const = default;
};
using TlsRequirement = std::variant<Opportunistic, Encrypted, Dane, Pkix, DaneAndPkix, Pinned>;

// `requirement` of the enforcement log: dane | verified | encrypted | opportunistic.
std::string_view to_string(const TlsRequirement& requirement);
// The requirement and all that it names as one canonical, readable line: a connection may be
// reused, and a TLS session resumed, only under the same one. Equal for the same records in
// another order.
std::string fingerprint(const TlsRequirement& requirement);
// The parts, wherever they stand in the variant; nullptr where the requirement has none.
const Dane* dane_of(const TlsRequirement& requirement);
const Pkix* pkix_of(const TlsRequirement& requirement);
bool demands_tls(const TlsRequirement& requirement);  // all but opportunistic

// Each policy that applies to a host: the session is told to TLS-RPT once for each.
struct AppliedTlsa {
  tlsrpt::Policy policy;                   // its domain is the TLSA base domain
  bool usable = false;                     // false: secure records, none usable
  std::string unusable_reason;
  std::vector<dane::Tlsa> records;         // to evaluate the evidence against
  std::vector<base::Domain> reference_ids;
};
struct AppliedSts {
  tlsrpt::Policy policy;
  std::string id;
  StsMode mode = StsMode::none;            // enforce or testing
  bool name_matched = false;               // the host is approved by a pattern
  std::string pattern;
  std::optional<StsFailure> refresh_failure;
};
struct AppliedNone {
  tlsrpt::Policy policy;                   // no-policy-found; or sts with a fetch failure
  std::optional<StsFailure> fetch_failure;
};

enum class PolicyKind : std::uint8_t { tlsa, sts, operator_rule, none };
std::string_view to_string(PolicyKind kind);  // of the log: tlsa | sts | operator | no-policy-found

// A host that may be tried.
struct Try {
  TlsRequirement requirement;
  std::optional<base::Domain> sni;
  // What applies to the host whatever is demanded: one for all its plans. Null: it does not.
  std::shared_ptr<const AppliedTlsa> tlsa;
  std::shared_ptr<const AppliedSts> sts;
  std::shared_ptr<const AppliedNone> none;
  PolicyKind kind = PolicyKind::none;  // what gave the requirement
  bool mx_vouched = false;  // secure MX, enforce policy, rule's mx: PKIX or DANE here is "verified"
  OnDowngrade on_downgrade = OnDowngrade::log;  // where the host showed more before
  bool pkix_by_sts = false;  // an enforce policy demands the PKIX part of the requirement
  std::string why;          // the requirement in words: "DANE: 2 usable TLSA records at mx.…"
};
// A host that no mail may go to, before any connection.
struct Excluded {
  smtp::Reply reply;  // 451 with the reason (550 5.4.4 for an implicit MX); without ID
  std::optional<tlsrpt::ResultType> result;  // for the log; nullopt where it is no TLS matter
  std::string reason;
  std::vector<tlsrpt::SessionResult> results;  // for TLS-RPT; empty where it is no TLS matter
  bool by_policy = false;  // a policy ruled it out (observe walks it again); false: it is just dead
  PolicyKind kind = PolicyKind::none;
  // Proven to have no address. When that holds for every host of the domain the delivery answers
  // no_address_reply().
  bool no_address = false;
};

struct HostPlan {
  base::Domain host;
  std::vector<base::Ip> addresses;
  dns::Security mx_security = dns::Security::insecure;
  std::variant<Try, Excluded> decision;
  // observe mode's second walk: opportunistic, whatever is published or the operator's rules say.
  // What is published is still evaluated, so that the report tells the truth. Not for a host whose
  // exclusion is not by_policy.
  Try unprotected;
  // What the host would have to prove, excluded or not: for those who explain a plan.
  TlsRequirement demanded;
};

// The domain cannot have mail at all, or not now.
struct Refused {
  smtp::Reply reply;  // without ID
  std::string reason;
  std::optional<tlsrpt::ResultType> result;  // for the log; nullopt where it is no TLS matter
  std::vector<tlsrpt::SessionResult> results;
  bool by_policy = false;  // never in observe mode: there plan_host() excludes each host instead
  PolicyKind kind = PolicyKind::none;
};

struct DomainPlan {
  base::Domain domain;
  dns::Security mx_security = dns::Security::insecure;
  bool by_mx = true;
  std::optional<base::Domain> expanded;
  std::vector<MxHost> hosts;  // by preference; equal ones in the order of the answer
  StsState sts;
  PolicyKind kind = PolicyKind::none;
  std::string policy_mode;    // enforce | testing | none, "" where there is no policy
  const Rule* rule = nullptr;            // in force; lives as long as the settings
  const Exception* exception = nullptr;  // in force; its use is logged
  // A policy rules all hosts out (but, under dane-alone, those that DANE authenticates): observe
  // mode still needs the list to walk it. plan_host() turns it into Excluded; its results go with
  // the first host alone, so that they are counted once.
  std::optional<Refused> refusal;
};

std::variant<Refused, DomainPlan> plan_domain(const Settings& settings, const Operator& op,
                                              const DomainFacts& facts);
HostPlan plan_host(const Settings& settings, const DomainPlan& domain, const HostFacts& host);

// Mail to user@[192.0.2.1]: no MX, no published policy, no TLS-RPT; the operator's default alone.
// `verified` cannot be had for an address, so it excludes.
std::variant<Try, Excluded> plan_literal(const Settings& settings, const base::Ip& literal);

// 550 5.4.4: every host of the domain is proven to have no address.
smtp::Reply no_address_reply(const base::Domain& domain);
// `policy_mode` of the log for a session under `plan`: enforce | testing | none | "".
std::string_view policy_mode(const Try& plan, const StsState& sts);

// RFC 5321 §5.1: shuffles hosts of equal preference; never moves one across a preference.
// `below(n)`: 0 … n-1.
template <class Below>
void shuffle_equal_preferences(std::vector<MxHost>& hosts, Below below) {
  for (std::size_t i = 0; i < hosts.size();) {
    std::size_t j = i + 1;
    while (j < hosts.size() && hosts[j].preference == hosts[i].preference) ++j;
    for (std::size_t k = j - i; k > 1; --k) std::swap(hosts[i + k - 1], hosts[i + below(k)]);
    i = j;
  }
}

}  // namespace policy
