#include "policy/downgrade.h"

#include <algorithm>

#include "audit/record.h"

namespace policy {

namespace {

bool holds(const std::optional<base::WallTime>& seen, base::WallTime now) {
  return seen && now - *seen <= history_kept;
}

bool is_plain(const HostHistory& history, const base::Ip& ip) {
  return std::ranges::find(history.plain, ip) != history.plain.end();
}

}  // namespace

std::optional<Downgrade> downgrade_of(const Past& past, const Shown& shown) {
  const HostHistory& before = past.history;
  if (!shown.tls) {
    if (!holds(before.tls, past.now) || is_plain(before, past.ip)) return std::nullopt;
    return Downgrade{Downgrade::Lost::starttls, shown.lacking.type,
                     "was last seen with TLS at " + audit::rfc3339(*before.tls) +
                         " and now: " + shown.lacking.reason};
  }
  // Another key alone is how a host renews its certificate; the same key is the same peer, whatever
  // its certificate is worth today.
  if (!shown.peer_auth.empty() || !holds(before.authenticated, past.now)) return std::nullopt;
  if (shown.spki_sha256 == before.spki_sha256) return std::nullopt;
  return Downgrade{Downgrade::Lost::authentication, shown.lacking.type,
                   "was last authenticated (" + before.peer_auth + ") at " +
                       audit::rfc3339(*before.authenticated) +
                       " and now shows another key: " + shown.lacking.reason};
}

HostHistory learn(const Past& past, const Shown& shown) {
  HostHistory after = past.history;
  after.seen = past.now;
  if (!shown.tls) {
    const bool known = is_plain(after, past.ip);
    if (!shown.offered && !holds(after.tls, past.now) && !known) {
      if (after.plain.size() >= plain_addresses) after.plain.erase(after.plain.begin());
      after.plain.push_back(past.ip);
    }
    return after;
  }
  after.tls = past.now;
  std::erase(after.plain, past.ip);
  if (!shown.peer_auth.empty()) {
    after.authenticated = past.now;
    after.peer_auth = shown.peer_auth;
    after.spki_sha256 = shown.spki_sha256;
  }
  return after;
}

bool is_forgotten(const HostHistory& history, base::WallTime now) {
  return !holds(history.seen, now);
}

}  // namespace policy
