// MxSlots: how many connections each MX address has from all threads together, held to
// `outbound.max_connections_per_mx`. A Slot is given back when it is destroyed. It also knows from
// where each of them leaves, so that a transparent listener can tell a connection that the firewall
// sent back to us: on loopback that arrives while connect() has not returned yet, and nobody knows
// its port.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <set>
#include <unordered_map>
#include <tuple>
#include <utility>

#include "base/ip.h"

namespace proxy {

class MxSlots {
  // Source, its port, the MX: a port alone may lead to several places at once.
  using Ends = std::tuple<base::Ip, std::uint16_t, base::Ip>;

 public:
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept
        : slots_(std::exchange(other.slots_, nullptr)),
          ip_(other.ip_),
          ends_(std::exchange(other.ends_, std::nullopt)),
          leaving_(std::exchange(other.leaving_, false)) {}
    Slot& operator=(Slot&& other) noexcept {
      if (this != &other) {
        release();
        slots_ = std::exchange(other.slots_, nullptr);
        ip_ = other.ip_;
        ends_ = std::exchange(other.ends_, std::nullopt);
        leaving_ = std::exchange(other.leaving_, false);
      }
      return *this;
    }
    ~Slot() { release(); }
    void release() {
      if (!slots_) return;
      stays();
      std::exchange(slots_, nullptr)->give_back(ip_, ends_);
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
      ends_.emplace(source, port, ip_);
      slots_->begin(*ends_);
      stays();
    }

   private:
    friend class MxSlots;
    Slot(MxSlots* slots, base::Ip ip) : slots_(slots), ip_(ip) {}
    void stays() {
      if (std::exchange(leaving_, false)) --slots_->leaving_;
    }
    MxSlots* slots_ = nullptr;
    base::Ip ip_;
    std::optional<Ends> ends_;
    bool leaving_ = false;
  };

  // nullopt: `limit` connections to this address are open already.
  std::optional<Slot> take(const base::Ip& ip, std::uint32_t limit) {
    const std::lock_guard lock(mutex_);
    std::uint32_t& count = counts_[ip];
    if (count >= limit) return std::nullopt;
    ++count;
    return Slot(this, ip);
  }

  // Connections to all addresses.
  std::size_t open() const {
    const std::lock_guard lock(mutex_);
    std::size_t sum = 0;
    for (const auto& [ip, count] : counts_) sum += count;
    return sum;
  }

  // Whose a connection from there to `ip` is. Unknown, for microseconds: some connect() is being
  // called right now; to be asked again.
  enum class Whose : std::uint8_t { ours, another, unknown };
  Whose whose(const base::Ip& source, std::uint16_t port, const base::Ip& ip) const {
    const bool leaving = leaving_ > 0;  // read first: what leaves is in `open_` before it ends
    const std::lock_guard lock(mutex_);
    if (open_.contains(Ends(source, port, ip))) return Whose::ours;
    return leaving ? Whose::unknown : Whose::another;
  }

 private:
  void begin(const Ends& ends) {
    const std::lock_guard lock(mutex_);
    open_.insert(ends);
  }
  void give_back(const base::Ip& ip, const std::optional<Ends>& ends) {
    const std::lock_guard lock(mutex_);
    if (ends) {
      const auto known = open_.find(*ends);
      if (known != open_.end()) open_.erase(known);
    }
    const auto found = counts_.find(ip);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  mutable std::mutex mutex_;
  std::unordered_map<base::Ip, std::uint32_t> counts_;
  std::multiset<Ends> open_;
  std::atomic<std::uint32_t> leaving_{0};  // calls of connect() that have not returned
};

}  // namespace proxy
