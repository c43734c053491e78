// Services: what all threads of the daemon share, opened once at start and closed in the right
// order at the end: the lock, the store, the resolvers, the enforcement log, the policy engine, the
// memories. Pure wiring; what each does is told in its own header. Made by proxy/server_daemon.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "audit/log.h"
#include "audit/stored_head.h"
#include "base/clock.h"
#include "config/config.h"
#include "dns/unbound_resolver.h"
#include "policy/sts_engine.h"
#include "proxy/host_histories.h"
#include "proxy/host_memory.h"
#include "proxy/listener_socket.h"
#include "proxy/metered_log.h"
#include "proxy/mx_slots.h"
#include "proxy/reporting.h"
#include "proxy/seen_hosts.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "store/sqlite_store.h"

namespace proxy {

// One writer for log and store: held by the daemon, or by a command while no daemon runs. Fails
// when another process has it and keeps it for longer than `patience`. But a daemon waits for a
// command until it ends, or until SIGTERM or SIGINT is pending: `report send` takes minutes, and
// ending it in between could send a report twice.
enum class LockHolder { daemon, command };
base::Result<Descriptor, StartError> take_state_lock(const config::Path& state_dir,
                                                     LockHolder who,
                                                     std::chrono::milliseconds patience);

// As [dns] has it; not validating only for exceptions that say so.
base::Result<std::unique_ptr<dns::UnboundResolver>, base::Error> make_resolver(
    boost::asio::io_context& home, const config::Config& config, bool validating);
policy::AddressOrder address_order(config::IpPreference preference);
policy::StsFetchSettings fetch_settings(const config::Config& config);
// As [log] has it; `before_write` as in audit/log.h, or empty.
audit::LogOptions log_options(const config::Log& log, const std::string& start_reason,
                              std::function<void()> before_write);
// What the enforcement log says of an event of the policy cache.
audit::Record record_of(const policy::StsEvent& event);

class Services {
 public:
  // `start_reason`: for the log's `start` record. `home` and `clock` must outlive the services.
  static base::Result<std::unique_ptr<Services>, StartError> open(
      boost::asio::io_context& home, const config::Config& config,
      const std::string& start_reason, const base::Clock& clock);
  ~Services();

  Shared& shared() { return shared_; }
  dns::UnboundResolver& resolver() { return *resolver_; }
  policy::StsEngine& sts() { return *sts_; }
  audit::EnforcementLog& log() { return *metered_log_; }
  const store::Store& store() const { return *store_; }
  Reporting* reporting() { return reporting_.get(); }  // null: tls_rpt.enabled is false
  // What of a new configuration the policy fetcher can take up; on the home thread.
  base::Result<void, base::Error> adopt(const config::Config& config);
  // Writes the `stop` record and what the store still has to write. The sessions have ended.
  void close(const std::string& reason);

 private:
  explicit Services(const base::Clock& clock);
  base::Result<void, StartError> open_sts(boost::asio::io_context& home,
                                          const config::Config& config);
  base::Result<void, StartError> open_reporting(const config::Config& config);
  void record(const policy::StsEvent& event);
  void keep_policy(const tlsrpt::Policy& policy, const std::string& digest);

  const base::Clock& clock_;
  base::Random random_;
  Descriptor lock_;
  std::atomic<bool> strings_posted_{false};  // to the store, not known to be on disk
  std::atomic<std::int64_t> strings_day_{0};  // the last one on which old ones were forgotten
  std::chrono::days strings_kept_{};
  std::unique_ptr<store::SqliteStore> store_;
  std::unique_ptr<audit::StoredHead> head_;
  Meters meters_;
  std::unique_ptr<audit::EnforcementLog> log_;
  std::unique_ptr<MeteredLog> metered_log_;
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::unique_ptr<dns::UnboundResolver> plain_resolver_;
  std::unique_ptr<policy::HttpsFetcher> fetcher_;
  std::unique_ptr<policy::StsEngine> sts_;
  std::unique_ptr<Reporting> reporting_;
  std::unique_ptr<HostHistories> host_histories_;
  HostMemory host_memory_;
  MxSlots slots_;
  SeenHosts seen_hosts_;
  Shared shared_;
};

}  // namespace proxy
