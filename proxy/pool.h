// Pool: MX connections that finished a transaction and wait, for `outbound.idle_keepalive`, for
// another one under the same terms: address, SNI, how it was authenticated, and the fingerprint of
// the requirement it met. Where others stand in line for its address (proxy/mx_slots) it does not
// wait: it goes to one of them, or makes place. One pool a worker, no locks. Used by
// proxy/delivery.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "policy/judge.h"
#include "proxy/mx_connection.h"

namespace proxy {

struct Meters;

// A session and the proof under which it may carry mail, with what the log says of it.
struct PlannedHost;

struct MxLink {
  std::unique_ptr<MxSession> session;
  policy::Authorized authorized;
  std::string terms;
  std::optional<policy::TlsSession> tls;  // nullopt: cleartext
  bool reused = false;
  bool opened_early = false;  // before the client was greeted: it may have died since
  std::optional<policy::Past> past = std::nullopt;  // of its host, for who judges it again
  // The plan, and which part of it, that gave `authorized` last, where somebody noted it.
  std::shared_ptr<const PlannedHost> judged_by = nullptr;
  const policy::Try* judged_under = nullptr;
  std::uint64_t era = 0;  // Pool::era() when its walk began
};

class Pool {
 public:
  // `slots`: those of all links, whose lines are asked; null: nobody waits. `meters`: counts those
  // that wait; null: nobody does.
  explicit Pool(boost::asio::any_io_executor executor, MxSlots* slots = nullptr,
                Meters* meters = nullptr);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // A live connection under these terms, or nullptr. One that the peer closed or wrote to while
  // idle is dropped on the way.
  std::unique_ptr<MxLink> take(const std::string& terms);
  // Whether `link`, which rested or was handed over, may be used again: its peer is silent.
  static bool revive(MxLink& link);
  // A connection on which a transaction was just finished or reset. One of an earlier era ends:
  // what its peer proved, it proved to other CAs and under other terms of TLS.
  void give(std::unique_ptr<MxLink> link, std::chrono::milliseconds keepalive);
  // Closes one idle connection to this address, whatever its terms: its place is wanted. False:
  // there was none. With `rested` only one that nobody has used for a second.
  bool make_place(const base::Ip& ip, bool rested = false);
  // Also those in use, when they come back: another configuration holds.
  void close_all();
  std::uint64_t era() const { return era_; }
  std::size_t size() const { return count_; }

 private:
  struct Idle {
    std::unique_ptr<MxLink> link;
    SteadyTime until;
    SteadyTime rests;     // when its buffers are freed, some 40 KB under TLS
    bool rested = false;
  };
  void sweep();
  void arm(SteadyTime at);
  SteadyTime next() const;
  void count(std::int64_t change);

  std::unordered_map<std::string, std::list<Idle>> idle_;
  std::size_t count_ = 0;
  std::uint64_t era_ = 0;
  MxSlots* slots_;
  Meters* meters_;
  boost::asio::steady_timer timer_;
  SteadyTime rings_ = SteadyTime::max();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace proxy
