// Recent: a map with a bound; what was not used for the longest time makes room. For one thread.
// Used where something is remembered to save work and may be forgotten at any time.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace base {

template <class Key, class Value, class Hash = std::hash<Key>>
class Recent {
 public:
  explicit Recent(std::size_t limit) : limit_(limit) {}

  // Null where there is none; a found one counts as used. Valid until the next put() or erase().
  Value* find(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->second;
  }
  // In the place of an earlier one.
  void put(const Key& key, Value value) {
    if (Value* const known = find(key)) {
      *known = std::move(value);
      return;
    }
    if (limit_ == 0) return;
    while (entries_.size() >= limit_) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(key, std::move(value));
    places_.emplace(key, entries_.begin());
  }
  void erase(const Key& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return;
    entries_.erase(found->second);
    places_.erase(found);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  std::size_t limit_;
  std::list<std::pair<const Key, Value>> entries_;  // most recently used first
  std::unordered_map<Key, typename std::list<std::pair<const Key, Value>>::iterator, Hash>
      places_;
};

}  // namespace base
