#include "policy/dialled.h"

#include <algorithm>

#include "policy/plan_standing.h"
#include "policy/plan_words.h"

namespace policy {
namespace {

bool has(const HostPlan& host, const base::Ip& ip) {
  return std::ranges::find(host.addresses, ip) != host.addresses.end();
}

// A policy, or the operator's word, for the domain as a whole. What could not be found out counts
// as a promise: its hosts are used, which costs nothing.
bool domain_promises(const Settings& settings, const DomainPlan& domain) {
  if (domain.exception) return domain.exception->allow == Allow::encrypted;
  if (domain.rule || settings.fallback != Default::opportunistic || domain.refusal) return true;
  if (const auto* active = std::get_if<StsActive>(&domain.sts)) {
    return active->policy.mode != StsMode::none;
  }
  return !std::holds_alternative<StsAbsent>(domain.sts);
}

bool host_promises(const DomainPlan& domain, const std::optional<HostPlan>& host) {
  if (!host) return true;
  if (const auto* excluded = std::get_if<Excluded>(&host->decision)) return !excluded->no_address;
  const Try& plan = std::get<Try>(host->decision);
  return demands_tls(plan.requirement) || (plan.tlsa && !domain.exception);
}

// For an address that is none of the domain's hosts': what is published is evaluated for the
// report, and nothing is demanded.
Try plan_address(const Settings& settings, const DomainPlan& domain, const base::Ip& dialled) {
  DomainPlan unsigned_mx = domain;  // no MX record that we know led here
  unsigned_mx.mx_security = dns::Security::insecure;
  const HostFacts host{.host = *base::Domain::parse("dialled.invalid"),
                       .addresses = {dialled},
                       .address_error = std::nullopt,
                       .address_bogus = false,
                       .no_address_proven = false,
                       .dane = dane::NotApplicable{"no MX host of the domain has this address"}};
  const Standing st = standing_of(settings, unsigned_mx, host);
  Try plan = try_with(st, applied_to(st), Opportunistic{});
  plan.kind = kind_of(st, requirement_of(st));
  plan.mx_vouched = false;
  plan.sni.reset();
  return plan;
}

}  // namespace

bool is_approved_at(const HostPlan& host, const base::Ip& dialled) {
  return std::holds_alternative<Try>(host.decision) && has(host, dialled);
}

DialledRoute route_dialled(const Settings& settings, const DomainPlan& domain,
                           std::span<const std::optional<HostPlan>> hosts,
                           const base::Ip& dialled) {
  const auto approved = std::ranges::find_if(
      hosts, [&](const auto& host) { return host && is_approved_at(*host, dialled); });
  if (approved != hosts.end()) {
    return ToDialledHost{static_cast<std::size_t>(approved - hosts.begin())};
  }
  const bool promised =
      domain_promises(settings, domain) ||
      std::ranges::any_of(hosts, [&](const auto& host) { return host_promises(domain, host); });
  if (promised) return ToHosts{};
  return ToDialledAddress{plan_address(settings, domain, dialled)};
}

DialledRoute route_unprotected(const Settings& settings, const DomainPlan& domain,
                               std::span<const std::optional<HostPlan>> hosts,
                               const base::Ip& dialled) {
  const auto found =
      std::ranges::find_if(hosts, [&](const auto& host) { return host && has(*host, dialled); });
  if (found != hosts.end()) return ToDialledHost{static_cast<std::size_t>(found - hosts.begin())};
  return ToDialledAddress{plan_address(settings, domain, dialled)};
}

std::variant<Refused, DomainPlan> plan_dialled_domain(const Settings& settings, const Operator& op,
                                                      const DomainFacts& facts) {
  auto planned = plan_domain(settings, op, facts);
  const bool no_hosts = std::holds_alternative<NoSuchDomain>(facts.mx) ||
                        std::holds_alternative<NoUsableMx>(facts.mx);
  if (!no_hosts) return planned;
  DomainFacts other = facts;
  other.mx = ImplicitMx{};
  auto dialled = plan_domain(settings, op, other);
  auto* plan = std::get_if<DomainPlan>(&dialled);
  auto* refused = std::get_if<Refused>(&planned);
  if (!plan || domain_promises(settings, *plan)) {
    if (!refused) return planned;
    // The MTA has an address, so its DNS and ours differ: that is no proof that mail must bounce.
    refused->reply = words::no_route(refused->reason + " in the DNS that this relay sees, and what "
                                     "is demanded of " + facts.domain.str() + " cannot be proven "
                                     "of the address that was dialled");
    return planned;
  }
  plan->hosts.clear();
  return dialled;
}

base::Ip route_dialled_literal(const Try& plan, const base::Ip& literal, const base::Ip& dialled) {
  return demands_tls(plan.requirement) ? literal : dialled;
}

}  // namespace policy
