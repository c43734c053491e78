// AdminPort: the [admin] listener and the thread that answers it, so that a scrape or a slow
// browser never delays a session. Connections are accepted on the home thread like all others;
// what the relay is at that moment is asked of the home thread too, so that /healthz tells whether
// that one still works. Knows no HTTP (admin/). Made by proxy/server_daemon where
// admin.listen is set; lives on the home thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "admin/http_connection.h"
#include "config/config.h"
#include "proxy/listener.h"
#include "proxy/listener_socket.h"
#include "proxy/server.h"

namespace proxy {

class AdminPort {
 public:
  struct Parts {
    std::function<admin::Facts()> facts;           // on the home thread
    std::function<void(admin::Facts&)> any_thread; // adds what need not be asked there
    admin::Policies policies;                      // any thread
  };
  AdminPort(boost::asio::io_context& home, Parts parts);
  // Stops the thread.
  ~AdminPort();
  AdminPort(const AdminPort&) = delete;
  AdminPort& operator=(const AdminPort&) = delete;

  // Opens the socket and reads the token; nothing is accepted before start().
  base::Result<void, StartError> open(const config::Config& config, PassedSockets& passed);
  void start();
  // New connections are judged by this configuration's token and name. Where it listens changes
  // only at a restart; then the token stays too, since it belongs to the address.
  base::Result<void, base::Error> adopt(const config::Config& config,
                                        std::vector<std::string>& kept);

 private:
  using Guard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;
  static base::Result<std::shared_ptr<const admin::Access>, base::Error> access_of(
      const config::Config& config);
  static boost::asio::awaitable<void> live(std::shared_ptr<const admin::Service> service,
                                           std::shared_ptr<const admin::Access> access,
                                           std::shared_ptr<Listener> listener,
                                           std::shared_ptr<admin::Connections> connections,
                                           admin::Socket socket, std::string peer);
  std::shared_ptr<const admin::Service> make_service(Parts parts);
  void begin(const std::shared_ptr<Listener>& listener, Descriptor connection,
             std::shared_ptr<const admin::Access> access, const std::string& peer);

  boost::asio::io_context& home_;
  boost::asio::io_context io_{1};
  std::shared_ptr<const admin::Service> service_;
  std::shared_ptr<admin::Connections> connections_;  // the admin thread's
  config::Admin opened_;  // as it was at the start
  std::shared_ptr<const admin::Access> access_;
  std::shared_ptr<Listener> listener_;
  Guard guard_;
  std::thread thread_;
};

}  // namespace proxy
