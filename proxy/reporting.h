// Reporting: TLS-RPT wired together: the store's report tables, the secret of the return path, the
// DKIM key, the ways out, and report::Service, on a thread of its own where blocking is allowed.
// For a command without a daemon the same runs on the caller's thread until the command has its
// answer. Made by proxy/server_services and proxy/offline.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "config/config.h"
#include "dns/resolver.h"
#include "proxy/server.h"
#include "report/service.h"
#include "store/store.h"

namespace proxy {

class Reporting {
 public:
  // `strings`: where the policies' strings are. All references outlive this. Nothing runs yet.
  static base::Result<std::unique_ptr<Reporting>, StartError> open(const config::Config& config,
                                                                   const base::Clock& clock,
                                                                   store::Store& strings,
                                                                   dns::Resolver& resolver);
  ~Reporting();
  Reporting(const Reporting&) = delete;
  Reporting& operator=(const Reporting&) = delete;

  // By which the relay knows report mail of its own; null where none is sent.
  const tlsrpt::ReturnPath* return_path() const {
    return return_path_ ? &*return_path_ : nullptr;
  }

  // The thread begins to count, to compose and to send.
  void start();
  // Ends the thread; what the log holds by then is counted.
  void stop();
  // As Service::backlog().
  std::uint64_t backlog() const { return service_->backlog(); }
  // From any thread while it runs.
  void command(nlohmann::json request, report::Service::Answer answer);
  // Without start(): runs the command on this thread.
  nlohmann::json run_command(const nlohmann::json& request);

 private:
  Reporting(const config::Config& config, const base::Clock& clock, dns::Resolver& resolver);
  base::Result<void, StartError> open_identity(const config::Config& config);
  base::Result<void, StartError> open_ways_out(const config::Config& config);
  boost::asio::awaitable<void> look_at_key_record();

  const base::Clock& clock_;
  dns::Resolver& resolver_;
  boost::asio::io_context io_{1};
  report::Settings settings_;
  bool nobody_named_;  // organization_name, contact_info and report_domain: none is set
  std::unique_ptr<store::Reports> reports_;
  std::optional<tlsrpt::ReturnPath> return_path_;
  std::optional<tlsrpt::DkimSigner> signer_;
  std::unique_ptr<report::MailSink> mail_;
  std::unique_ptr<report::HttpsSink> https_;
  std::unique_ptr<report::Collector> collector_;
  std::unique_ptr<report::Feed> feed_;
  std::unique_ptr<report::Service> service_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guard_;
  std::thread thread_;
};

}  // namespace proxy
