// HostMemory: addresses that did not answer and hosts whose TLS failed, for `outbound.host_memory`.
// A marked one is not tried: the reply comes at once, with the remembered reason. When its time is
// over one caller, the probe, tries it in earnest, while the others go on seeing the mark. Shared
// by all threads, bounded (the oldest mark goes first); asked once for each attempt, never in the
// body.
#pragma once

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/limits.h"

namespace proxy {

class HostMemory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit HostMemory(std::size_t capacity = base::limits::host_memory) : capacity_(capacity) {}

  struct Look {
    bool marked = false;  // do not try
    bool probe = false;   // the mark has run out and this caller is the one to try
    std::string reason;   // why it is marked
  };
  // `period`: how long the others wait for the probe's outcome.
  Look look(const std::string& key, Time now, std::chrono::milliseconds period);
  // Whether it is marked now, without becoming the probe.
  bool is_marked(const std::string& key, Time now) const;
  void mark(const std::string& key, std::string reason, Time now,
            std::chrono::milliseconds period);
  void clear(const std::string& key);
  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::string reason;
    Time until;
  };
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::list<Entry> entries_;  // newest first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace proxy
