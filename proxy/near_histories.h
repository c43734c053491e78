// NearHistories: what one thread asked the memory of MX hosts (proxy/host_histories) within the
// last minute, so that a session with a host in steady use sends no message to another thread: a
// question, its answer and what was learnt were three wake-ups for each connection. What it knows
// is never older than what the home thread knows, but for moments, which are a minute's. Held by a
// worker, used by proxy/walk.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"
#include "base/domain.h"
#include "base/recent.h"
#include "policy/downgrade.h"
#include "proxy/host_histories.h"

namespace proxy {

class NearHistories {
 public:
  static constexpr std::chrono::minutes believed{1};
  static constexpr std::size_t hosts = 2000;  // some 400 octets each

  // `home` and `clock` outlive it.
  NearHistories(HostHistories& home, const base::Clock& clock,
                std::size_t capacity = hosts)
      : home_(home), clock_(clock), known_(capacity) {}

  // As HostHistories::look().
  boost::asio::awaitable<std::optional<policy::HostHistory>> look(base::Domain host);
  // What was learnt goes home where it says more than what look() gave.
  void put(const base::Domain& host, policy::HostHistory history);

 private:
  struct Known {
    policy::HostHistory history;
    HostHistories::Version version = 0;
    base::SteadyTime asked;
  };
  // Null where the home thread may know something else.
  const Known* known(const base::Domain& host);

  HostHistories& home_;
  const base::Clock& clock_;
  base::Recent<base::Domain, Known> known_;
};

}  // namespace proxy
