// Outlook: what can be said of a domain's mail now, for those who ask before there is a connection
// (the milter). From the plan and from what sessions under the same terms came to lately. Pure.
// It never says `bad` for want of knowledge: what is not known passes, and the MTA finds out.
// Enforces nothing: only judge() lets a message go.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "policy/survey.h"

namespace policy {

// What the last session with a host under the terms of a plan came to.
struct Sighting {
  bool fine = false;
  bool no_starttls = false;
  std::string reason;             // where it is not fine
  std::chrono::seconds ago{0};
};
// nullopt: none that is still believed.
using Sightings = std::function<std::optional<Sighting>(const base::Domain& host, const Try& plan)>;

enum class Prospect : std::uint8_t {
  open,     // nothing is demanded
  good,     // a host met the demand lately
  unknown,  // not known, or not known in time
  bad,      // a policy rules every host out, or each was seen to fail it
  refused,  // the domain takes no mail: a null MX
};

struct Outlook {
  Prospect prospect = Prospect::unknown;
  std::string words = "not known";  // for a header: "verified (DANE)", "opportunistic"
  std::string reason;               // policy, MX and why; "" where there is nothing to say
  smtp::Reply reply;                // of bad and refused, without ID
  PolicyKind kind = PolicyKind::none;
  bool observed = false;  // observe mode: told, never acted upon
  bool stale = false;     // a handshake now could tell more
  bool passing = false;   // of bad: for a look-up that failed, so nothing to refuse for good
};

// A sighting is renewed, when somebody asks, before it ends being believed.
inline constexpr std::chrono::minutes renewed_after{12};

Outlook outlook_of(const Settings& settings, const base::Domain& domain, const Survey& survey,
                   const Sightings& seen);

// What was not found out.
Outlook unknown_outlook(std::string reason);

// The rule under which a domain is looked at for a message that itself demands `require`: the
// operator's own rule goes on to hold, an exception does not.
Rule rule_for(Require require, const Operator& op);

}  // namespace policy
