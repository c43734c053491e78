// Advisor: the thread of those who only ask what holds for a domain: the policy map and the milter.
// A worker of its own, so that many questions never delay a session, and one set of caches serves
// all who ask. Made by proxy/server_daemon where the configuration has such a listener; lives on
// the home thread, its worker on its own.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "proxy/listener.h"
#include "proxy/listener_socket.h"
#include "proxy/milter.h"
#include "proxy/outlook.h"
#include "proxy/policy_map.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace proxy {

class Advisor {
 public:
  // Whether the configuration has anybody who asks.
  static bool wanted(const config::Config& config);

  Advisor(boost::asio::io_context& home, Shared& shared);
  // Stops the thread.
  ~Advisor();
  Advisor(const Advisor&) = delete;
  Advisor& operator=(const Advisor&) = delete;

  // Opens every listening socket; nothing runs or accepts before start().
  base::Result<void, StartError> open(std::shared_ptr<const Snapshot> snapshot,
                                      PassedSockets& passed);
  void start();
  // What is asked from now on is answered by this configuration. An error changes nothing.
  base::Result<void, base::Error> adopt(std::shared_ptr<const Snapshot> snapshot);
  // No more connections; answers under way are not waited for.
  void stop();
  // The domain's policy was purged or fetched anew by the operator.
  void forget(const base::Domain& domain);
  // As Server::listening().
  std::vector<Server::Listening> listening() const;

 private:
  using Guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

  struct Entry {
    config::Address address;
    MapListener kind;
    std::shared_ptr<Listener> listener;
  };
  base::Result<void, StartError> open_map(const std::optional<config::Address>& address,
                                          MapListener kind, PassedSockets& passed);
  void begin(MapListener kind, std::shared_ptr<Listener> listener, Descriptor connection,
             Peer peer);
  static asio::awaitable<void> live(PolicyMap& map, MapListener kind,
                                    std::shared_ptr<Listener> listener, Channel::Socket socket);
  base::Result<void, StartError> open_milter(const std::shared_ptr<const Snapshot>& snapshot);

  boost::asio::io_context& home_;
  Shared& shared_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<PolicyMap> map_;  // before the worker's io_context ends, and with it its clients
  std::vector<Entry> entries_;
  // The milter's, in the order in which they need each other; all of them or none.
  std::unique_ptr<OutlookBoard> board_;
  std::unique_ptr<Forecaster> forecaster_;  // on the worker's thread
  std::unique_ptr<MilterDesk> desk_;
  std::unique_ptr<Milter> milter_;
  std::string socket_;  // of the milter, as it was opened
  std::optional<Guard> guard_;
  std::thread thread_;
};

}  // namespace proxy
