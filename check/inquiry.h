// Inquiry: finds out about one domain what a delivery would, by the same code: gather_all and
// plan_all, the MTA-STS engine with what the daemon has cached, and a handshake with each address
// of each MX. A world of its own on the caller's thread; writes nowhere and asks the daemon for
// nothing. One for each resolver that is asked. Called by check/run.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "check/handshake.h"
#include "check/recorder.h"
#include "check/seen.h"
#include "dns/unbound_resolver.h"
#include "policy/https_fetcher_certificate.h"
#include "policy/sts_engine.h"
#include "proxy/event.h"
#include "proxy/mx_slots.h"
#include "proxy/tls_client.h"
#include "proxy/worker.h"

namespace check {

// What is being done, for who waits.
using Progress = std::function<void(const std::string&)>;

class Inquiry {
 public:
  // `clock`, and what `progress` refers to, outlive it. Errors: no resolver, no TLS as configured.
  static base::Result<std::unique_ptr<Inquiry>, base::Error> open(
      std::shared_ptr<const config::Config> config, const base::Clock& clock,
      const DaemonCache& cache, Progress progress);
  ~Inquiry();

  // Whether the resolver validates, the facts, the plan. Blocks.
  Gathered gather(const base::Domain& domain, proxy::SteadyTime deadline);
  // The handshakes, into `gathered.seen`: with the addresses that stand there.
  void connect(Gathered& gathered, proxy::SteadyTime deadline, Only only = Only());
  // One more question to the DNS.
  dns::RawLookup look_up(const std::string& name, dns::Type type);
  // The policy file as it is, whatever the record says.
  policy::StsBody fetch_policy(const base::Domain& domain);
  // Of the host that gave it.
  std::optional<base::WallTime> policy_certificate_end() const {
    return policy_certificate_->end();
  }
  // As a delivery does after hosts failed for a policy (RFC 8461 §5.1): asks for it again. Whether
  // it has changed: then `gathered` has the new plan, and no handshake.
  bool recheck(Gathered& gathered, proxy::SteadyTime deadline);

 private:
  struct Target;
  class CacheRow;
  Inquiry(std::shared_ptr<const proxy::Snapshot> snapshot, const base::Clock& clock);
  base::Result<void, base::Error> open_resolvers(const Progress& progress);
  base::Result<void, base::Error> open_sts(const DaemonCache& cache);
  void run(boost::asio::awaitable<void> work);
  void plan(Gathered& gathered);
  boost::asio::awaitable<void> find_out(base::Domain domain, proxy::SteadyTime deadline,
                                        Gathered& into);
  boost::asio::awaitable<void> look_up_into(std::string name, dns::Type type,
                                            std::optional<dns::RawLookup>& into);
  boost::asio::awaitable<void> fetch_into(base::Domain domain,
                                          std::optional<policy::StsBody>& into);
  boost::asio::awaitable<void> ask_again(Gathered& gathered, proxy::SteadyTime deadline,
                                         bool& changed);
  boost::asio::awaitable<void> visit_all(std::vector<Target>& targets, proxy::SteadyTime deadline);
  boost::asio::awaitable<void> visit(std::vector<Target>& targets, proxy::SteadyTime deadline,
                                     std::shared_ptr<std::size_t> next,
                                     std::shared_ptr<std::size_t> at_work,
                                     std::shared_ptr<proxy::Event> done);

  std::shared_ptr<const proxy::Snapshot> snapshot_;
  const base::Clock& clock_;
  Progress progress_;
  base::Random random_;
  proxy::MxSlots slots_;
  proxy::Shared shared_;
  std::unique_ptr<proxy::Worker> worker_;  // its loop serves all that follows
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::unique_ptr<dns::UnboundResolver> plain_resolver_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Recorder> plain_recorder_;
  std::unique_ptr<policy::HostCertificate> policy_certificate_;
  std::unique_ptr<policy::HttpsFetcher> fetcher_;
  std::unique_ptr<CacheRow> store_;
  std::unique_ptr<policy::StsEngine> sts_;
};

}  // namespace check
