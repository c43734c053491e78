// What `own` makes of an address by all its handshakes together: TLS versions (RFC 8461 §7.2,
// RFC 8996 §4, §5) and types of key; see own.h.
#include <algorithm>

#include "check/own.h"

namespace check {

namespace {

const policy::TlsSession* session_of(const SeenAddress& seen) {
  return seen.evidence ? std::get_if<policy::TlsSession>(&*seen.evidence) : nullptr;
}

bool handshake_failed(const SeenAddress& seen) {
  return seen.evidence && std::holds_alternative<policy::HandshakeFailed>(*seen.evidence);
}

}  // namespace

std::vector<SeenHost> without_handshake(const std::vector<SeenHost>& untried,
                                        const std::vector<KeySeen>& keys) {
  std::vector<SeenHost> left;
  for (std::size_t i = 0; i < untried.size(); ++i) {
    SeenHost host;
    host.own = untried[i].own;
    for (std::size_t a = 0; a < untried[i].addresses.size(); ++a) {
      const bool failed = std::ranges::all_of(keys, [i, a](const KeySeen& one) {
        return handshake_failed(one.hosts[i].addresses[a]);
      });
      if (failed) host.addresses.push_back(untried[i].addresses[a]);
    }
    left.push_back(std::move(host));
  }
  return left;
}

std::string old_version_of(const OwnSeen& seen, std::size_t host, const base::Ip& ip) {
  if (host >= seen.old.size()) return {};
  for (const SeenAddress& one : seen.old[host].addresses) {
    const auto* session = session_of(one);
    if (one.ip == ip && session) return session->version;
  }
  return {};
}

void add_versions_and_keys(OwnReport& report, const OwnSeen& seen, const Place& place,
                           bool good) {
  bool known = false;   // a key of a type that every sender knows
  bool newest = false;  // TLS 1.3
  bool any = false;
  for (const KeySeen& one : seen.keys) {
    const auto* session = session_of(one.hosts[place.host].addresses[place.address]);
    if (!session) continue;
    any = true;
    known = known || one.key != proxy::KeyType::eddsa;
    newest = newest || session->version != "TLSv1.2";
  }
  if (!any) return;
  if (!newest && good) {
    report.findings.push_back(
        {Level::pass, "tls", "tls-1.2",
         place.words + ": TLS 1.2 at most, which every policy is content with", ""});
  }
  if (!known) {
    report.findings.push_back(
        {Level::warn, "tls", "eddsa-alone",
         place.words + ": the only key is an Ed25519 or Ed448 key: a sender that does not know "
                       "that type gets no TLS",
         "let it have an ECDSA or an RSA certificate besides"});
  }
}

}  // namespace check
