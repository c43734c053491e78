// MxSlots: how many connections each MX address has from all threads together, held to
// `outbound.max_connections_per_mx`, and who stands in line where no more are allowed. A Slot is
// given back when it is destroyed, to who has waited longest, whichever thread that is. It also
// knows from where each of them leaves, so that a transparent listener can tell a connection that
// the firewall sent back to us: on loopback that arrives while connect() has not returned yet, and
// nobody knows its port. Used by proxy/walk, proxy/place, the pool and what opens a connection.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/ip.h"

namespace proxy {

struct MxLink;

class MxSlots {
  // Source, its port, the MX: a port alone may lead to several places at once.
  using Ends = std::tuple<base::Ip, std::uint16_t, base::Ip>;
  struct Address;

 public:
  class Slot;
  class Waiter;
  using WaiterPtr = std::shared_ptr<Waiter>;
  // What is to become of a connection that has served its mail while others stand in line.
  struct Heir {
    bool wanted = false;  // false: nobody does, it may rest
    WaiterPtr waiter;     // takes it as it is, and is out of the line; null: its place is wanted
  };

  // A connection that served mail a moment ago is not closed for somebody else before that: more
  // may come for it, and a handshake costs more than the wait.
  static constexpr std::chrono::milliseconds patience{1000};

  MxSlots() = default;
  MxSlots(const MxSlots&) = delete;
  MxSlots& operator=(const MxSlots&) = delete;

  // nullopt: `limit` connections to this address are open already.
  std::optional<Slot> take(const base::Ip& ip, std::uint32_t limit);
  // The same, but who gets none stands in line until it is offered one, or leaves.
  std::optional<Slot> take_or_wait(const WaiterPtr& waiter);
  void leave(const Waiter& waiter);
  // Whether somebody stands in line whom a connection less would help.
  bool is_waited_for(const base::Ip& ip) const;

  // Who has waited so long asks the pools for what rests there, each time anew.
  void ask(const Waiter& waiter);
  // A pool of connections at rest. `asked` is told of an address that is waited for, and whether
  // any connection is to make place or only one that has rested for some time. It is called from
  // any thread, under our lock.
  using Asked = std::function<void(const base::Ip&, bool any)>;
  void add_pool(const void* pool, Asked asked);
  void remove_pool(const void* pool);

  // Connections to all addresses.
  std::size_t open() const;

  // Whose a connection from there to `ip` is. Unknown, for microseconds: some connect() is being
  // called right now; to be asked again.
  enum class Whose : std::uint8_t { ours, another, unknown };
  Whose whose(const base::Ip& source, std::uint16_t port, const base::Ip& ip) const;

 private:
  // Stays where it is while a connection to it is open or somebody waits for one.
  struct Address {
    base::Ip ip;
    std::uint32_t open = 0;
    std::atomic<std::uint32_t> resting{0};  // in the pools
    std::atomic<std::uint32_t> rested{0};   // of these, for so long that nobody will want them
    std::atomic<std::uint32_t> waiting{0};  // the length of `line`
    std::list<WaiterPtr> line;              // who began to wait first is first
  };

  void begin(const Ends& ends);
  void end(const Ends& ends);
  void give_back(Address& address, const std::optional<Ends>& ends);
  Heir heir(Address& address, const std::string& terms, std::uint64_t era, const void* pool);
  // These under the lock.
  Address& at(const base::Ip& ip);
  void ask(const Address& address, bool any);
  const Waiter* oldest_helped(const Address& address) const;
  WaiterPtr step_out(Address& address, std::list<WaiterPtr>::iterator place);
  void forget_unused(const base::Ip& ip);

  mutable std::mutex mutex_;
  std::unordered_map<base::Ip, Address> addresses_;
  std::multiset<Ends> open_;
  std::list<std::pair<const void*, Asked>> pools_;
  std::atomic<std::uint32_t> leaving_{0};  // calls of connect() that have not returned
};

// Somebody without a connection. Made by proxy/place; what it is given comes from any thread.
class MxSlots::Waiter {
 public:
  struct Wish {
    base::Ip ip;
    std::uint32_t limit = 0;  // of connections to that address
    std::string terms;        // a connection under these will do as well; empty: none will
    std::uint64_t era = 0;    // and of this configuration (Pool::era)
    const void* pool = nullptr;  // whose connections may be handed to it
    std::chrono::steady_clock::time_point since{};
    // When it begins to ask for what rests, and again each time.
    std::chrono::steady_clock::duration patience = MxSlots::patience;
  };
  explicit Waiter(Wish wish) : wish_(std::move(wish)) {}
  virtual ~Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  const Wish& wish() const { return wish_; }
  // It is out of the line and the place is its own. No lock is held. What it does at once must be
  // little: a connection is being ended.
  virtual void offer(Slot slot) = 0;
  // A connection under its terms; on the thread of its pool.
  virtual void hand(std::unique_ptr<MxLink> link) = 0;

 private:
  friend class MxSlots;
  const Wish wish_;
  // Of the line it stands in; under the lock of MxSlots.
  std::optional<std::list<WaiterPtr>::iterator> place_;
};

class MxSlots::Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept
      : slots_(std::exchange(other.slots_, nullptr)),
        address_(std::exchange(other.address_, nullptr)),
        ends_(std::exchange(other.ends_, std::nullopt)),
        leaving_(std::exchange(other.leaving_, false)),
        resting_(std::exchange(other.resting_, false)),
        rested_(std::exchange(other.rested_, false)) {}
  Slot& operator=(Slot&& other) noexcept {
    if (this != &other) {
      release();
      slots_ = std::exchange(other.slots_, nullptr);
      address_ = std::exchange(other.address_, nullptr);
      ends_ = std::exchange(other.ends_, std::nullopt);
      leaving_ = std::exchange(other.leaving_, false);
      resting_ = std::exchange(other.resting_, false);
      rested_ = std::exchange(other.rested_, false);
    }
    return *this;
  }
  ~Slot() { release(); }
  void release() {
    if (!slots_) return;
    stays();
    rests(false);
    std::exchange(slots_, nullptr)->give_back(*std::exchange(address_, nullptr), ends_);
    ends_.reset();
  }
  // connect() is about to be called.
  void leaves() {
    if (!slots_ || leaving_) return;
    leaving_ = true;
    ++slots_->leaving_;
  }
  // It was, and the connection has this local end; told once.
  void leaves_from(const base::Ip& source, std::uint16_t port) {
    if (!slots_ || ends_) return;
    ends_.emplace(source, port, address_->ip);
    slots_->begin(*ends_);
    stays();
  }
  // Its connection has no mail to carry, and a pool keeps it; or no longer.
  void rests(bool does) {
    if (!slots_) return;
    if (does && !std::exchange(resting_, true)) ++address_->resting;
    if (!does && std::exchange(resting_, false)) --address_->resting;
    if (!does && std::exchange(rested_, false)) --address_->rested;
  }
  // It has rested for `patience`.
  void has_rested() {
    if (slots_ && !std::exchange(rested_, true)) ++address_->rested;
  }
  // What becomes of its connection, which rests: whoever comes later sees that it does. `era`: of
  // the configuration under which it was made.
  Heir heir(const std::string& terms, std::uint64_t era, const void* pool) {
    if (!slots_ || address_->waiting == 0) return {};
    return slots_->heir(*address_, terms, era, pool);
  }
  // The place for another connection; that of before is being closed.
  Slot anew() {
    if (slots_ && ends_) slots_->end(*ends_);
    ends_.reset();
    rests(false);
    return std::move(*this);
  }

 private:
  friend class MxSlots;
  Slot(MxSlots* slots, Address* address) : slots_(slots), address_(address) {}
  void stays() {
    if (std::exchange(leaving_, false)) --slots_->leaving_;
  }
  MxSlots* slots_ = nullptr;
  Address* address_ = nullptr;
  std::optional<Ends> ends_;
  bool leaving_ = false;
  bool resting_ = false;
  bool rested_ = false;
};

}  // namespace proxy
