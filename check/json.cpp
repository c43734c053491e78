#include "check/json.h"

#include <nlohmann/json.hpp>

#include "audit/record.h"
#include "base/encode.h"

namespace check {

using json = nlohmann::ordered_json;

namespace {

json or_null(const std::string& text) { return text.empty() ? json() : json(text); }

json time_json(const std::optional<base::WallTime>& time) {
  return time ? json(audit::rfc3339(*time)) : json();
}

json problems_json(const std::vector<Problem>& problems) {
  json all = json::array();
  for (const Problem& problem : problems) {
    json one;
    one["code"] = problem.code;
    one["blocks"] = problem.blocks;
    one["text"] = problem.text;
    one["mend"] = or_null(problem.mend);
    all.push_back(std::move(one));
  }
  return all;
}

json answers_json(const Report& report) {
  json all = json::array();
  for (const Answer& answer : report.answers) {
    json one;
    one["type"] = answer.type;
    one["name"] = answer.name;
    one["state"] = answer.state;
    one["existence"] = or_null(answer.existence);
    one["ttl"] = answer.ttl ? json(answer.ttl->count()) : json();
    one["canonical_name"] = or_null(answer.canonical_name);
    one["records"] = answer.records;
    one["more"] = answer.more;
    one["error"] = or_null(answer.error);
    all.push_back(std::move(one));
  }
  return all;
}

json policy_json(const Policy& policy) {
  const bool active = policy.state == "active";
  json one;
  one["state"] = policy.state;
  one["reason"] = or_null(policy.reason);
  one["record_id"] = or_null(policy.record_id);
  one["record_error"] = or_null(policy.record_error);
  one["id"] = or_null(policy.id);
  one["mode"] = or_null(policy.mode);
  one["mx"] = policy.mx;
  one["max_age"] = active ? json(policy.max_age.count()) : json();
  one["source"] = or_null(policy.source);
  one["fetched"] = time_json(policy.fetched);
  one["expires"] = time_json(policy.expires);
  one["age"] = active ? json(policy.age.count()) : json();
  one["refresh_failure"] = or_null(policy.refresh_failure);
  one["daemon"] = or_null(policy.daemon);
  return one;
}

json tls_json(const Tls& tls) {
  json one;
  one["version"] = tls.version;
  one["cipher"] = tls.cipher;
  one["group"] = or_null(tls.group);
  one["sni"] = or_null(tls.sni);
  one["cert_sha256"] = or_null(tls.cert_sha256);
  one["spki_sha256"] = or_null(tls.spki_sha256);
  json certificate;
  if (tls.certificate) {
    certificate["subject"] = tls.certificate->subject;
    certificate["issuer"] = tls.certificate->issuer;
    certificate["not_before"] = time_json(tls.certificate->not_before);
    certificate["not_after"] = time_json(tls.certificate->not_after);
    certificate["key"] = tls.certificate->key;
    certificate["chain"] = tls.certificate->chain;
    certificate["names"] = tls.names;
    certificate["more_names"] = tls.more_names;
    certificate["names_host"] = tls.names_host;
    certificate["trusted"] = tls.trusted;
    certificate["chain_error"] = or_null(tls.chain_error);
  }
  one["certificate"] = std::move(certificate);
  one["tlsa"] = json::array();
  for (const TlsaMatch& match : tls.tlsa) {
    json record;
    record["record"] = match.text;
    record["matched"] = match.matched;
    record["reason"] = or_null(match.reason);
    one["tlsa"].push_back(std::move(record));
  }
  return one;
}

json address_json(const Address& address) {
  json one;
  one["ip"] = address.ip.str();
  one["result"] = address.result;
  one["peer_auth"] = or_null(address.peer_auth);
  one["protection"] = or_null(address.protection);
  one["reason"] = or_null(address.reason);
  one["helo"] = or_null(address.helo);
  one["tls"] = address.tls ? tls_json(*address.tls) : json();
  one["problems"] = problems_json(address.problems);
  return one;
}

json mx_json(const Mx& mx) {
  json one;
  one["name"] = mx.name;
  one["preference"] = mx.preference;
  one["own"] = mx.own;
  one["approved"] = mx.approved;
  one["pattern"] = or_null(mx.pattern);
  one["requirement"] = mx.requirement;
  one["why"] = mx.why;
  one["policy"] = mx.policy;
  one["excluded"] = mx.excluded;
  one["excluded_why"] = or_null(mx.excluded_why);
  one["dane"] = mx.dane;
  one["dane_reason"] = or_null(mx.dane_reason);
  one["tlsa_base"] = or_null(mx.tlsa_base);
  one["tlsa"] = json::array();
  for (const TlsaRecord& record : mx.tlsa) {
    json entry;
    entry["record"] = record.text;
    entry["use"] = or_null(record.use);
    entry["unusable"] = or_null(record.unusable);
    entry["consulted"] = record.consulted;
    one["tlsa"].push_back(std::move(entry));
  }
  one["problems"] = problems_json(mx.problems);
  one["addresses"] = json::array();
  for (const Address& address : mx.addresses) one["addresses"].push_back(address_json(address));
  return one;
}

json outcome_json(const Outcome& outcome) {
  json one;
  one["verdict"] = to_string(outcome.verdict);
  one["certain"] = outcome.certain;
  one["uncertain_why"] = or_null(outcome.uncertain_why);
  json reply;
  if (outcome.reply) {
    reply["code"] = outcome.reply->code;
    reply["enhanced"] = outcome.reply->enhanced ? json(outcome.reply->enhanced->str()) : json();
    std::string text;
    for (const std::string& line : outcome.reply->lines) text += (text.empty() ? "" : " ") + line;
    reply["text"] = text;
  }
  one["reply"] = std::move(reply);
  one["mx"] = or_null(outcome.mx);
  one["ip"] = outcome.ip ? json(outcome.ip->str()) : json();
  one["protection"] = or_null(outcome.protection);
  one["peer_auth"] = or_null(outcome.peer_auth);
  one["observed"] = outcome.observed;
  one["rechecked"] = outcome.rechecked;
  return one;
}

}  // namespace

std::string to_json(const Report& report) {
  json all;
  all["schema"] = json_schema;
  all["domain"] = report.domain;
  all["time"] = audit::rfc3339(report.time);
  all["time_given"] = report.time_given;
  all["connected"] = report.connected;
  all["mode"] = report.mode;
  all["exception"] = or_null(report.exception);
  all["resolvers"] = json::array();
  for (const Resolver& resolver : report.resolvers) {
    json one;
    one["name"] = resolver.name;
    one["validation"] = resolver.validation;
    one["plan"] = resolver.plan;
    all["resolvers"].push_back(std::move(one));
  }
  all["differences"] = json::array();
  for (const Difference& difference : report.differences) {
    json one;
    one["type"] = difference.type;
    one["name"] = difference.name;
    one["answers"] = difference.answers;
    all["differences"].push_back(std::move(one));
  }
  all["answers"] = answers_json(report);
  all["mx_state"] = report.mx_state;
  all["mx_security"] = or_null(report.mx_security);
  all["sts"] = policy_json(report.policy);
  all["mx"] = json::array();
  for (const Mx& mx : report.mx) all["mx"].push_back(mx_json(mx));
  all["outcome"] = outcome_json(report.outcome);
  all["problems"] = problems_json(report.problems);
  all["mends"] = report.mends;
  return base::json_in_ascii(all.dump(2, ' ', false, json::error_handler_t::replace)) + "\n";
}

}  // namespace check
