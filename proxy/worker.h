// Worker: one thread's world, an io_context and all that sessions on it use without locks (pool,
// facts, TLS contexts); Shared: what all threads share, each piece safe by itself; Snapshot: the
// configuration that a session keeps from its start to its end. main wires them; nothing is global.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/clock.h"
#include "base/limits.h"
#include "base/random.h"
#include "config/config.h"
#include "policy/plan.h"
#include "proxy/plans.h"
#include "tlsrpt/return_path.h"

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
class HostHistories;
class HostMemory;
struct Meters;
class MxSlots;
class NearHistories;
class Patience;
class Pool;
class SeenHosts;
class TlsClient;
class TlsServer;

// Immutable; made at start and at each good SIGHUP.
struct Snapshot {
  std::shared_ptr<const config::Config> config;
  policy::Settings settings;  // the policy part in the words of policy/
  // The terms for report mail of our own (RFC 8460 §5.3): as if nothing were published and the
  // operator had no rule, bogus answers count as insecure, no connection is shared with other mail.
  // Null where these are those terms.
  std::shared_ptr<const Snapshot> freed;
  bool report_mail() const { return freed == nullptr; }
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
  HostHistories* host_histories = nullptr;  // null: nobody remembers
  SeenHosts* seen_hosts = nullptr;  // null: nobody asks for it
  Meters* meters = nullptr;         // null: nobody counts
  const tlsrpt::ReturnPath* report_mail = nullptr;  // null: no report mail goes out from here
  // Keeps a policy's strings under their digest, before a log line names it; any thread.
  std::function<void(const tlsrpt::Policy&, const std::string& digest)> keep_policy;
  std::atomic<Validation> validation{Validation::unknown};  // DANE is used only when it validates
  std::atomic<std::size_t> sessions{0};
  std::atomic<bool> draining{false};
};

class Worker {
 public:
  // How many domains are remembered.
  struct Remembered {
    std::size_t facts = base::limits::domain_facts;
    std::size_t plans = base::limits::domain_plans;
  };
  // Fails where TLS cannot be set up as configured.
  static base::Result<std::unique_ptr<Worker>, base::Error> make(
      Shared& shared, std::shared_ptr<const Snapshot> snapshot, Remembered remembered);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  boost::asio::io_context& io() { return io_; }
  // This thread's life, until io() is stopped. An exception is a bug, told and survived.
  void run();
  Shared& shared() { return shared_; }
  base::Random& random() { return random_; }
  Gather& gather() { return *gather_; }
  Plans& plans() { return plans_; }
  Pool& pool() { return *pool_; }
  Patience& patience() { return *patience_; }
  NearHistories* histories() { return histories_.get(); }  // null: nobody remembers
  const std::shared_ptr<TlsClient>& tls_client() { return tls_client_; }
  const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
  // Whether this worker has not named that policy digest before on this UTC day; bounded memory.
  bool first_sight(const std::string& digest);
  // On this worker's thread: from now on new sessions have this configuration. `tls_client` was
  // made for it by TlsClient::make; sessions under way keep theirs.
  void adopt(std::shared_ptr<const Snapshot> snapshot, std::shared_ptr<TlsClient> tls_client);

 private:
  Worker(Shared& shared, std::shared_ptr<const Snapshot> snapshot, Remembered remembered);
  Shared& shared_;
  std::shared_ptr<const Snapshot> snapshot_;
  boost::asio::io_context io_{1};
  base::Random random_;
  std::unique_ptr<Gather> gather_;
  Plans plans_;
  std::shared_ptr<TlsClient> tls_client_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<Patience> patience_;
  std::unique_ptr<NearHistories> histories_;
  std::unordered_set<std::string> digests_;
  std::chrono::sys_days digests_day_{};
};

}  // namespace proxy
