// HostHistories: what MX hosts showed in earlier sessions (policy/downgrade.h), in memory and, by
// the store's own writer, on disk; read from there once, at start. It lives on the home thread; a
// session asks it by a message and is resumed on its own thread, so that there is no lock; all that
// threads share is a count of what changed. Delivery never waits for the disk. Bounded in hosts and
// in age; what was seen longest ago goes first. Not the short memory of dead hosts
// (proxy/host_memory) nor that of the milter (proxy/seen_hosts), which know minutes and one plan.
// Used by proxy/near_histories, a thread's own copy of what it asked lately.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/domain.h"
#include "policy/downgrade.h"
#include "store/store.h"

namespace proxy {

class HostHistories {
 public:
  // 100,000 hosts are about 30 MB of memory and 20 MB of the store.
  static constexpr std::size_t hosts = 100000;

  // `home`: one thread's. `store` and `clock` outlive it.
  HostHistories(boost::asio::any_io_executor home, store::Store& store, const base::Clock& clock,
                std::size_t capacity = hosts);
  // When no caller waits any more.
  ~HostHistories();
  HostHistories(const HostHistories&) = delete;
  HostHistories& operator=(const HostHistories&) = delete;

  // Blocking, at start: from the store. Returns how many hosts are known.
  base::Result<std::size_t, base::Error> load();

  // Any thread. An unknown host has an empty history. nullopt: no answer within a second, and
  // nothing is held against the host, since a memory must not keep mail from going out; nor is
  // anything learnt then.
  boost::asio::awaitable<std::optional<policy::HostHistory>> look(base::Domain host);
  // Any thread.
  void put(base::Domain host, policy::HostHistory history);

  // Any thread, without waiting: another one than before where what is known of the host may have
  // changed meanwhile. Hosts share them.
  using Version = std::uint32_t;
  Version version(const base::Domain& host) const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace proxy
