// A relay for tests of sessions: the real Server, Session and Delivery over loopback TCP, with DNS
// as plain data and the enforcement log in memory. Blocking lines for the scripted other sides.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "audit/log.h"
#include "base/clock.h"
#include "dns/resolver.h"
#include "proxy/host_memory.h"
#include "proxy/mx_slots.h"
#include "proxy/server.h"
#include "tlsrpt/return_path.h"

namespace session_world {

class PlainResolver final : public dns::Resolver {
 public:
  // A domain with one MX host at one address; nothing is signed.
  void add(const std::string& domain, const std::string& ip);
  void lookup(const std::string& name, dns::Type type,
              std::function<void(dns::RawLookup)> done) override;

 private:
  std::map<std::pair<std::string, dns::Type>, std::string> records_;
};

class MemoryLog final : public audit::EnforcementLog {
 public:
  base::Result<audit::Reservation, base::Error> reserve() override;
  void append(const audit::Record& record, audit::Reservation reservation) noexcept override;
  void stop(const std::string&) override {}
  bool healthy() const override { return true; }
  std::uint64_t dropped() const override { return 0; }
  audit::Head head() const override { return {}; }
  std::atomic<bool> full{false};  // then nothing can be reserved
  std::vector<audit::Record> records(audit::Event event) const;
  std::vector<audit::Record> deliveries() const { return records(audit::Event::delivery); }

 private:
  mutable std::mutex mutex_;
  std::vector<audit::Record> records_;
};

// One end of a connection, blocking, each wait bounded.
class Line {
 public:
  explicit Line(int fd) : fd_(fd) {}
  Line(Line&& other) noexcept;
  ~Line() { close(); }
  static Line connect(std::uint16_t port);
  bool send(const std::string& octets);
  // Without its end; nullopt when the other side has closed or 15 s have passed.
  std::optional<std::string> read();
  // A whole reply: its code and its last line.
  struct Reply {
    int code = 0;
    std::string text;
  };
  std::optional<Reply> read_reply();
  void close();
  bool timed_out() const { return timed_out_; }

 private:
  int fd_ = -1;
  std::string buffer_;
  bool timed_out_ = false;
};

// A listening socket of a scripted MX.
class Acceptor {
 public:
  // `port` 0: any.
  Acceptor(const std::string& ip, std::uint16_t port);
  ~Acceptor();
  std::uint16_t port() const { return port_; }
  // nullopt after close(), or when nobody came for 15 s.
  std::optional<Line> accept();
  void close();

 private:
  int fd_ = -1;
  int wake_[2] = {-1, -1};
  std::uint16_t port_ = 0;
};

class Relay {
 public:
  // `config`: one listener or more at 127.0.0.1:0.
  Relay(std::shared_ptr<const config::Config> config, PlainResolver& resolver);
  ~Relay();
  std::uint16_t port(std::size_t listener = 0) const;
  MemoryLog& log() { return log_; }
  proxy::Shared& shared() { return shared_; }
  // On the home thread, as serve does it; returns when the sessions have ended.
  void drain(std::chrono::milliseconds patience, std::chrono::milliseconds final_wait);
  // Waits until no session is left; false after 15 s.
  bool wait_idle();

 private:
  base::SystemClock clock_;
  tlsrpt::ReturnPath report_mail_;
  MemoryLog log_;
  proxy::HostMemory host_memory_;
  proxy::MxSlots slots_;
  proxy::Shared shared_;
  boost::asio::io_context home_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::unique_ptr<proxy::Server> server_;
  std::thread thread_;
};

// What every Relay takes for a return path of its own report mail.
tlsrpt::ReturnPath return_path();
// One of them, made today.
std::string return_path_today(const std::string& recipient);

// Defaults for tests: no reuse, private addresses admitted, short budgets, one thread.
config::Config test_config(config::Protocol protocol, std::uint16_t mx_port);

}  // namespace session_world
