// Gather: finds out what a recipient domain publishes, in the order that RFC 7672 §2 and RFC 8461
// ask for, and hands it on as plain facts. Decides nothing. Answers are kept per worker for as long
// as their shortest TTL allows (failures for a few seconds), two requests for one name cause one
// set of look-ups. Lives on one thread. Used by proxy/delivery.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/limits.h"
#include "config/config.h"
#include "dane/status.h"
#include "dns/resolver.h"
#include "policy/facts.h"
#include "proxy/channel.h"
#include "proxy/event.h"
#include "proxy/own_addresses.h"

namespace proxy {

struct Shared;

// The DNS part of DomainFacts, without the MTA-STS state, which has its own cache and clock.
struct MxFacts {
  policy::MxOutcome mx;
  dns::Security security = dns::Security::insecure;
  std::optional<base::Domain> expanded;
  SteadyTime expires{};  // the answer's TTL ends
};

class Gather {
 public:
  // `capacity`: how many domains, and how many hosts, are remembered.
  Gather(Shared& shared, boost::asio::any_io_executor executor,
         std::size_t capacity = base::limits::domain_facts)
      : shared_(shared), executor_(std::move(executor)), capacity_(capacity) {}
  Gather(const Gather&) = delete;
  Gather& operator=(const Gather&) = delete;

  // `ignore_dnssec`: an exception says so; then bogus answers count as insecure. nullptr: not known
  // by `deadline`; the look-ups go on for the next one who asks.
  boost::asio::awaitable<std::shared_ptr<const MxFacts>> mx(base::Domain domain,
                                                            bool ignore_dnssec,
                                                            SteadyTime deadline);
  // What mx() would answer without waiting; null where it would not, and nothing is begun.
  std::shared_ptr<const MxFacts> known_mx(const base::Domain& domain, bool ignore_dnssec) const;
  // Begins the same look-ups without waiting.
  void prefetch_mx(const base::Domain& domain, bool ignore_dnssec);

  struct HostQuery {
    base::Domain host;
    dane::HostOrigin origin;
    std::uint16_t port = 25;
    config::IpPreference preference = config::IpPreference::System;
    bool dane_enabled = true;
    bool ignore_dnssec = false;
  };
  boost::asio::awaitable<std::shared_ptr<const policy::HostFacts>> host(HostQuery query,
                                                                      SteadyTime deadline);
  // Begins without waiting, so that the next host is ready when it is its turn.
  void prefetch(const HostQuery& query);
  // Whether a network interface of this machine has that address.
  bool is_own(const base::Ip& ip) {
    return own_addresses_.has(ip, std::chrono::steady_clock::now());
  }

  // Forgets everything: the configuration changed.
  void clear();

 private:
  // One set of look-ups; who waits for it has its facts, whatever becomes of the entry.
  template <class T>
  struct Search {
    std::shared_ptr<const T> facts;  // null while under way
    Event ready;
  };
  template <class T>
  struct Entry {
    std::shared_ptr<const T> facts;  // null while the look-ups are under way
    std::chrono::steady_clock::time_point expires;
    std::shared_ptr<Search<T>> search;
    std::list<std::string>::iterator age;
  };
  template <class T>
  struct Cache {
    std::unordered_map<std::string, Entry<T>> entries;
    std::list<std::string> ages;  // oldest first
  };

  dns::Resolver& resolver(bool ignore_dnssec);
  boost::asio::awaitable<void> find_mx(base::Domain domain, bool ignore_dnssec, std::string key);
  boost::asio::awaitable<void> find_host(HostQuery query, std::string key);
  template <class T>
  void store(Cache<T>& cache, const std::string& key, std::shared_ptr<const T> facts,
             std::chrono::seconds ttl);
  template <class T>
  bool begin(Cache<T>& cache, const std::string& key);
  template <class T>
  boost::asio::awaitable<std::shared_ptr<const T>> await_facts(Cache<T>& cache, std::string key,
                                                               SteadyTime deadline);

  Shared& shared_;
  boost::asio::any_io_executor executor_;
  std::size_t capacity_;
  Cache<MxFacts> mx_cache_;
  Cache<policy::HostFacts> host_cache_;
  OwnAddresses own_addresses_;
};

}  // namespace proxy
