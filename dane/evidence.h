// What one TLS session showed of its peer, as values: nothing here decides anything. Made by
// dane/openssl.h from the certificates that the peer sent; policy/judge reads it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "dane/tlsa.h"

namespace dane {

// The leaf certificate.
struct Identity {
  std::string cert_sha256;           // hex; "" where the peer has no certificate
  std::string spki_sha256;
  std::vector<std::string> dns_ids;  // of the SAN, lower case, as written; unreadable ones left out
  bool has_dns_id = false;           // any at all, readable or not: the CN no longer counts
  std::string common_name;           // the last of the subject, lower case; "" where unreadable
};

// The leaf as a person reads it, and how many certificates came; texts are printable ASCII, cut at
// `certificate_text` octets.
inline constexpr std::size_t certificate_text = 300;
struct Certificate {
  std::string subject;  // RFC 2253
  std::string issuer;
  std::optional<base::WallTime> not_before;  // absent where unreadable
  std::optional<base::WallTime> not_after;
  std::string key;      // "EC 256", "RSA 2048"
  std::size_t chain = 0;
};

// How the chain does against the TLSA records of the host (RFC 7672 §3).
struct DaneEvidence {
  std::optional<Tlsa> matched;
  std::string error;           // why none did, in words; empty with `matched`
  bool name_mismatch = false;  // the chain to a DANE-TA anchor is good, the names are not
  bool expired = false;        // a certificate below the anchor is past or before its dates
  bool untrusted = false;      // a chain leads to an anchor and does not verify
};

// How the chain does against a store of CAs; names are judged apart (`names_match`).
enum class ChainState : std::uint8_t { trusted, expired, not_yet_valid, untrusted };
struct Validity {
  base::WallTime from;
  base::WallTime until;  // not then any more
};
struct PkixEvidence {
  ChainState chain = ChainState::untrusted;
  std::string error;  // OpenSSL's words and the certificate's depth; empty when trusted
  // When all certificates of the path are in date; absent where not trusted, or not readable.
  std::optional<Validity> validity = std::nullopt;
};

}  // namespace dane
