// Meters: what the relay counts for /metrics (contrib/ and docs/metrics.md go by these names).
// Whatever the enforcement log also tells is counted from its records (proxy/metered_log.h), so
// that the two cannot disagree; the rest is counted where it happens. One for the daemon, in
// Shared; any thread. What is looked up only when asked (sizes, states) is in proxy/admin_port.
#pragma once

#include <vector>

#include "dane/status.h"
#include "metrics/cells.h"
#include "policy/sts_engine.h"

namespace proxy {

struct Meters {
  // ---- from records of the log
  metrics::Counters deliveries;   // verdict, policy_type
  metrics::Counters recipients;   // verdict
  metrics::Counters delivered;    // peer_auth, protection: what delivered mail had
  metrics::Counters mx_sessions;  // verdict: connections to MX hosts, and hosts ruled out
  metrics::Counters tls_results;  // policy_type, result: as TLS-RPT counts them
  metrics::Counters exceptions;
  metrics::Counters downgrades;   // lost

  // ---- where it happens
  metrics::Counters accepted;     // protocol: connections of MTAs
  metrics::Counters reused;       // MX connections
  metrics::Counters sts_fetches;  // outcome
  metrics::Counters sts_events;   // event
  metrics::Counters dane;         // outcome
  metrics::Gauges idle;           // MX connections in the pools
  metrics::Histogram plan;
  metrics::Histogram connect;
  metrics::Histogram delivery;

  Meters();
  void count(const policy::StsEvent& event);
  void count(const dane::Status& status);
  std::vector<metrics::Family> collect() const;
};

}  // namespace proxy
