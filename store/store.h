// Store: what must outlive the process: the MTA-STS policy cache (RFC 8461 §10.2: losing it is a
// downgrade window), what MX hosts showed in earlier sessions, small named values (the head of the
// audit chain), and the strings of policies by their digest. Reads block and are for start-up,
// reports and the control socket; writes are posted to the store's own writer and never block. A
// failed write is told and never takes back what its caller holds in memory. Called by
// policy/sts_engine, proxy/host_histories, audit and the report writers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace store {

struct PolicyRow {
  std::string domain;
  std::string id;               // of the TXT record at the last fetch
  std::string body;             // as published, lines parted by LF
  base::WallTime fetched{};
  base::WallTime expires{};
  base::WallTime txt_checked{}; // last TXT look-up that was answered
  std::uint32_t refresh_failures = 0;
  bool operator==(const PolicyRow&) const = default;
};

// What one MX host showed in sessions: for the memory of downgrades.
struct HostRow {
  std::string host;
  base::WallTime seen{};                        // last session
  std::optional<base::WallTime> tls;            // last one with TLS
  std::optional<base::WallTime> authenticated;  // last one with an authenticated peer
  std::string peer_auth;                        // of that one
  std::string spki_sha256;                      // likewise, hex
  std::string plain;                            // addresses without STARTTLS, parted by spaces
  bool operator==(const HostRow&) const = default;
};

using Outcome = base::Result<void, base::Error>;
// Called once, on the writer's thread, when the write is on disk or has failed.
using Done = std::function<void(const Outcome&)>;

class Store {
 public:
  virtual ~Store() = default;

  // ---- posted; of writes to one key only the last need reach the disk; order is kept otherwise
  virtual void put_policy(PolicyRow row) = 0;
  virtual void erase_policy(const std::string& domain) = 0;
  virtual void put_host(HostRow row) = 0;
  virtual void erase_host(const std::string& host) = 0;
  virtual void put_value(std::string key, std::string value, Done done = {}) = 0;
  virtual void erase_value(std::string key) = 0;
  // `json` under `digest` (SHA-256, hex), used on that day. What is known costs nothing. A log
  // line that names the digest is written after `done` told success.
  virtual void put_policy_strings(const std::string& digest, std::string json,
                                  std::chrono::sys_days used, Done done = {}) = 0;
  // Those last used before that day: no log line and no report that is kept names them.
  virtual void forget_policy_strings(std::chrono::sys_days before) = 0;

  // ---- blocking
  // One after the other, since there may be very many; `take` may post, but not block here.
  virtual base::Result<void, base::Error> each_policy(
      const std::function<void(PolicyRow row)>& take) = 0;
  base::Result<std::vector<PolicyRow>, base::Error> load_policies() {
    std::vector<PolicyRow> rows;
    auto read = each_policy([&rows](PolicyRow row) { rows.push_back(std::move(row)); });
    if (!read) return base::fail(std::move(read.error()));
    return rows;
  }
  // Those seen last come first.
  virtual base::Result<std::vector<HostRow>, base::Error> load_hosts() = 0;
  virtual base::Result<std::optional<std::string>, base::Error> value(const std::string& key) = 0;
  // All values whose key begins with `prefix`, by key.
  virtual base::Result<std::vector<std::pair<std::string, std::string>>, base::Error> values(
      const std::string& prefix) = 0;
  virtual base::Result<std::optional<std::string>, base::Error> policy_strings(
      const std::string& digest) = 0;
  // Whether put_policy_strings for it and that day is on disk; never blocks.
  virtual bool has_policy_strings(const std::string& digest, std::chrono::sys_days used) = 0;
  // Why the last write failed; nullopt: it did not. Never blocks on the disk.
  virtual std::optional<std::string> trouble() const = 0;
  // Waits until all that was posted before is on disk, or says why not. Never on an I/O thread.
  virtual Outcome flush() = 0;
};

}  // namespace store
