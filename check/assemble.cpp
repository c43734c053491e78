#include "check/assemble.h"

#include <algorithm>

#include "audit/record.h"
#include "check/outcome.h"
#include "check/problems.h"
#include "dns/decode.h"

namespace check {

namespace {

constexpr std::size_t records_most = 64;
constexpr std::size_t names_most = 50;
constexpr std::size_t text_most = 2000;

std::string cut(std::string text) {
  if (text.size() > text_most) text.replace(text_most - 3, std::string::npos, "...");
  return text;
}

std::string record_words(dns::Type type, const std::string& rdata) {
  const auto words = [](const auto& decoded, const auto& print) {
    return decoded ? print(*decoded) : "not readable: " + decoded.error().text;
  };
  const auto ip = [](const base::Ip& one) { return one.str(); };
  switch (type) {
    case dns::Type::A: return words(dns::decode_a(rdata), ip);
    case dns::Type::AAAA: return words(dns::decode_aaaa(rdata), ip);
    case dns::Type::MX:
      return words(dns::decode_mx(rdata), [](const dns::Mx& mx) {
        return std::to_string(mx.preference) + " " + (mx.exchange.empty() ? "." : mx.exchange);
      });
    case dns::Type::TLSA:
      return words(dane::decode_tlsa(rdata), [](const dane::Tlsa& one) { return one.str(); });
    case dns::Type::TXT:
      return words(dns::decode_txt(rdata), [](const std::string& one) { return one; });
    case dns::Type::CNAME:
      return words(dns::decode_name(rdata), [](const std::string& one) { return one; });
  }
  return "?";
}

std::string_view existence_words(dns::Existence existence) {
  switch (existence) {
    case dns::Existence::data: return "data";
    case dns::Existence::nodata: return "nodata";
    case dns::Existence::nxdomain: break;
  }
  return "nxdomain";
}

std::vector<std::string> cut_all(const std::vector<std::string>& texts, std::size_t most,
                                 std::size_t& more) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < std::min(texts.size(), most); ++i) kept.push_back(cut(texts[i]));
  more = texts.size() - kept.size();
  return kept;
}

}  // namespace

Answer answer_of(const Asked& asked) {
  Answer answer;
  answer.type = dns::to_string(asked.type);
  answer.name = asked.name;
  answer.state = "failed";
  if (!asked.answer) {
    answer.error = "no answer in time";
    return answer;
  }
  const dns::RawLookup& raw = *asked.answer;
  if (!raw) {
    if (raw.error().kind == dns::LookupError::Kind::bogus) answer.state = "bogus";
    answer.error = cut(raw.error().text);
    return answer;
  }
  answer.state = dns::to_string(raw->security);
  answer.existence = existence_words(raw->existence);
  answer.ttl = raw->ttl;
  if (raw->via_cname) answer.canonical_name = raw->canonical_name;
  std::vector<std::string> records;
  for (const std::string& rdata : raw->records) records.push_back(record_words(asked.type, rdata));
  answer.records = cut_all(records, records_most, answer.more);
  return answer;
}

namespace {

// ---- MTA-STS ------------------------------------------------------------------------------------

// The record as it is now, whatever is cached.
void add_record(Policy& policy, const base::Domain& domain, const std::vector<Asked>& asked) {
  for (const Asked& one : asked) {
    if (one.type != dns::Type::TXT || one.name != "_mta-sts." + domain.str()) continue;
    if (!one.answer || !*one.answer) continue;
    const auto decoded = dns::decode_all<std::string>(*one.answer, dns::decode_txt);
    if (!decoded || decoded->records.empty()) continue;
    auto parsed = policy::parse_sts_txt(decoded->records);
    if (const auto* id = std::get_if<std::string>(&parsed)) {
      policy.record_id = *id;
    } else {
      policy.record_error = std::get<policy::StsNoRecord>(parsed).reason;
    }
  }
}

Policy policy_of(const Question& question, const Gathered& gathered, const DaemonCache& cache) {
  Policy policy;
  policy.daemon = cache.words;
  policy.state = "unknown";
  policy.reason = "it was not asked for";
  if (!gathered.snapshot->settings.sts_enabled) {
    policy.state = "disabled";
    policy.reason = "MTA-STS is disabled here";
    return policy;
  }
  add_record(policy, question.domain, gathered.asked);
  if (!gathered.facts) return policy;
  const policy::StsState& state = gathered.facts->domain.sts;
  policy.reason.clear();
  if (const auto* absent = std::get_if<policy::StsAbsent>(&state)) {
    policy.state = "none";
    policy.reason = absent->reason;
  } else if (const auto* missing = std::get_if<policy::StsUnavailable>(&state)) {
    policy.state = "unavailable";
    policy.id = missing->id;
    policy.reason = missing->failure.reason;
  } else if (const auto* unknown = std::get_if<policy::StsUnknown>(&state)) {
    policy.reason = unknown->reason;
  } else if (const auto* active = std::get_if<policy::StsActive>(&state)) {
    policy.state = "active";
    policy.id = active->id;
    policy.mode = policy::to_string(active->policy.mode);
    std::size_t more = 0;
    policy.mx = cut_all(active->policy.mx, 1000, more);
    policy.max_age = active->policy.max_age;
    policy.source = policy::to_string(active->source);
    policy.fetched = active->fetched;
    policy.expires = active->expires;
    policy.age = std::chrono::duration_cast<std::chrono::seconds>(
        std::max(question.time - active->fetched, std::chrono::milliseconds(0)));
    if (active->refresh_failure) policy.refresh_failure = active->refresh_failure->reason;
  }
  return policy;
}

// ---- hosts --------------------------------------------------------------------------------------

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
  if (seen.state == SeenAddress::State::private_address) address.result = "refused";
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

std::string mx_state(const policy::MxOutcome& mx) {
  if (std::holds_alternative<policy::MxList>(mx)) return "hosts";
  if (std::holds_alternative<policy::ImplicitMx>(mx)) return "implicit";
  if (std::holds_alternative<policy::NullMx>(mx)) return "null";
  if (std::holds_alternative<policy::NoSuchDomain>(mx)) return "no-such-domain";
  if (std::holds_alternative<policy::NoUsableMx>(mx)) return "unusable";
  return "failed";
}

std::string exception_words(const policy::Exception& exception) {
  return "until " + audit::rfc3339(exception.until).substr(0, 10) + ", " + exception.owner + ": " +
         exception.reason;
}

}  // namespace

Report assemble(const Question& question, const Gathered& gathered, const DaemonCache& cache) {
  Report report;
  report.domain = question.domain.str();
  report.time = question.time;
  report.time_given = question.time_given;
  report.connected = question.connected;
  const bool observe = gathered.snapshot->settings.mode == policy::Mode::observe;
  report.mode = observe ? "observe" : "enforce";
  if (gathered.op.exception) report.exception = exception_words(*gathered.op.exception);
  for (const Asked& one : gathered.asked) report.answers.push_back(answer_of(one));
  report.mx_state = "failed";
  if (gathered.facts) {
    report.mx_state = mx_state(gathered.facts->domain.mx);
    report.mx_security = dns::to_string(gathered.facts->domain.mx_security);
    if (report.mx_state == "failed") report.mx_security.clear();
  }
  report.policy = policy_of(question, gathered, cache);
  if (gathered.survey) {
    for (std::size_t i = 0; i < gathered.survey->hosts.size(); ++i) {
      report.mx.push_back(mx_of(question, gathered, i));
    }
  }
  report.outcome = decide(question.domain, gathered, question.connected).outcome;
  report.problems = domain_problems(question.domain, gathered, report.policy);
  report.mends = mends_of(report);
  return report;
}

}  // namespace check
