#include "proxy/survey.h"

#include <algorithm>

#include "policy/sts_engine.h"

namespace proxy {

namespace {

using Facts = base::Result<policy::GatheredFacts, base::Error>;

// Of the time that is left, not all goes to the policy host: what DNS says is wanted too. But a TXT
// look-up that ends without an answer should be seen to end: then `on_lookup_error` decides.
std::chrono::milliseconds sts_wait(const config::Config& config, SteadyTime deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  const std::chrono::milliseconds dns = config.dns.timeout + std::chrono::seconds(1);
  const std::chrono::milliseconds first_contact = config.mta_sts.first_contact_wait;
  return std::clamp(left - left / 4, std::chrono::milliseconds(0), std::max(first_contact, dns));
}

// A host that is not known in time: what could depend on it stays open, the others are answered.
std::shared_ptr<const policy::HostFacts> host_not_in_time(const base::Domain& host) {
  const std::string why = "the look-ups for " + host.str() + " did not end in time";
  const dane::LookupFailed failed{why, false};
  const SteadyTime now = std::chrono::steady_clock::now();
  policy::HostFacts facts{host, {}, why, false, false, failed, now};
  return std::make_shared<const policy::HostFacts>(std::move(facts));
}

dane::HostOrigin origin_of(const policy::DomainFacts& domain) {
  const bool by_mx = std::holds_alternative<policy::MxList>(domain.mx);
  return {domain.domain, domain.expanded, by_mx, domain.mx_security};
}

}  // namespace

policy::Operator operator_today(const base::Clock& clock, const policy::Settings& settings,
                                const base::Domain& domain) {
  return policy::operator_for(settings, domain,
                              std::chrono::floor<std::chrono::days>(clock.wall()));
}

Gather::HostQuery host_query(const config::Config& config, dane::HostOrigin origin,
                             const base::Domain& host, bool ignore_dnssec) {
  return Gather::HostQuery{host,
                           std::move(origin),
                           config.outbound.port,
                           config.outbound.ip_preference,
                           config.dane.enabled,
                           ignore_dnssec};
}

asio::awaitable<Facts> gather_all(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                                  base::Domain domain, SteadyTime deadline) {
  Shared& shared = worker.shared();
  const config::Config& config = *snapshot->config;
  if (config.dane.enabled && shared.validation == Validation::broken) {
    co_return base::fail("the resolver here does not validate DNSSEC, so that it cannot tell "
                         "whether " + domain.str() + " uses DANE");
  }
  const policy::Operator op = operator_today(*shared.clock, snapshot->settings, domain);
  const bool ignore_dnssec = op.exception && op.exception->ignore_dnssec;
  worker.gather().prefetch_mx(domain, ignore_dnssec);
  policy::StsState sts = policy::StsAbsent{"MTA-STS is disabled here"};
  if (config.mta_sts.enabled && shared.sts) {
    const auto wait = sts_wait(config, deadline);
    sts = co_await shared.sts->state_for(domain, wait);
  }
  const auto mx = co_await worker.gather().mx(domain, ignore_dnssec, deadline);
  if (!mx) {
    co_return base::fail("the MX look-up of " + domain.str() + " did not end in time");
  }
  policy::DomainFacts about{domain, mx->mx, mx->security, mx->expanded, std::move(sts)};
  policy::GatheredFacts facts{std::move(about), {}, mx->expires};
  std::vector<Gather::HostQuery> queries;
  for (const policy::MxHost& host : policy::hosts_of(facts.domain)) {
    queries.push_back(host_query(config, origin_of(facts.domain), host.host, ignore_dnssec));
    worker.gather().prefetch(queries.back());
  }
  for (const Gather::HostQuery& one : queries) {
    Gather::HostQuery query = one;
    auto found = co_await worker.gather().host(std::move(query), deadline);
    if (!found) found = host_not_in_time(one.host);
    facts.expires = std::min(facts.expires, found->expires);
    facts.hosts.push_back(std::move(found));
  }
  Facts whole(std::move(facts));
  co_return whole;
}

}  // namespace proxy
