// SeenHosts: what the last session with a host under given terms came to, for those who say whether
// mail could be sent now (proxy/milter). Written by deliveries and by handshakes without mail,
// believed for a quarter of an hour. Shared by all threads, bounded (what was noted first goes
// first); a delivery touches it once for each connection.
#pragma once

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/limits.h"
#include "policy/judge.h"

namespace proxy {

struct SeenHost {
  bool fine = false;    // the session met its plan
  std::string reason;   // why not
  bool no_starttls = false;
  std::chrono::steady_clock::time_point when;
};

class SeenHosts {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::minutes believed{15};
  // One bad address of a host does not outvote another that just now was fine.
  static constexpr std::chrono::seconds fine_stands{60};

  explicit SeenHosts(std::size_t capacity = base::limits::host_memory) : capacity_(capacity) {}

  // Nothing is noted of a plan that demands no TLS: whatever was seen, mail can be sent.
  void note(const base::Domain& host, const policy::Try& plan, const policy::Verdict& verdict,
            Time now);
  // nullopt: never seen under these terms, or too long ago.
  std::optional<SeenHost> look(const base::Domain& host, const policy::Try& plan, Time now) const;
  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    SeenHost seen;
  };
  mutable std::mutex mutex_;
  std::size_t capacity_;
  std::list<Entry> entries_;  // newest first
  std::unordered_map<std::string, std::list<Entry>::iterator> index_;
};

}  // namespace proxy
