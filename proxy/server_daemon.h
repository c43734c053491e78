// Daemon: the life of `serve` between a good configuration and the exit status: opens services and
// listeners, asks whether the resolver validates, tells systemd, answers the control socket,
// reloads at SIGHUP, drains at SIGTERM. All of it on the home thread. Made by proxy/serve.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "config/load.h"
#include "proxy/admin_port.h"
#include "proxy/advisor.h"
#include "proxy/control.h"
#include "proxy/server.h"
#include "proxy/server_services.h"

namespace proxy {

// What of a configuration weakens enforcement for everybody, in words that name the key.
std::vector<std::string> global_weakenings(const config::Config& config);

class Daemon {
 public:
  // `clock` must outlive the daemon.
  Daemon(std::string config_path, std::shared_ptr<const config::Config> config,
         const base::Clock& clock);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Opens everything; an error leaves nothing running.
  base::Result<void, StartError> open();
  // Runs until a signal has ended it; the exit status.
  int run();

 private:
  void take_signals();
  void leave_signals();
  void on_signal(int number);
  void probe_validation();
  void probe_after(std::chrono::seconds time);
  void on_validation(const dns::ValidationReport& report);
  void tell_status();
  void reload();
  void adopt(std::shared_ptr<const config::Config> config);
  void record_config(const std::string& reason);
  void end();
  void feed_watchdog();
  bool ready() const;
  std::string status_text() const;
  nlohmann::json status() const;
  // server_admin.cpp
  base::Result<void, StartError> open_admin(PassedSockets& passed);
  std::vector<Server::Listening> listening() const;
  std::vector<std::string> not_ready() const;
  admin::Facts facts() const;
  std::map<std::string, Control::Command> commands();
  void add_policy_commands(std::map<std::string, Control::Command>& commands);
  void add_report_commands(std::map<std::string, Control::Command>& commands);

  std::string config_path_;
  const base::Clock& clock_;
  std::shared_ptr<const config::Config> config_;
  const std::shared_ptr<const config::Config> started_with_;
  boost::asio::io_context home_{1};
  std::unique_ptr<Services> services_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Advisor> advisor_;  // null: nobody only asks
  std::unique_ptr<AdminPort> admin_;  // null: admin.listen is not set
  std::shared_ptr<Control> control_;
  std::thread signal_thread_;
  std::atomic<bool> signals_over_{false};
  std::atomic<bool> reload_due_{false};  // Many SIGHUPs while one reload waits are one.
  boost::asio::steady_timer probe_timer_;
  boost::asio::steady_timer watchdog_timer_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  base::WallTime started_at_;
  base::WallTime adopted_at_;     // when the configuration in force was
  bool reload_refused_ = false;   // the last one
  std::string validation_text_ = "not asked yet";
  bool told_ready_ = false;
  bool ending_ = false;
};

}  // namespace proxy
