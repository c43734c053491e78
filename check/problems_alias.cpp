// An MX that is an alias. What its postmaster does about it must not cost the domain its policy or
// its TLSA records on the way: the advice goes by what both of them name.
#include <algorithm>

#include "check/problems.h"
#include "policy/plan_words.h"

namespace check {

namespace {

// The target, where the host's addresses were found behind a CNAME and are there.
std::optional<std::string> target_of(const Gathered& gathered, const base::Domain& host) {
  for (const Asked& asked : gathered.asked) {
    const bool address = asked.type == dns::Type::A || asked.type == dns::Type::AAAA;
    if (!address || asked.name != host.str() || !asked.answer || !*asked.answer) continue;
    const dns::RawAnswer& answer = **asked.answer;
    if (!answer.via_cname) continue;
    // Whose target is not there either has no address, which is said already.
    if (answer.existence == dns::Existence::nxdomain) return std::nullopt;
    return answer.canonical_name;
  }
  return std::nullopt;
}

// Where the host's TLSA records are; empty: nowhere.
std::string tlsa_base(const dane::Status& status) {
  if (const auto* usable = std::get_if<dane::Usable>(&status)) return usable->base.str();
  if (const auto* unusable = std::get_if<dane::Unusable>(&status)) return unusable->base.str();
  return {};
}

bool is_approved(const policy::StsPolicy& policy, const std::string& name) {
  const auto host = base::Domain::parse(name);
  return host && std::ranges::any_of(policy.mx, [&](const std::string& pattern) {
           return base::matches_pattern(pattern, *host);
         });
}

bool is_mx(const policy::DomainFacts& facts, const std::string& name) {
  const auto* list = std::get_if<policy::MxList>(&facts.mx);
  return list && std::ranges::any_of(list->hosts, [&](const policy::MxHost& one) {
           return one.host.str() == name;
         });
}

// The MX record is the last to change.
std::string name_the_target(const policy::DomainFacts& facts, const policy::HostFacts& host,
                            const std::string& target) {
  const std::string& domain = facts.domain.str();
  std::vector<std::string> before;
  const auto* active = std::get_if<policy::StsActive>(&facts.sts);
  if (active && active->policy.mode != policy::StsMode::none) {
    before.push_back("let the certificate there name " + target);
    if (!is_approved(active->policy, target)) {
      before.push_back("list " + target + " in the policy file, then change the id of _mta-sts." +
                       domain + " and wait " + policy::words::span(active->policy.max_age) +
                       " (max_age)");
    }
  }
  if (tlsa_base(host.dane) == host.host.str()) {
    before.push_back("publish the TLSA records of " + host.host.str() + " at _25._tcp." + target +
                     " too");
  }
  const std::string last =
      is_mx(facts, target)
          ? "remove the MX record of " + domain + " that names " + host.host.str() + ", since " +
                target + " is an MX by itself"
          : "let the MX record of " + domain + " name " + target + " itself";
  std::string text;
  for (const std::string& step : before) text += (text.empty() ? "first " : ", ") + step;
  return text.empty() ? last : text + ", and then " + last;
}

std::string replace_the_alias(const policy::HostFacts& host, const std::string& target) {
  const std::string& alias = host.host.str();
  const std::string addresses = "give " + alias + " the addresses in place of the CNAME";
  if (tlsa_base(host.dane) != target) return addresses;
  return "publish the TLSA records of " + target + " at _25._tcp." + alias + " too and then " +
         addresses;
}

}  // namespace

std::optional<Problem> alias_problem(const Gathered& gathered, std::size_t index) {
  const policy::HostFacts& host = *gathered.facts->hosts[index];
  const auto target = target_of(gathered, host.host);
  if (!target) return std::nullopt;
  return Problem{"mx-alias", false,
                 host.host.str() + " is an alias (CNAME) of " + *target +
                     ", and not every sender follows it",
                 name_the_target(gathered.facts->domain, host, *target) + "; or " +
                     replace_the_alias(host, *target)};
}

}  // namespace check
