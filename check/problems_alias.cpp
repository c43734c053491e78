// An MX that is an alias. What its postmaster does about it must not cost the domain its policy or
// its TLSA records on the way: the advice goes by what both of them name.
#include <algorithm>

#include "check/problems.h"
#include "policy/plan_words.h"

namespace check {

namespace {

struct Target {
  std::string name;
  bool secure = false;  // every link and the addresses
};

// The target, where the host's addresses were found behind a CNAME.
std::optional<Target> target_of(const Gathered& gathered, const base::Domain& host) {
  for (const Asked& asked : gathered.asked) {
    const bool address = asked.type == dns::Type::A || asked.type == dns::Type::AAAA;
    if (!address || asked.name != host.str() || !asked.answer || !*asked.answer) continue;
    const dns::RawAnswer& answer = **asked.answer;
    if (!answer.via_cname) continue;
    return Target{answer.canonical_name, answer.security == dns::Security::secure};
  }
  return std::nullopt;
}

// Where the host's TLSA records are; empty: nowhere.
std::string tlsa_base(const dane::Status& status) {
  if (const auto* usable = std::get_if<dane::Usable>(&status)) return usable->base.str();
  if (const auto* unusable = std::get_if<dane::Unusable>(&status)) return unusable->base.str();
  return {};
}

// RFC 7672 §3.1.2, §3.2.2: under DANE-TA(2) the certificate has to name the TLSA base domain.
bool names_count(const dane::Status& status) {
  const auto* usable = std::get_if<dane::Usable>(&status);
  return usable && std::ranges::any_of(usable->published, [](const dane::Tlsa& record) {
           return record.usage == 2;
         });
}

bool is_approved(const policy::StsPolicy& policy, const std::string& name) {
  const auto host = base::Domain::parse(name);
  return host && std::ranges::any_of(policy.mx, [&](const std::string& pattern) {
           return base::matches_pattern(pattern, *host);
         });
}

// The best preference by which the MX set names it.
std::optional<std::uint16_t> preference_of(const policy::DomainFacts& facts,
                                           const std::string& name) {
  std::optional<std::uint16_t> best;
  const auto* list = std::get_if<policy::MxList>(&facts.mx);
  if (!list) return best;
  for (const policy::MxHost& one : list->hosts) {
    if (one.host.str() == name) best = std::min(best.value_or(one.preference), one.preference);
  }
  return best;
}

// What has to be true of the target before an MX record may name it.
std::vector<std::string> steps_before(const policy::DomainFacts& facts,
                                      const policy::HostFacts& host, const std::string& target) {
  const std::string& domain = facts.domain.str();
  std::vector<std::string> before;
  const auto* active = std::get_if<policy::StsActive>(&facts.sts);
  const bool sts = active && active->policy.mode != policy::StsMode::none;
  const bool at_alias = tlsa_base(host.dane) == host.host.str();
  if (sts || (at_alias && names_count(host.dane))) {
    before.push_back("let the certificate there name " + target + ", too");
  }
  if (sts) {
    if (!is_approved(active->policy, target)) {
      before.push_back("list " + target + " in the policy file, then change the id of _mta-sts." +
                       domain + " and wait " + policy::words::span(active->policy.max_age) +
                       " (max_age)");
    }
  }
  // Senders may hold a policy that cannot be fetched now.
  if (!active && !std::holds_alternative<policy::StsAbsent>(facts.sts)) {
    before.push_back("mend the MTA-STS policy and see that it lists " + target);
  }
  if (at_alias) {
    before.push_back("publish the TLSA records of " + host.host.str() + " at _25._tcp." + target +
                     " too");
  }
  // RFC 7672 §2.2.2: behind an insecure CNAME nobody looks for the target's own TLSA records.
  const auto* none = std::get_if<dane::NotApplicable>(&host.dane);
  if (none && none->insecure) {
    before.push_back("see that the TLSA records at _25._tcp." + target +
                     ", if there are any, fit its certificate");
  }
  return before;
}

// The MX record is the last to change. Empty where that would cost something.
std::string name_the_target(const policy::DomainFacts& facts, const policy::HostFacts& host,
                            const Target& to) {
  const std::string& domain = facts.domain.str();
  const std::string& target = to.name;
  if (!base::Domain::parse(target)) return {};
  // RFC 7672 §2.2.2: TLSA records of a host whose addresses are insecure count for nothing.
  if (tlsa_base(host.dane) == host.host.str() && !to.secure) return {};
  const std::vector<std::string> before = steps_before(facts, host, target);
  std::string last = "let the MX record of " + domain + " name " + target + " itself";
  if (const auto own = preference_of(facts, target)) {
    last = "remove the MX record of " + domain + " that names " + host.host.str() + ", since " +
           target + " is an MX by itself";
    const std::uint16_t here = preference_of(facts, host.host.str()).value_or(*own);
    if (here < *own) last += ", and give that one the preference " + std::to_string(here);
  }
  std::string text;
  for (const std::string& step : before) text += (text.empty() ? "first " : ", ") + step;
  return text.empty() ? last : text + ", and then " + last;
}

std::string replace_the_alias(const policy::HostFacts& host, const std::string& target) {
  const std::string& alias = host.host.str();
  const std::string addresses = "give " + alias + " the addresses in place of the CNAME";
  if (tlsa_base(host.dane) != target) return addresses;
  const std::string named = names_count(host.dane)
                                ? "let the certificate there name " + alias + ", too, "
                                : std::string();
  return named + "publish the TLSA records of " + target + " at _25._tcp." + alias +
         " too and then " + addresses;
}

}  // namespace

std::optional<Problem> alias_problem(const Gathered& gathered, std::size_t index) {
  const policy::HostFacts& host = *gathered.facts->hosts[index];
  const auto target = target_of(gathered, host.host);
  // A target without addresses leaves the host without any, which is said already.
  if (!target || host.addresses.empty()) return std::nullopt;
  const std::string naming = name_the_target(gathered.facts->domain, host, *target);
  return Problem{"mx-alias", false,
                 host.host.str() + " is an alias (CNAME) of " + target->name +
                     ", and not every sender follows it",
                 naming + (naming.empty() ? "" : "; or ") +
                     replace_the_alias(host, target->name)};
}

}  // namespace check
