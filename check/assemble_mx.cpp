// The MX hosts of a Report; see assemble.h.
#include <algorithm>

#include "check/assemble.h"
#include "check/outcome.h"
#include "check/problems.h"

namespace check {

namespace {

constexpr std::size_t records_most = 64;
constexpr std::size_t names_most = 50;

std::string use_words(const dane::Tlsa& record) {
  const std::string what = record.selector == 1 ? "public key" : "certificate";
  const std::string how = record.matching_type == 1   ? ", by SHA2-256"
                          : record.matching_type == 2 ? ", by SHA2-512"
                                                      : ", whole";
  return record.usage == 3 ? "DANE-EE: the host's own " + what + how
                           : "DANE-TA: the " + what + " of a CA above it" + how;
}

void add_dane(Mx& mx, const dane::Status& status) {
  std::vector<dane::Tlsa> published;
  std::vector<dane::Tlsa> consulted;
  if (const auto* none = std::get_if<dane::NotApplicable>(&status)) {
    mx.dane = "not-applicable";
    mx.dane_reason = none->reason;
  } else if (const auto* failed = std::get_if<dane::LookupFailed>(&status)) {
    mx.dane = "failed";
    mx.dane_reason = failed->reason;
  } else if (const auto* unusable = std::get_if<dane::Unusable>(&status)) {
    mx.dane = "unusable";
    mx.dane_reason = unusable->reason;
    mx.tlsa_base = unusable->base.str();
    published = unusable->records;
  } else if (const auto* usable = std::get_if<dane::Usable>(&status)) {
    mx.dane = "usable";
    mx.tlsa_base = usable->base.str();
    published = usable->published;
    consulted = usable->records;
  }
  if (published.size() > records_most) published.resize(records_most);
  for (const dane::Tlsa& record : published) {
    TlsaRecord one;
    one.text = cut(record.str());
    one.unusable = dane::unusable_reason(record);
    if (one.unusable.empty()) one.use = use_words(record);
    one.consulted = std::ranges::find(consulted, record) != consulted.end();
    mx.tlsa.push_back(std::move(one));
  }
}

Tls tls_of(const policy::TlsSession& session, const policy::HostPlan& host,
           const SeenAddress& seen) {
  Tls tls;
  tls.version = session.version;
  tls.cipher = session.cipher;
  tls.group = session.group;
  tls.sni = session.sni;
  tls.cert_sha256 = session.cert_sha256;
  tls.spki_sha256 = session.spki_sha256;
  tls.certificate = seen.certificate;
  tls.names = cut_all(session.pkix.dns_ids, names_most, tls.more_names);
  tls.trusted = seen.pkix.chain == policy::ChainState::trusted;
  if (!tls.trusted) tls.chain_error = seen.pkix.chain_error;
  tls.names_host = std::ranges::any_of(seen.pkix.dns_ids, [&](const std::string& id) {
    return base::matches_pattern(id, host.host);
  });
  for (const RecordMatch& match : seen.matches) {
    tls.tlsa.push_back({cut(match.record.str()), match.matched, match.reason});
  }
  return tls;
}

void add_verdict(Address& address, const policy::Verdict& verdict, const SeenAddress& seen) {
  if (const auto* denied = std::get_if<policy::Denied>(&verdict.outcome)) {
    address.result = "refused";
    for (const std::string& line : denied->reply.lines) {
      address.reason += (address.reason.empty() ? "" : " ") + line;
    }
    return;
  }
  const auto& authorized = std::get<policy::Authorized>(verdict.outcome);
  const bool clear = authorized.protection() == policy::Protection::cleartext;
  address.result = seen.failure ? "unreachable" : clear ? "cleartext" : "usable";
  if (seen.failure) address.reason = seen.failure->text;
  if (!seen.failure) {
    address.peer_auth = policy::to_string(authorized.peer_auth());
    address.protection = policy::to_string(authorized.protection());
  }
}

Address address_of(const Question& question, const policy::HostPlan& host,
                   const policy::Try& terms, const SeenAddress& seen) {
  Address address{seen.ip, "not-tried", {}, {}, {}, seen.helo, {}, {}};
  if (seen.state == SeenAddress::State::private_address) {
    address.result = "refused";
    address.reason = "a private or reserved address";
  }
  if (seen.failure) {
    address.result = "unreachable";
    address.reason = seen.failure->text;
  }
  if (seen.evidence) {
    const bool out = std::holds_alternative<policy::Excluded>(host.decision);
    add_verdict(address, verdict_of(question.domain, host, terms, seen), seen);
    if (out && address.result != "unreachable") address.result = "refused";
    if (out) address.protection = address.peer_auth = "";
    if (const auto* session = std::get_if<policy::TlsSession>(&*seen.evidence)) {
      address.tls = tls_of(*session, host, seen);
    }
  }
  address.problems = address_problems(question.domain, host, terms, seen);
  return address;
}

void add_approval(Mx& mx, const policy::DomainPlan& plan, const policy::HostPlan& host) {
  mx.approved = "not-asked";
  if (const auto& sts = host.unprotected.sts) {
    mx.approved = sts->name_matched ? "yes" : "no";
    mx.pattern = sts->pattern;
    return;
  }
  if (!plan.rule || plan.rule->mx.empty()) return;
  mx.approved = "no";
  for (const std::string& pattern : plan.rule->mx) {
    if (!base::matches_pattern(pattern, host.host)) continue;
    mx.approved = "yes";
    mx.pattern = pattern;
    return;
  }
}

Mx mx_of(const Question& question, const Gathered& gathered, std::size_t index) {
  const policy::HostPlan& host = gathered.survey->hosts[index];
  const policy::DomainPlan& plan = *gathered.survey->plan();
  const policy::Try terms = terms_of(host);
  Mx mx;
  mx.name = host.host.str();
  for (const policy::MxHost& one : plan.hosts) {
    if (one.host == host.host) mx.preference = one.preference;
  }
  mx.own = gathered.seen[index].own;
  add_approval(mx, plan, host);
  mx.requirement = policy::to_string(terms.requirement);
  mx.why = terms.why;
  mx.policy = policy::to_string(terms.kind);
  if (const auto* out = std::get_if<policy::Excluded>(&host.decision)) {
    mx.excluded = true;
    mx.excluded_why = out->reason;
  }
  add_dane(mx, gathered.facts->hosts[index]->dane);
  mx.problems = host_problems(question.domain, gathered, index);
  for (const SeenAddress& seen : gathered.seen[index].addresses) {
    mx.addresses.push_back(address_of(question, host, terms, seen));
  }
  return mx;
}

}  // namespace

std::vector<Mx> mx_hosts_of(const Question& question, const Gathered& gathered) {
  std::vector<Mx> all;
  if (!gathered.survey) return all;
  for (std::size_t i = 0; i < gathered.survey->hosts.size(); ++i) {
    all.push_back(mx_of(question, gathered, i));
  }
  return all;
}

}  // namespace check
