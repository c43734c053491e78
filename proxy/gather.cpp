#include "proxy/gather.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/limits.h"
#include "dns/await.h"
#include "dns/decode.h"
#include "proxy/address.h"
#include "proxy/meters.h"
#include "proxy/worker.h"

namespace proxy {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::chrono::seconds longest_kept = 1h;
constexpr std::chrono::seconds failure_kept = 5s;

std::chrono::seconds ttl_of(std::chrono::seconds ttl) { return std::min(ttl, longest_kept); }

template <class T>
std::chrono::seconds ttl_of(const std::optional<dns::Lookup<T>>& lookup) {
  if (!lookup) return longest_kept;
  return *lookup ? ttl_of((*lookup)->ttl) : failure_kept;
}

// Whether a route to this family exists here at all: a UDP connect sends nothing.
bool has_route(const base::Ip& ip) {
  const int fd = ::socket(ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const auto endpoint = endpoint_of(ip, 25);
  const int result = ::connect(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size()));
  ::close(fd);
  return result == 0;
}

// RFC 5321 §5.2: the order of the families is a local matter; within a family the resolver's.
std::vector<base::Ip> ordered(const dane::AddressFacts& facts, config::IpPreference preference) {
  std::vector<base::Ip> v4, v6;
  if (facts.a && *facts.a) v4 = (*facts.a)->records;
  if (facts.aaaa && *facts.aaaa) v6 = (*facts.aaaa)->records;
  bool v6_first = preference == config::IpPreference::Ipv6 ||
                  preference == config::IpPreference::Ipv6Only;
  if (preference == config::IpPreference::System) v6_first = !v6.empty() && has_route(v6.front());
  std::vector<base::Ip>& first = v6_first ? v6 : v4;
  std::vector<base::Ip>& second = v6_first ? v4 : v6;
  first.insert(first.end(), second.begin(), second.end());
  if (first.size() > base::limits::addresses_per_host) {
    first.resize(base::limits::addresses_per_host);
  }
  return first;
}

policy::MxOutcome outcome_of(const base::Domain& domain, const dns::Lookup<dns::Mx>& lookup) {
  if (!lookup) {
    return policy::MxFailed{lookup.error().text,
                            lookup.error().kind == dns::LookupError::Kind::bogus};
  }
  if (lookup->existence == dns::Existence::nxdomain) return policy::NoSuchDomain{};
  if (lookup->existence == dns::Existence::nodata || lookup->records.empty()) {
    return policy::ImplicitMx{};
  }
  // RFC 7505 §3; a "." beside other exchanges is no null MX, only an entry to skip.
  if (lookup->records.size() == 1 && lookup->records.front().exchange.empty()) {
    return policy::NullMx{};
  }
  policy::MxList list;
  for (const dns::Mx& record : lookup->records) {
    auto host = base::Domain::parse(record.exchange);
    if (!host) {
      list.dropped.push_back("'" + record.exchange + "': " + host.error().text);
      continue;
    }
    // A host listed twice counts with its better preference.
    const auto same = std::ranges::find(list.hosts, *host, &policy::MxHost::host);
    if (same != list.hosts.end()) {
      same->preference = std::min(same->preference, record.preference);
    } else {
      list.hosts.push_back({std::move(*host), record.preference});
    }
  }
  if (list.hosts.empty()) {
    return policy::NoUsableMx{"none of the MX records of " + domain.str() + " names a host"};
  }
  std::ranges::stable_sort(list.hosts, {}, &policy::MxHost::preference);
  if (list.hosts.size() > base::limits::mx_hosts) {
    list.hosts.erase(list.hosts.begin() + base::limits::mx_hosts, list.hosts.end());
  }
  return list;
}

asio::awaitable<void> look_up_addresses(dns::Resolver& resolver, std::string name, dns::Type type,
                                        std::optional<dns::Lookup<base::Ip>>& into,
                                        std::shared_ptr<Event> done) {
  auto raw = co_await dns::async_lookup(resolver, name, type);
  into = dns::decode_all(std::move(raw),
                         type == dns::Type::A ? dns::decode_a : dns::decode_aaaa);
  done->notify_all();
}

// A and AAAA at once; both stay alive until both have answered.
asio::awaitable<void> look_up_both(dns::Resolver& resolver, std::string name, bool v4, bool v6,
                                   dane::AddressFacts& facts) {
  auto done = std::make_shared<Event>();
  auto executor = co_await asio::this_coro::executor;
  if (v4 && v6) {
    asio::co_spawn(executor,
                   look_up_addresses(resolver, name, dns::Type::AAAA, facts.aaaa, done),
                   asio::detached);
  }
  if (v4) {
    co_await look_up_addresses(resolver, name, dns::Type::A, facts.a, done);
  } else {
    co_await look_up_addresses(resolver, name, dns::Type::AAAA, facts.aaaa, done);
  }
  while (v6 && !facts.aaaa) {
    const auto soon = std::chrono::steady_clock::now() + 1min;
    co_await done->wait(soon);
  }
}

std::string host_key(const Gather::HostQuery& query) {
  std::string key;
  key.reserve(128);
  key += query.host.view();
  key += query.ignore_dnssec ? "|i" : "|";
  key += query.origin.by_mx ? "m" : "d";
  key += query.origin.mx_security == dns::Security::secure ? "s" : "i";
  // Sessions of an older configuration ask in its terms, and go on doing so after a reload.
  key += query.dane_enabled ? "d" : "-";
  key += std::to_string(query.port);
  key += '.';
  key += std::to_string(static_cast<int>(query.preference));
  // Reference identifiers of usage 2 depend on the next hop (RFC 7672 §3.2.2).
  key += '|';
  key += query.origin.next_hop.view();
  if (query.origin.expanded_next_hop) {
    key += '|';
    key += query.origin.expanded_next_hop->view();
  }
  return key;
}

std::string mx_key(const base::Domain& domain, bool ignore_dnssec) {
  return domain.str() + (ignore_dnssec ? "|i" : "");
}

}  // namespace

dns::Resolver& Gather::resolver(bool ignore_dnssec) {
  return ignore_dnssec && shared_.plain_resolver ? *shared_.plain_resolver : *shared_.resolver;
}

template <class T>
bool Gather::begin(Cache<T>& cache, const std::string& key) {
  auto [place, added] = cache.entries.try_emplace(key);
  if (added) {
    while (cache.ages.size() >= capacity_) {
      const auto oldest = cache.entries.find(cache.ages.front());
      if (oldest != cache.entries.end() && !oldest->second.facts) break;  // Still under way.
      cache.entries.erase(cache.ages.front());
      cache.ages.pop_front();
    }
    place->second.age = cache.ages.insert(cache.ages.end(), key);
    place->second.search = std::make_shared<Search<T>>();
    return true;
  }
  Entry<T>& entry = place->second;
  if (!entry.facts || std::chrono::steady_clock::now() < entry.expires) return false;
  entry.facts.reset();
  entry.search = std::make_shared<Search<T>>();
  cache.ages.splice(cache.ages.end(), cache.ages, entry.age);
  return true;
}

template <class T>
void Gather::store(Cache<T>& cache, const std::string& key, std::shared_ptr<const T> facts,
                   std::chrono::seconds ttl) {
  const auto found = cache.entries.find(key);
  if (found == cache.entries.end()) return;
  found->second.search->facts = facts;
  found->second.facts = std::move(facts);
  found->second.expires = std::chrono::steady_clock::now() + ttl;
  found->second.search->ready.notify_all();
}

void Gather::clear() {
  const auto forget = [](auto& cache) {
    for (auto it = cache.entries.begin(); it != cache.entries.end();) {
      if (it->second.facts) {
        cache.ages.erase(it->second.age);
        it = cache.entries.erase(it);
      } else {
        ++it;
      }
    }
  };
  forget(mx_cache_);
  forget(host_cache_);
}

template <class T>
asio::awaitable<std::shared_ptr<const T>> Gather::await_facts(Cache<T>& cache, std::string key,
                                                              SteadyTime deadline) {
  const auto found = cache.entries.find(key);
  if (found == cache.entries.end()) co_return nullptr;
  // Kept: a reload or a full cache may take the entry before this coroutine goes on.
  const std::shared_ptr<Search<T>> search = found->second.search;
  while (!search->facts && std::chrono::steady_clock::now() < deadline) {
    co_await search->ready.wait(deadline);
  }
  co_return search->facts;
}

asio::awaitable<std::shared_ptr<const MxFacts>> Gather::mx(base::Domain domain,
                                                           bool ignore_dnssec,
                                                           SteadyTime deadline) {
  prefetch_mx(domain, ignore_dnssec);
  std::string key = mx_key(domain, ignore_dnssec);
  auto facts = co_await await_facts(mx_cache_, std::move(key), deadline);
  co_return facts;
}

std::shared_ptr<const MxFacts> Gather::known_mx(const base::Domain& domain,
                                                bool ignore_dnssec) const {
  const auto found = mx_cache_.entries.find(mx_key(domain, ignore_dnssec));
  if (found == mx_cache_.entries.end() || !found->second.facts) return nullptr;
  const bool good = std::chrono::steady_clock::now() < found->second.expires;
  return good ? found->second.facts : nullptr;
}

void Gather::prefetch_mx(const base::Domain& domain, bool ignore_dnssec) {
  const std::string key = mx_key(domain, ignore_dnssec);
  if (!begin(mx_cache_, key)) return;
  asio::co_spawn(executor_, find_mx(domain, ignore_dnssec, key), asio::detached);
}

asio::awaitable<void> Gather::find_mx(base::Domain domain, bool ignore_dnssec, std::string key) {
  auto raw = co_await dns::async_lookup(resolver(ignore_dnssec), domain.str(), dns::Type::MX);
  auto lookup = dns::decode_all(std::move(raw), dns::decode_mx);
  auto facts = std::make_shared<MxFacts>();
  facts->mx = outcome_of(domain, lookup);
  std::chrono::seconds ttl = failure_kept;
  if (lookup) {
    facts->security = ignore_dnssec ? dns::Security::insecure : lookup->security;
    if (lookup->via_cname) {
      auto expanded = base::Domain::parse(lookup->canonical_name);
      if (expanded && *expanded != domain) facts->expanded = std::move(*expanded);
    }
    ttl = ttl_of(lookup->ttl);
  }
  facts->expires = std::chrono::steady_clock::now() + ttl;
  store<MxFacts>(mx_cache_, key, std::move(facts), ttl);
}

asio::awaitable<std::shared_ptr<const policy::HostFacts>> Gather::host(HostQuery query,
                                                                       SteadyTime deadline) {
  std::string key = host_key(query);
  if (begin(host_cache_, key)) {
    asio::co_spawn(executor_, find_host(std::move(query), key), asio::detached);
  }
  auto facts = co_await await_facts(host_cache_, std::move(key), deadline);
  co_return facts;
}

void Gather::prefetch(const HostQuery& query) {
  const std::string key = host_key(query);
  if (!begin(host_cache_, key)) return;
  asio::co_spawn(executor_, find_host(query, key), asio::detached);
}

asio::awaitable<void> Gather::find_host(HostQuery query, std::string key) {
  const bool v4 = query.preference != config::IpPreference::Ipv6Only;
  const bool v6 = query.preference != config::IpPreference::Ipv4Only;
  dns::Resolver& dns = resolver(query.ignore_dnssec);
  dane::AddressFacts addresses;
  // RFC 7672 §2.2.2: addresses before TLSA; broken servers choke on TLSA in unsigned zones.
  co_await look_up_both(dns, query.host.str(), v4, v6, addresses);
  if (query.ignore_dnssec) {
    if (addresses.a && *addresses.a) (*addresses.a)->security = dns::Security::insecure;
    if (addresses.aaaa && *addresses.aaaa) (*addresses.aaaa)->security = dns::Security::insecure;
  }
  if (query.dane_enabled && dane::needs_initial_cname(addresses)) {
    auto raw = co_await dns::async_lookup(dns, query.host.str(), dns::Type::CNAME);
    addresses.initial_cname = dns::decode_all(std::move(raw), dns::decode_name);
  }
  const std::vector<base::Ip> none;
  policy::HostFacts blank{query.host, none, std::nullopt, false, false, dane::NotApplicable{}};
  auto facts = std::make_shared<policy::HostFacts>(std::move(blank));
  std::chrono::seconds ttl = std::min(ttl_of(addresses.a), ttl_of(addresses.aaaa));
  if (!query.dane_enabled) {
    facts->dane = dane::NotApplicable{"DANE is disabled here"};
  } else {
    std::vector<dane::TlsaLookup> lookups;
    const auto candidates = dane::tlsa_candidates(query.host, addresses);
    if (const auto* names = std::get_if<std::vector<base::Domain>>(&candidates)) {
      for (const base::Domain& name : *names) {
        const std::string owner = "_" + std::to_string(query.port) + "._tcp." + name.str();
        auto raw = co_await dns::async_lookup(dns, owner, dns::Type::TLSA);
        auto answer = dns::decode_all(std::move(raw), dane::decode_tlsa);
        ttl = std::min(ttl, answer ? ttl_of(answer->ttl) : failure_kept);
        const bool last = !answer || (answer->security == dns::Security::secure &&
                                      !answer->records.empty());
        dane::TlsaLookup lookup{name, std::move(answer)};
        lookups.push_back(std::move(lookup));
        if (last) break;
      }
    }
    facts->dane = dane::status_of(query.host, query.origin, addresses, lookups);
    if (shared_.meters) shared_.meters->count(facts->dane);
  }
  facts->addresses = ordered(addresses, query.preference);
  facts->no_address_proven = true;
  for (const auto* family : {&addresses.a, &addresses.aaaa}) {
    if (!*family) continue;
    if (!**family) {
      facts->address_error = (*family)->error().text;
      facts->address_bogus |= (*family)->error().kind == dns::LookupError::Kind::bogus;
    }
    if (!**family || !(**family)->records.empty()) facts->no_address_proven = false;
  }
  facts->expires = std::chrono::steady_clock::now() + ttl;
  store<policy::HostFacts>(host_cache_, key, std::move(facts), ttl);
}

}  // namespace proxy
