// The order in which to change things, with the times that hold for this domain now; see own.h.
#include <algorithm>

#include "audit/record.h"
#include "check/own.h"
#include "dns/decode.h"
#include "policy/plan_words.h"
#include "tlsrpt/record.h"

namespace check {

namespace {

using policy::words::span;

bool has_tls_rpt(const OwnSeen& seen) {
  if (!seen.tls_rpt) return false;
  const auto decoded = dns::decode_all<std::string>(*seen.tls_rpt, dns::decode_txt);
  if (!decoded) return false;
  const auto record = tlsrpt::choose_record(decoded->records);
  return record && *record && !(*record)->endpoints.empty();
}

// The longest that a resolver may keep an answer of that type.
std::chrono::seconds longest_ttl(const OwnSeen& seen, dns::Type type) {
  std::chrono::seconds longest{0};
  for (const Asked& asked : seen.gathered.asked) {
    if (asked.type != type || !asked.answer || !*asked.answer) continue;
    longest = std::max(longest, (*asked.answer)->ttl);
  }
  return longest;
}

void with_policy(std::vector<Advice>& all, const OwnSeen& seen, const policy::StsActive& active) {
  const std::string record = "_mta-sts." + seen.domain.str();
  if (active.policy.mode == policy::StsMode::none) {
    all.push_back({"removal",
                   "MTA-STS is given up, by mode none: leave file and record for max_age, " +
                       span(active.policy.max_age) +
                       ", from the day on which that was set, and of the policy before it; only "
                       "then remove both. To begin again: mode testing in the file, then a new "
                       "id in " + record + "."});
    return;
  }
  all.push_back({"policy-before-id",
                 "To change the policy: first the file, then the id of " + record +
                     ". A sender that sees the new id and gets the old file keeps that until "
                     "the next id."});
  all.push_back({"policy-before-mx",
                 "To add an MX host: first its name in the file, then the id, and " +
                     span(active.policy.max_age) + " later the MX record: until then senders may "
                 "hold the policy of before. To remove one: the MX record first, the name last."});
  const auto end = seen.time + active.policy.max_age;
  all.push_back({"removal",
                 "To give MTA-STS up: mode none in the file, a new id, and wait max_age, " +
                     span(active.policy.max_age) + ": not before " +
                     audit::rfc3339(end).substr(0, 10) +
                     ". Only then remove record and file; without that, mail of senders that "
                     "hold the policy is deferred."});
  if (active.policy.mode != policy::StsMode::testing) return;
  all.push_back({"testing-to-enforce",
                 has_tls_rpt(seen)
                     ? "From testing to enforce only with reports to show for it: some weeks "
                       "in which the TLS reports of the large senders count sessions and no "
                       "failures of yours (sternpost report read)."
                     : "From testing to enforce only with reports to show for it, and there is "
                       "no TLS-RPT record: publish one first."});
}

// What is there already is not asked for again.
void without_policy(std::vector<Advice>& all, const OwnSeen& seen, const policy::StsState& state) {
  if (std::holds_alternative<policy::StsUnknown>(state)) return;
  const std::string record = "_mta-sts." + seen.domain.str();
  const bool told = has_tls_rpt(seen);
  const bool file = seen.body && seen.body->has_value();
  const bool announced = std::holds_alternative<policy::StsUnavailable>(state);
  std::string text = "To begin with MTA-STS: ";
  if (!told) text += "the TLS-RPT record first, then ";
  text += file ? "the file, which is there, put right and in mode testing"
               : "the file in mode testing";
  text += announced ? ", and a new id in the record " + record + " last, which is there already."
                    : ", the record " + record + " last.";
  text += told ? " The reports that you get by your TLS-RPT record then tell who would fail."
               : " Reports then tell who would fail.";
  all.push_back({"first-policy", std::move(text)});
}

}  // namespace

std::string own_mend(const std::string& code) {
  if (code == "null-mx") return "publish MX records if the domain is to take mail; else leave it";
  if (code == "no-such-domain") return "look at the spelling, then at the domain's registration";
  if (code == "resolver") return "look at the resolver here: sternpost doctor";
  if (code == "no-certificate") return "let the host show a certificate";
  return "try again; sternpost check tells more";
}

std::vector<Advice> advice_for(const OwnSeen& seen) {
  std::vector<Advice> all;
  if (!seen.gathered.facts) return all;
  const policy::GatheredFacts& facts = *seen.gathered.facts;
  if (facts.hosts.empty()) return all;
  if (const auto* active = std::get_if<policy::StsActive>(&facts.domain.sts)) {
    with_policy(all, seen, *active);
  } else {
    without_policy(all, seen, facts.domain.sts);
  }
  const bool tlsa = std::ranges::any_of(facts.hosts, [](const auto& host) {
    return std::holds_alternative<dane::Usable>(host->dane);
  });
  if (tlsa) {
    const std::string ttl = span(longest_ttl(seen, dns::Type::TLSA));
    all.push_back({"tlsa-before-key",
                   "To change a key: publish the TLSA record of the next key beside the present "
                   "one, wait until the old answer's TTL (" + ttl + ") is over and all name "
                   "servers have it, then change the key; remove the old record after the TTL."});
  } else if (facts.domain.mx_security == dns::Security::secure) {
    all.push_back({"first-tlsa",
                   "To begin with DANE: the MX records are signed. Publish \"3 1 1\" of each "
                   "MX host's key at _25._tcp.HOST in a signed zone, and from then on the record "
                   "before the key."});
  }
  return all;
}

}  // namespace check
