// StsEngine: what a domain's MTA-STS state is now (RFC 8461 §3, §5.1). Holds the cache, asks for
// the TXT record and the policy where it must, one look-up and one fetch a domain however many ask,
// refreshes in the background, and keeps the store in step. Its work runs on one home io_context;
// callers may be on any thread and are resumed on their own executor. Not responsible for what a
// policy means for a host (policy/plan.h). Called by proxy/gather, proxy/delivery and the control
// socket; wired by main.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/random.h"
#include "dns/resolver.h"
#include "policy/sts_cache.h"
#include "policy/sts_fetcher.h"
#include "store/store.h"

namespace policy {

struct StsEvent {
  enum class Kind : std::uint8_t {
    fetched,         // a policy was fetched and is in force
    fetch_failed,    // no policy is cached
    refresh_failed,  // the cached policy stays; `alert` unless its mode is none
    record_gone,     // TXT missing or not valid, the cached policy stays
    record_unknown,  // the TXT look-up failed
    expired,
    purged,
    restore_failed,  // a row of the store could not be read
  };
  Kind kind = Kind::fetched;
  std::string domain;
  std::string text;    // for the log, with id, mode, reason
  bool alert = false;  // the administrator is to see it (RFC 8461 §3.3)
};
std::string_view to_string(StsEvent::Kind kind);

struct StsEngineSettings {
  std::chrono::seconds refresh_interval = std::chrono::days(1);
  std::size_t refreshes_at_once = 16;
  std::chrono::milliseconds tick{30000};  // how often due refreshes and expiries are looked for
};

// For `policy list` and `policy show`.
struct StsListed {
  base::Domain domain;
  StsEntry entry;
};

class StsEngine {
 public:
  struct Parts {
    boost::asio::any_io_executor home;  // one thread's; all of them outlive the engine's work
    const base::Clock* clock = nullptr;
    dns::Resolver* resolver = nullptr;
    StsFetcher* fetcher = nullptr;
    store::Store* store = nullptr;      // may be null: nothing persists
    base::Random* random = nullptr;     // used on home alone
    std::function<void(const StsEvent&)> on_event;  // on home, or where load() is called
  };
  StsEngine(Parts parts, StsEngineSettings settings);
  // Once the home io_context has stopped and no caller waits.
  ~StsEngine();
  StsEngine(const StsEngine&) = delete;
  StsEngine& operator=(const StsEngine&) = delete;

  // Blocking, at start: the cache from the store. Returns how many policies are in force.
  base::Result<std::size_t, base::Error> load();
  // Starts the background refreshes on home.
  void start();

  // An unexpired cached policy at once, its record asked for beside. With nothing cached: record
  // and fetch, for up to `wait`; then what RFC 8461 allows, while the work goes on for the next.
  boost::asio::awaitable<StsState> state_for(base::Domain domain, std::chrono::milliseconds wait);
  // After hosts failed for an enforce policy (RFC 8461 §5.1, step 3): asks for the record, fetches
  // a new id, or once the same id again. Up to `wait`; then the state as it was.
  boost::asio::awaitable<StsState> recheck(base::Domain domain, std::chrono::milliseconds wait);
  // The operator's: fetches whatever the id, back-off or not.
  boost::asio::awaitable<StsState> refresh(base::Domain domain, std::chrono::milliseconds wait);

  // What is cached now, without any look-up. Any thread.
  std::vector<StsListed> list() const;
  // Up to `most`, the first by name behind `after`.
  std::vector<StsListed> page(const std::string& after, std::size_t most) const;
  StsSummary summary() const;
  std::optional<StsListed> show(const base::Domain& domain) const;
  // Forgets the domain, in memory and store; one event says `why`. False: no policy was cached, and
  // there is no event. Any thread.
  bool purge(const base::Domain& domain, std::string why);
  std::size_t size() const;

  // One round of what start() does every `tick`; any thread.
  void tick();

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace policy
