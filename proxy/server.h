// Server: the worker threads and the listeners. Accepts on the home thread, hands each connection
// to the next worker, keeps count of the sessions, brings a new configuration to every thread, and
// drains. What is shared between threads is made before and outlives it. Made by proxy/serve; lives
// on the home thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "proxy/listener.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace proxy {

// Why the daemon cannot start, with the exit status that says so (sysexits.h): 78 the
// configuration is wrong, 69 something needed is not there.
struct StartError {
  int status = 69;
  std::string text;
};

class Server {
 public:
  Server(boost::asio::io_context& home, Shared& shared);
  // Stops the threads; sessions still there end where they are, without their final dot.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Makes the workers and opens every listening socket; nothing runs or accepts before start().
  base::Result<void, StartError> open(std::shared_ptr<const Snapshot> snapshot,
                                      PassedSockets& passed);
  void start();

  // New sessions have this configuration from now on. An error changes nothing. What a running
  // daemon cannot change (which addresses it listens at) stays, and is named in `kept`.
  base::Result<void, base::Error> adopt(std::shared_ptr<const Snapshot> snapshot,
                                        std::vector<std::string>& kept);

  // Accepts no more. Sessions without a transaction end at once; transactions before their final
  // dot have `patience`; those behind it are waited for up to `final_wait` more. Then calls `done`.
  void drain(std::chrono::milliseconds patience, std::chrono::milliseconds final_wait,
             std::function<void()> done);

  struct Listening {
    std::string address;
    std::string protocol;
    std::uint32_t sessions = 0;
    std::uint32_t max_sessions = 0;
    std::uint16_t port = 0;
  };
  std::vector<Listening> listening() const;
  std::size_t threads() const { return threads_.size(); }

 private:
  using Terms = std::vector<std::shared_ptr<const ListenTerms>>;
  struct Thread {
    std::unique_ptr<Worker> worker;
    Terms terms;  // one for each listener; read on the worker's thread alone
    std::unordered_set<Session*> sessions;
    std::thread thread;
  };
  struct Entry {
    config::Listen listen;
    std::shared_ptr<Listener> listener;
  };

  static base::Result<Terms, base::Error> make_terms(const std::vector<config::Listen>& listens,
                                                     config::TlsVersion minimum);
  static boost::asio::awaitable<void> live(Shared& shared, Thread& thread,
                                           std::shared_ptr<Listener> listener,
                                           std::unique_ptr<Session> session);
  void hand_over(std::size_t index, Descriptor connection, Peer peer);
  void begin(Thread& thread, std::size_t index, std::shared_ptr<Listener> listener,
             Descriptor connection, Peer peer);
  void tell_sessions(void (Session::*what)());
  void watch_drain(SteadyTime patience_end, SteadyTime end);

  boost::asio::io_context& home_;
  Shared& shared_;
  std::vector<Entry> entries_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guards_;
  std::size_t next_ = 0;
  boost::asio::steady_timer drain_timer_;
  std::function<void()> drained_;
  bool patience_over_ = false;
};

}  // namespace proxy
