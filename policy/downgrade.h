// Downgrade memory, the decision: what an MX host showed in earlier sessions, whether a session
// falls behind that, and what is remembered of it. STARTTLS can be stripped by whoever is on the
// path (RFC 3207 §6), and a domain that publishes nothing has no other way to notice. What counts
// and what does not is told in docs/decisions/0019. Pure; time passed in. Asked by judge(), which
// tells it with the verdict; kept by proxy/host_histories.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip.h"
#include "tlsrpt/result.h"

namespace policy {

// `pass`: nothing is suspected, since the operator's exception holds for the domain.
enum class OnDowngrade : std::uint8_t { pass, log, defer };

// How long a host is held to what it showed.
inline constexpr std::chrono::days history_kept{90};
// Addresses of one host that are known to be without STARTTLS.
inline constexpr std::size_t plain_addresses = 8;

// Of one MX host, over all its addresses and all domains that it serves.
struct HostHistory {
  std::optional<base::WallTime> seen;           // the last session of any kind
  std::optional<base::WallTime> tls;            // the last session with TLS
  std::optional<base::WallTime> authenticated;  // the last one whose peer was authenticated
  std::string peer_auth;                        // how: "pkix"
  std::string spki_sha256;                      // and with which key
  std::vector<base::Ip> plain;                  // never offered STARTTLS; oldest first
  bool operator==(const HostHistory&) const = default;
};

// What was known before a session, and where and when it was.
struct Past {
  HostHistory history;
  base::Ip ip;
  base::WallTime now{};
};

// What the session showed.
struct Shown {
  bool tls = false;
  bool offered = false;          // STARTTLS, whatever came of it
  std::string peer_auth;         // "" where the peer was not authenticated
  std::string spki_sha256;
  tlsrpt::FailureDetail lacking; // why there was no TLS, or no authentication
};

struct Downgrade {
  enum class Lost : std::uint8_t { starttls, authentication };
  Lost lost = Lost::starttls;
  tlsrpt::ResultType result = tlsrpt::ResultType::starttls_not_supported;
  std::string reason;  // "was last seen with TLS at … and now: …"; without the host's name
};

std::optional<Downgrade> downgrade_of(const Past& past, const Shown& shown);
// The history with this session in it.
HostHistory learn(const Past& past, const Shown& shown);
// Whether it is so old that nothing of it is held against the host.
bool is_forgotten(const HostHistory& history, base::WallTime now);

}  // namespace policy
