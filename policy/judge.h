// judge(): from a host's plan and the evidence of one session to the verdict. Pure, and the only
// maker of Authorized, without which no MAIL FROM can be sent. It returns the verdict and the
// TLS-RPT results together, so that they cannot disagree. Called by proxy/delivery (and `check`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "policy/plan.h"

namespace policy {

// ---- evidence: facts of one session, nothing decided --------------------------------------------

struct NoStartTls {      // not offered, refused with 4yz/5yz, or no EHLO
  std::string reason;    // "STARTTLS is not offered", "454 4.7.0 TLS not available"
  bool offered = false;  // and then refused
};
struct HandshakeFailed {
  std::string reason;    // OpenSSL's words, the alert, or why the plaintext was not clean
};
enum class ChainState : std::uint8_t { trusted, expired, not_yet_valid, untrusted, unknown };
struct PkixEvidence {
  ChainState chain = ChainState::unknown;
  std::string chain_error;          // X509_V_ERR_… and words
  std::vector<std::string> dns_ids; // of the leaf's SAN, lower case, as written
  bool has_dns_id = false;
  std::string common_name;          // for DANE-TA without any DNS-ID alone (RFC 7672 §3.2.3)
};
struct DaneEvidence {
  // Index of the record that matched in the records given to the handshake, and its usage.
  std::optional<dane::Tlsa> matched;
  std::string error;                // why none did: chain, name, no match
  bool name_mismatch = false;
  bool expired = false;
  bool untrusted = false;           // the chain to the anchor does not verify
};
struct TlsSession {
  std::string version;   // "TLSv1.3"
  std::string cipher;
  std::string group;
  std::string sni;
  bool resumed = false;
  std::string cert_sha256;  // hex; "" where the peer has no certificate
  std::string spki_sha256;
  PkixEvidence pkix;
  std::optional<DaneEvidence> dane;  // where the plan has TLSA records to evaluate
};
using Evidence = std::variant<NoStartTls, HandshakeFailed, TlsSession>;

// ---- verdict ------------------------------------------------------------------------------------

// What the peer proved, demanded or not. `pkix`: trusted chain and a DNS-ID that names the MX host.
// Where usable TLSA records were not matched it is `none`, whatever PKIX says (RFC 8461 §2).
enum class PeerAuth : std::uint8_t { dane_ee, dane_ta, pkix, pin, none };
std::string_view to_string(PeerAuth auth);
// What that is worth: `authenticated` needs besides that the host is vouched for, by a secure MX,
// an enforce policy, the rule's mx, a pin, or a certificate that names the recipient domain too.
enum class Protection : std::uint8_t { authenticated, encrypted, cleartext };
std::string_view to_string(Protection protection);

// The proof that this session met what the plan asked. Only judge() makes one.
class Authorized {
 public:
  PeerAuth peer_auth() const { return peer_auth_; }
  Protection protection() const { return protection_; }

 private:
  friend struct Judge;
  Authorized(PeerAuth auth, Protection protection) : peer_auth_(auth), protection_(protection) {}
  PeerAuth peer_auth_;
  Protection protection_;
};
struct Denied {
  smtp::Reply reply;  // 451 4.7.4 or 4.7.5 with policy, MX and reason; without ID
  PolicyKind by = PolicyKind::none;  // whose demand failed; `sts`: look for a new policy id
};
// Opportunistic and TLS failed: nothing forbids cleartext; connect again without STARTTLS.
struct RetryInCleartext {};

struct Verdict {
  std::variant<Authorized, Denied, RetryInCleartext> outcome;
  std::vector<tlsrpt::SessionResult> results;  // one for each policy that applied
  // For the log's line: what kept the session from its demand; else the first failure of the
  // policy that gave the requirement (Try::kind), or of any under the operator's; nullopt: success.
  std::optional<tlsrpt::ResultType> result;
  std::string reason;                          // precise, in words; empty on plain success
  // Where the past of the host was given: that it falls behind it, told here and nowhere else (with
  // on_downgrade = defer the outcome is Denied for it); and what is to be remembered from now on.
  std::optional<Downgrade> downgrade;
  std::optional<HostHistory> history;
};

// `host`: for the words. `cleartext_retry`: this is already the reconnect without STARTTLS; its
// evidence is NoStartTls, and its results were counted by the first attempt. `past`: what the host
// showed before this session; null where nobody remembers, or where it was judged by already.
Verdict judge(const Try& plan, const base::Domain& domain, const base::Domain& host,
              const Evidence& evidence, bool cleartext_retry = false, const Past* past = nullptr);
// The same for an address that is no MX host's by our DNS, but to which the domain's MTA dialled:
// what the domain publishes is evaluated, no name stands for the peer.
Verdict judge(const Try& plan, const base::Domain& domain, const base::Ip& dialled,
              const Evidence& evidence, bool cleartext_retry = false);
// The same for an address literal: nothing is published, nothing goes to TLS-RPT.
Verdict judge(const Try& plan, const base::Ip& literal, const Evidence& evidence,
              bool cleartext_retry = false);

}  // namespace policy
