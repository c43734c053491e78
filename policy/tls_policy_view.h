// What tls_policy() looks at: the hosts of a survey sorted by what became of them, what the
// operator asks of the domain, and the pieces of a map's text. Inside tls_policy*.cpp only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/survey.h"

namespace policy {

// Octets of the names in `match`, of the policy's lines, and of all together; Postfix takes 100000,
// Sendmail's rewriting about 1000.
inline constexpr std::size_t longest_text = 65536;
inline constexpr std::size_t longest_match = 16384;
inline constexpr std::size_t longest_policy = 16384;
inline constexpr std::size_t longest_sendmail_match = 512;

enum class Floor : std::uint8_t { none, encrypted, verified };  // of rule and default together

struct LiveHost {
  const HostPlan* host = nullptr;
  const Try* plan = nullptr;
};

struct MapView {
  const Settings& settings;
  const DomainPlan& plan;
  std::vector<LiveHost> live = {};           // that mail may be tried at
  const Excluded* by_policy = nullptr;       // the first of each kind
  const Excluded* unresolved = nullptr;      // its address could not be found out
  const Excluded* dane_unknown = nullptr;    // whether it has TLSA could not be found out
  const Excluded* tlsa_failed = nullptr;     // the same, of a host that is there
  bool dane_doubtful = false;                // that, or what an insecure MX promises, is unknown
  const HostPlan* unnamed = nullptr;         // the rule's `mx` does not name it
  const HostPlan* unnamed_tlsa = nullptr;    // nor this, which has secure TLSA records
  const StsActive* enforced = nullptr;
  Floor floor = Floor::none;
  bool secure = false;                       // the MX answer
  bool tlsa = false;                         // a live host has secure TLSA records
  bool usable = false;                       // some of which can be used
};
MapView view_of(const Settings& settings, const DomainPlan& plan,
                const std::vector<HostPlan>& hosts);

// Why the policy is not known yet, where whoever asked would not wait for it.
std::optional<std::string> unknown_policy(const StsState& sts);

// The approved hosts as MTA-STS writes them ("name" or "*.name"): the enforce policy's patterns or
// the rule's; where there are both, or they take over `longest` octets, the hosts that are left of
// them by name. Empty: nothing that can be written safely.
std::vector<std::string> approved_patterns(const MapView& view, std::size_t longest);
std::vector<std::string> approved_hosts(const MapView& view, std::size_t longest);  // by name

std::string match_of(const std::vector<std::string>& patterns);  // "mx.example.com:.example.net"
std::string fingerprint_of(const std::string& hex);              // "AB:CD:…"
// A line of a policy that may stand inside of braces: braces, control characters and what is not
// ASCII replaced, bounded.
std::string brace_safe(std::string_view line);
// Neither white space, comma nor brace, nor anything else that a parser might take for its own.
bool is_plain_word(std::string_view text);

}  // namespace policy
