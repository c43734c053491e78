// MxSlots: how many connections each MX address has from all threads together, held to
// `outbound.max_connections_per_mx`. A Slot is given back when it is destroyed.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/ip.h"

namespace proxy {

class MxSlots {
 public:
  class Slot {
   public:
    Slot() = default;
    Slot(Slot&& other) noexcept : slots_(std::exchange(other.slots_, nullptr)), ip_(other.ip_) {}
    Slot& operator=(Slot&& other) noexcept {
      if (this != &other) {
        release();
        slots_ = std::exchange(other.slots_, nullptr);
        ip_ = other.ip_;
      }
      return *this;
    }
    ~Slot() { release(); }
    void release() {
      if (slots_) std::exchange(slots_, nullptr)->give_back(ip_);
    }

   private:
    friend class MxSlots;
    Slot(MxSlots* slots, base::Ip ip) : slots_(slots), ip_(ip) {}
    MxSlots* slots_ = nullptr;
    base::Ip ip_;
  };

  // nullopt: `limit` connections to this address are open already.
  std::optional<Slot> take(const base::Ip& ip, std::uint32_t limit) {
    const std::lock_guard lock(mutex_);
    std::uint32_t& count = counts_[ip];
    if (count >= limit) return std::nullopt;
    ++count;
    return Slot(this, ip);
  }

 private:
  void give_back(const base::Ip& ip) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(ip);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  std::mutex mutex_;
  std::unordered_map<base::Ip, std::uint32_t> counts_;
};

}  // namespace proxy
