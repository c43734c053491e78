// Problems of a domain and of a host; those of an address are in problems_address.cpp, an alias in
// problems_alias.cpp.
#include "check/problems.h"

#include <algorithm>

#include "policy/plan_words.h"

namespace check {

using policy::Excluded;

namespace {

void add(std::vector<Problem>& all, std::string code, bool blocks, std::string text,
         std::string mend = {}) {
  all.push_back({std::move(code), blocks, std::move(text), std::move(mend)});
}

std::string policy_url(const base::Domain& domain) {
  return "https://mta-sts." + domain.str() + "/.well-known/mta-sts.txt";
}

void mx_problems(std::vector<Problem>& all, const base::Domain& domain,
                 const policy::MxOutcome& mx) {
  const std::string& name = domain.str();
  if (const auto* failed = std::get_if<policy::MxFailed>(&mx)) {
    if (failed->bogus) {
      add(all, "mx-bogus", true, "the MX records do not pass DNSSEC validation: " + failed->reason,
          sign_anew(name));
    } else {
      add(all, "mx-failed", true, "DNS gave no answer for the MX: " + failed->reason,
          "see to the name servers of " + name);
    }
  }
  if (std::holds_alternative<policy::NoSuchDomain>(mx)) {
    add(all, "no-such-domain", true, "the domain " + name + " does not exist");
  }
  if (std::holds_alternative<policy::NullMx>(mx)) {
    add(all, "null-mx", true, name + " accepts no mail: it publishes a null MX (RFC 7505)");
  }
  if (const auto* none = std::get_if<policy::NoUsableMx>(&mx)) {
    add(all, "no-usable-mx", true, none->reason, "let the MX records of " + name + " name hosts");
  }
  if (const auto* list = std::get_if<policy::MxList>(&mx)) {
    for (const std::string& dropped : list->dropped) {
      const bool null = dropped.starts_with("''");  // RFC 7505 §3: it stands alone, or not at all
      add(all, "mx-no-host", false,
          null ? "a null MX (\".\") stands beside other MX records, and means nothing there"
               : "an MX record names no host: " + dropped,
          null ? "remove the null MX of " + name + ", or, where it takes no mail, the others"
               : "mend or remove that MX record of " + name);
    }
  }
}

void sts_problems(std::vector<Problem>& all, const base::Domain& domain, const Gathered& gathered,
                  const Policy& policy) {
  const policy::Settings& settings = gathered.snapshot->settings;
  const policy::StsState& state = gathered.facts->domain.sts;
  const std::string record = "_mta-sts." + domain.str();
  if (!policy.record_error.empty()) {
    add(all, "sts-record", false, "the TXT record at " + record + ": " + policy.record_error,
        "publish exactly one record at " + record + " such as \"v=STSv1; id=20260101;\"");
  }
  if (const auto* missing = std::get_if<policy::StsUnavailable>(&state)) {
    const bool blocks = settings.on_fetch_error == policy::OnError::defer;
    add(all, "sts-policy", blocks,
        "the policy that " + record + " announces could not be had: " + missing->failure.reason,
        "mend what " + policy_url(domain) + " serves, or remove the record at " + record);
  }
  if (const auto* unknown = std::get_if<policy::StsUnknown>(&state)) {
    add(all, "sts-lookup", settings.on_lookup_error == policy::OnError::defer,
        "whether there is an MTA-STS policy could not be found out: " + unknown->reason,
        is_bogus(gathered, dns::Type::TXT, record)
            ? sign_anew(domain.str())
            : "see to the name servers of " + domain.str());
  }
  const auto* active = std::get_if<policy::StsActive>(&state);
  if (!active) return;
  if (!policy.record_id.empty() && policy.record_id != active->id) {
    add(all, "sts-new-id", false,
        "the record says id " + policy.record_id + ", the cached policy is of id " + active->id +
            ": the relay fetches the new one beside the next message");
  }
  if (active->refresh_failure) {
    add(all, "sts-refresh", false,
        "the policy could not be fetched again: " + active->refresh_failure->reason,
        "mend what " + policy_url(domain) + " serves");
  }
  for (const std::string& leniency : active->policy.leniencies) {
    add(all, "sts-leniency", false, "the policy file is not as RFC 8461 has it: " + leniency,
        "mend the policy file at " + policy_url(domain));
  }
  if (active->policy.mode == policy::StsMode::testing) {
    add(all, "sts-testing", false,
        "the policy is in testing mode: it protects no mail, failures are only reported",
        "set mode enforce, and then a new id, once the TLS reports have shown no failures");
  }
}

// TLS that is promised to nobody.
void no_policy(std::vector<Problem>& all, const base::Domain& domain, const Gathered& gathered) {
  if (!std::holds_alternative<policy::StsAbsent>(gathered.facts->domain.sts)) return;
  const bool secure = std::ranges::any_of(gathered.facts->hosts, [](const auto& host) {
    return !std::holds_alternative<dane::NotApplicable>(host->dane);
  });
  if (secure || gathered.facts->hosts.empty()) return;
  add(all, "no-policy", false,
      domain.str() + " promises no TLS: anybody on the path can take it away unseen",
      "publish an MTA-STS policy for " + domain.str() +
          ", or sign its zone and publish TLSA records of its MX hosts");
}

}  // namespace

bool is_bogus(const Gathered& gathered, dns::Type type, const std::string& name) {
  return std::ranges::any_of(gathered.asked, [&](const Asked& one) {
    return one.type == type && one.name == name && one.answer && !*one.answer &&
           one.answer->error().kind == dns::LookupError::Kind::bogus;
  });
}

std::string sign_anew(const std::string& zone) {
  return "sign the zone of " + zone + " anew, or take its DS record out of the parent zone";
}

std::string shortened(const std::string& record, std::size_t limit) {
  if (record.size() <= limit) return record;
  return record.substr(0, limit - 3) + "...";
}

std::vector<Problem> domain_problems(const base::Domain& domain, const Gathered& gathered,
                                     const Policy& policy) {
  std::vector<Problem> all;
  if (gathered.validation.state == dns::Validation::does_not_validate) {
    add(all, "resolver", true,
        "the resolver here does not validate DNSSEC: " + gathered.validation.text);
  }
  if (!gathered.facts) {
    if (all.empty()) add(all, "mx-failed", true, "the MX look-up did not end in time");
    return all;
  }
  mx_problems(all, domain, gathered.facts->domain.mx);
  sts_problems(all, domain, gathered, policy);
  const policy::Refused* refused = gathered.survey->refused();
  const bool told = std::ranges::any_of(all, &Problem::blocks);
  if (refused && !told) add(all, "refused", true, refused->reason);
  no_policy(all, domain, gathered);
  return all;
}

namespace {

void approval_problems(std::vector<Problem>& all, const base::Domain& domain,
                       const policy::DomainPlan& plan, const policy::HostPlan& host) {
  const auto& sts = host.unprotected.sts;
  if (sts && !sts->name_matched) {
    const auto* active = std::get_if<policy::StsActive>(&plan.sts);
    const bool enforced = sts->mode == policy::StsMode::enforce;
    add(all, "not-approved", enforced && !plan.exception,
        policy::words::sts(domain.str(), sts->id, sts->mode) + " does not list " +
            host.host.str() + ": its mx patterns are " +
            (active ? policy::words::list(active->policy.mx) : ""),
        "add \"mx: " + host.host.str() + "\" to the policy file at " + policy_url(domain) +
            " and then change the id of _mta-sts." + domain.str() + ", or remove the MX record");
  }
  const policy::Rule* rule = plan.rule;
  if (!rule || rule->mx.empty()) return;
  const bool named = std::ranges::any_of(rule->mx, [&](const std::string& pattern) {
    return base::matches_pattern(pattern, host.host);
  });
  if (!named) {
    add(all, "rule-not-approved", true,
        "the rule of this server does not approve " + host.host.str() + ": it names " +
            policy::words::list(rule->mx));
  }
}

void dane_problems(std::vector<Problem>& all, const Gathered& gathered, std::size_t index) {
  const policy::HostFacts& facts = *gathered.facts->hosts[index];
  const std::string& host = facts.host.str();
  const bool secure_mx = gathered.facts->domain.mx_security == dns::Security::secure;
  if (const auto* failed = std::get_if<dane::LookupFailed>(&facts.dane)) {
    const auto* out = std::get_if<Excluded>(&gathered.survey->hosts[index].decision);
    add(all, "tlsa-failed", out != nullptr,
        "whether " + host + " publishes TLSA records could not be found out: " + failed->reason,
        "let the name servers of " + host + " answer for _25._tcp." + host +
            ", with good signatures or none");
  }
  if (const auto* unusable = std::get_if<dane::Unusable>(&facts.dane)) {
    add(all, "tlsa-unusable", false,
        "none of the TLSA records at " + unusable->base.str() + " is usable: " + unusable->reason,
        "publish a TLSA record \"3 1 1\" of the key of " + host);
  }
  const auto* usable = std::get_if<dane::Usable>(&facts.dane);
  if (!usable) return;
  for (const dane::Tlsa& record : usable->published) {
    const std::string why = dane::unusable_reason(record);
    if (why.empty()) continue;
    add(all, "tlsa-record", false, "the TLSA record " + shortened(record.str()) + ": " + why,
        "remove the TLSA record of " + usable->base.str() + " that no sender can use");
  }
  if (secure_mx) return;
  add(all, "mx-unsigned", false,
      "the MX records are not signed: whoever forges them chooses the host, and its TLSA records",
      "sign the zone of " + gathered.facts->domain.domain.str() + " with DNSSEC");
}

// implicit: no MX record names the host, it is the domain itself.
void address_facts_problems(std::vector<Problem>& all, const policy::HostFacts& facts,
                            const policy::HostPlan& host, bool implicit) {
  const std::string& name = facts.host.str();
  const auto* out = std::get_if<Excluded>(&host.decision);
  const bool dead = out && !out->by_policy;
  if (facts.address_error) {
    add(all, facts.address_bogus ? "address-bogus" : "address-failed", dead,
        "an address look-up of " + name + " failed: " + *facts.address_error,
        "see to the name servers" + std::string(facts.address_bogus ? " and signatures" : "") +
            " of " + name);
  } else if (facts.addresses.empty()) {
    add(all, "no-address", true, name + " has no address in the DNS",
        "give " + name + " an address" +
            (implicit ? "" : ", or remove the MX record"));
  }
}

}  // namespace

std::vector<Problem> host_problems(const base::Domain& domain, const Gathered& gathered,
                                   std::size_t index) {
  std::vector<Problem> all;
  const policy::HostPlan& host = gathered.survey->hosts[index];
  if (gathered.seen[index].own) {
    add(all, "own-mx", true, host.host.str() + " is this machine itself (RFC 5321 §5.1)");
  }
  const bool implicit = std::holds_alternative<policy::ImplicitMx>(gathered.facts->domain.mx);
  address_facts_problems(all, *gathered.facts->hosts[index], host, implicit);
  if (!implicit) {
    if (auto alias = alias_problem(gathered, index)) all.push_back(std::move(*alias));
  }
  approval_problems(all, domain, *gathered.survey->plan(), host);
  dane_problems(all, gathered, index);
  const auto* out = std::get_if<Excluded>(&host.decision);
  const bool told = std::ranges::any_of(all, &Problem::blocks);
  if (out && !told) add(all, "excluded", true, out->reason);
  return all;
}

std::vector<std::string> mends_of(const Report& report) {
  std::vector<const Problem*> all;
  const auto take = [&all](const std::vector<Problem>& problems) {
    for (const Problem& problem : problems) {
      if (!problem.mend.empty()) all.push_back(&problem);
    }
  };
  take(report.problems);
  for (const Mx& mx : report.mx) {
    take(mx.problems);
    for (const Address& address : mx.addresses) take(address.problems);
  }
  std::ranges::stable_partition(all, [](const Problem* problem) { return problem->blocks; });
  std::vector<std::string> mends;
  for (const Problem* problem : all) {
    if (std::ranges::find(mends, problem->mend) == mends.end()) mends.push_back(problem->mend);
  }
  return mends;
}

}  // namespace check
