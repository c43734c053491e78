// Worker: one thread's world, an io_context and all that sessions on it use without locks (pool,
// facts, TLS contexts); Shared: what all threads share, each piece safe by itself; Snapshot: the
// configuration that a session keeps from its start to its end. main wires them; nothing is global.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "config/config.h"
#include "policy/plan.h"

namespace audit {
class EnforcementLog;
}
namespace dns {
class Resolver;
}
namespace policy {
class StsEngine;
}

namespace proxy {

class Gather;
class HostMemory;
class MxSlots;
class Pool;
class TlsClient;
class TlsServer;

// Immutable; made at start and at each good SIGHUP.
struct Snapshot {
  std::shared_ptr<const config::Config> config;
  policy::Settings settings;  // the policy part in the words of policy/
};
std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const config::Config> config);

enum class Validation { unknown, validates, broken };

struct Shared {
  const base::Clock* clock = nullptr;
  dns::Resolver* resolver = nullptr;           // validating
  dns::Resolver* plain_resolver = nullptr;     // for exceptions with dnssec = "ignore"
  policy::StsEngine* sts = nullptr;
  audit::EnforcementLog* log = nullptr;
  HostMemory* host_memory = nullptr;
  MxSlots* slots = nullptr;
  std::atomic<Validation> validation{Validation::unknown};  // DANE is used only when it validates
  std::atomic<std::size_t> sessions{0};
  std::atomic<bool> draining{false};
};

class Worker {
 public:
  Worker(Shared& shared, std::shared_ptr<const Snapshot> snapshot);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  boost::asio::io_context& io() { return io_; }
  Shared& shared() { return shared_; }
  base::Random& random() { return random_; }
  Gather& gather() { return *gather_; }
  Pool& pool() { return *pool_; }
  TlsClient& tls_client() { return *tls_client_; }
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  // On this worker's thread: from now on new sessions have this configuration.
  void adopt(std::shared_ptr<const Snapshot> snapshot);

 private:
  Shared& shared_;
  std::shared_ptr<const Snapshot> snapshot_;
  boost::asio::io_context io_{1};
  base::Random random_;
  std::unique_ptr<Gather> gather_;
  std::unique_ptr<TlsClient> tls_client_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace proxy
