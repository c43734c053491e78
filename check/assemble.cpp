#include "check/assemble.h"

#include <algorithm>

#include "audit/record.h"
#include "check/outcome.h"
#include "check/problems.h"
#include "dns/decode.h"

namespace check {

constexpr std::size_t text_most = 2000;

std::string cut(std::string text) {
  if (text.size() > text_most) text.replace(text_most - 3, std::string::npos, "...");
  return text;
}

std::vector<std::string> cut_all(const std::vector<std::string>& texts, std::size_t most,
                                 std::size_t& more) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < std::min(texts.size(), most); ++i) kept.push_back(cut(texts[i]));
  more = texts.size() - kept.size();
  return kept;
}

namespace {

constexpr std::size_t records_most = 64;
constexpr std::size_t patterns_most = 1000;

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
  if (cache.row && cache.row->expires <= question.time) {
    policy.daemon = "what the daemon has cached has expired by then: it is fetched anew";
  }
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
    policy.mx = cut_all(active->policy.mx, patterns_most, more);
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
  report.mx = mx_hosts_of(question, gathered);
  report.outcome = decide(question.domain, gathered, question.connected).outcome;
  report.problems = domain_problems(question.domain, gathered, report.policy);
  report.mends = mends_of(report);
  return report;
}

}  // namespace check
