#include "proxy/host_memory.h"

namespace proxy {

HostMemory::Look HostMemory::look(const std::string& key, Time now,
                                  std::chrono::milliseconds period) {
  const std::lock_guard lock(mutex_);
  Look look;
  const auto found = index_.find(key);
  if (found == index_.end()) return look;
  Entry& entry = *found->second;
  look.reason = entry.reason;
  if (now < entry.until) {
    look.marked = true;
    return look;
  }
  look.probe = true;
  entry.until = now + period;
  return look;
}

bool HostMemory::is_marked(const std::string& key, Time now) const {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  return found != index_.end() && now < found->second->until;
}

void HostMemory::mark(const std::string& key, std::string reason, Time now,
                      std::chrono::milliseconds period) {
  if (period.count() <= 0) return;
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found != index_.end()) {
    entries_.erase(found->second);
    index_.erase(found);
  }
  while (entries_.size() >= capacity_) {
    index_.erase(entries_.back().key);
    entries_.pop_back();
  }
  entries_.push_front(Entry{key, std::move(reason), now + period});
  index_.emplace(key, entries_.begin());
}

void HostMemory::clear(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  entries_.erase(found->second);
  index_.erase(found);
}

std::size_t HostMemory::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace proxy
