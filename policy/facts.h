// DomainFacts and HostFacts: all that was found out about a recipient domain and its hosts before
// anything is decided. Plain data, so that a scenario file can hold one. Made by proxy/gather;
// read by plan() alone.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/domain.h"
#include "base/ip.h"
#include "dane/status.h"
#include "dns/answer.h"
#include "policy/sts.h"

namespace policy {

struct MxHost {
  base::Domain host;
  std::uint16_t preference = 0;
};

struct MxFailed {      // SERVFAIL, bogus, time-out: whatever is not an answer
  std::string reason;
  bool bogus = false;
};
struct NoSuchDomain {};  // NXDOMAIN, proven
struct NullMx {};        // RFC 7505
struct MxList {          // at least one; `dropped` says what was no host name
  std::vector<MxHost> hosts;
  std::vector<std::string> dropped;
};
struct NoUsableMx {      // MX records, none of which names a host (RFC 5321 §5.1: no implicit MX)
  std::string reason;
};
struct ImplicitMx {};    // NODATA: the domain itself is the host, preference 0
using MxOutcome = std::variant<MxFailed, NoSuchDomain, NullMx, NoUsableMx, MxList, ImplicitMx>;

struct DomainFacts {
  base::Domain domain;
  MxOutcome mx;
  dns::Security mx_security = dns::Security::insecure;
  std::optional<base::Domain> expanded;  // where a CNAME at the domain led
  StsState sts;
};

// One host's addresses and DANE status. Order of addresses is the resolver's.
struct HostFacts {
  base::Domain host;
  std::vector<base::Ip> addresses;
  std::optional<std::string> address_error;  // a look-up failed; addresses may still be there
  bool address_bogus = false;
  bool no_address_proven = false;  // every family asked, each a proven absence
  dane::Status dane;
  std::chrono::steady_clock::time_point expires{};  // the shortest TTL of the answers ends
};

}  // namespace policy
