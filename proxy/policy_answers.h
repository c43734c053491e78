// PolicyAnswers: the policy map's replies, ready to be sent, for as long as they may stand: one
// survey a domain however many ask, a hash look-up while its answer is known. A reply stands as
// long as the TTLs behind it, but for at least half a minute and at most five, and for five seconds
// where mail has to wait; never past an MTA-STS policy's end. forget() and clear() end it at once.
// For six seconds more it is given while it is made anew behind that, a few at a time: otherwise
// all that were first asked for together end together, and are looked for together again and again.
// Bounded. Lives on the thread of its worker. Used by proxy/policy_map.
#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/domain.h"
#include "policy/tls_policy.h"
#include "proxy/channel.h"
#include "proxy/event.h"
#include "proxy/worker.h"

namespace proxy {

class PolicyAnswers {
 public:
  explicit PolicyAnswers(Worker& worker) : worker_(worker) {}
  PolicyAnswers(const PolicyAnswers&) = delete;
  PolicyAnswers& operator=(const PolicyAnswers&) = delete;

  // What is being found out about one domain.
  struct Search {
    std::string reply;  // empty while under way
    SteadyTime deadline;
    Event ready;
  };

  // The reply as a netstring, where one stands; else empty. It lives until the next call of
  // anything here.
  std::string_view known(policy::MapDialect dialect, std::string_view domain, SteadyTime now);
  // Finds out, or joins those who wait for it.
  std::shared_ptr<Search> search(policy::MapDialect dialect, const base::Domain& domain,
                                 SteadyTime now);
  // Its reply; at the latest when its time is over.
  static asio::awaitable<void> await(std::shared_ptr<Search> search);

  // The policy of the domain was purged or fetched anew.
  void forget(const base::Domain& domain);
  // The configuration changed.
  void clear();
  // How many replies that stand are being made anew.
  std::size_t renewals() const { return renewals_; }

 private:
  // Ten thousand domains asked about in turn are in no processor's cache: the fewer places one
  // answer is in, the better. So name and reply are one text, and the index knows the rest.
  struct Entry {
    std::string text;  // the domain, then the reply
    std::size_t domain_size = 0;
    std::shared_ptr<Search> search;  // under way: there is no reply, or it is made anew
    std::string_view domain() const { return std::string_view(text).substr(0, domain_size); }
    std::string_view reply() const { return std::string_view(text).substr(domain_size); }
  };
  using Entries = std::list<Entry>;
  struct Place {
    Entries::iterator entry;
    SteadyTime expires = SteadyTime::min();  // that while there is no reply
    SteadyTime renews = SteadyTime::max();   // when asked for from then on, it is made anew
    std::size_t reply_size = 0;
  };
  struct Cache {
    Entries entries;  // oldest first
    boost::unordered_flat_map<std::string_view, Place> index;  // by its domain()
    std::size_t octets = 0;
  };

  // A policy::MapAnswer and how long it stands.
  struct Finding {
    policy::MapAnswer answer;
    std::chrono::seconds stands{0};
    std::chrono::seconds grace{0};  // given for so long more, while it is made anew
  };
  void renew(policy::MapDialect dialect, Place& place, SteadyTime now);
  // `running` is searches_ or renewals_.
  asio::awaitable<void> find(policy::MapDialect dialect, base::Domain domain,
                             std::shared_ptr<Search> search, std::size_t& running);
  Finding judge(policy::MapDialect dialect, const Snapshot& snapshot,
                const policy::GatheredFacts& facts);
  // False: another reply stands, which this one does not take the place of.
  bool store(policy::MapDialect dialect, const base::Domain& domain,
             const std::shared_ptr<Search>& search, const Finding& finding);
  Cache& cache(policy::MapDialect dialect) { return caches_[static_cast<std::size_t>(dialect)]; }
  static void erase(Cache& cache, Entries::iterator entry);
  static void bound(Cache& cache);

  Worker& worker_;
  std::array<Cache, 3> caches_;
  std::size_t searches_ = 0;
  std::size_t renewals_ = 0;
};

}  // namespace proxy
