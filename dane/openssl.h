// The OpenSSL adapter: certificates in, evidence out; no sockets. A handshake collects the chain
// and decides nothing (`leave_verification_to_evidence`); afterwards the chain is evaluated against
// TLSA records (RFC 7672 §3, RFC 7671 §5) or a CA store. A resumed session still has its chain, so
// that it is evaluated like any other. Called by proxy/tls_client and by the policy fetcher.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/domain.h"
#include "base/result.h"
#include "dane/evidence.h"

namespace dane {

// Certificates as the peer sent them, leaf first; shares them with OpenSSL.
class PeerChain {
 public:
  PeerChain() = default;
  // After the handshake, full or resumed, as client.
  static PeerChain of(const SSL* ssl);
  // For tests and `own`: PEM certificates, leaf first.
  static base::Result<PeerChain, base::Error> from_pem(std::string_view pem);

  bool empty() const { return certificates_.empty(); }
  X509* leaf() const { return certificates_.front().get(); }
  std::size_t size() const { return certificates_.size(); }
  X509* at(std::size_t i) const { return certificates_[i].get(); }

 private:
  struct Free {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  void add(X509* certificate);  // takes a reference of its own
  std::vector<std::unique_ptr<X509, Free>> certificates_;
};

// Makes handshakes of this client context accept any chain, unlooked at. What may be sent over such
// a session is for the evidence to say: SSL_get_verify_result means nothing.
void leave_verification_to_evidence(SSL_CTX* context);

// How a chain is verified: when, and with which keys and digests (OpenSSL's security level).
struct VerifyTerms {
  base::WallTime now;
  int security_level = 2;
  bool any_time = false;  // dates do not count: what else is wrong
};

Identity identity_of(const PeerChain& chain);
// SHA-256 of all certificates in their order: the same for the same chain alone. 32 octets; none
// where OpenSSL is out of memory.
std::string digest_of(const PeerChain& chain);
// X.509's time; nullopt where unreadable.
std::optional<base::WallTime> time_of(const ASN1_TIME* time);
// nullopt: the peer has none.
std::optional<Certificate> certificate_of(const PeerChain& chain);

// RFC 7672 §3: `records`, usable ones after digest agility, against the chain. DANE-EE(3) compares
// the leaf and nothing else; DANE-TA(2) builds a path from the chain and the records alone, in
// date, and wants one of `reference_ids` named by the leaf.
DaneEvidence evaluate_dane(const PeerChain& chain, std::span<const Tlsa> records,
                           std::span<const base::Domain> reference_ids, const VerifyTerms& terms);

// RFC 8461 §4.2, RFC 5280: a path to `store` for a TLS server, in date. No names.
PkixEvidence evaluate_pkix(const PeerChain& chain, X509_STORE* store, const VerifyTerms& terms);

// RFC 9525 §6.3: whether a DNS-ID names `name`; wildcards are one whole first label. The CN never
// counts. The DNS-ID that matched, or "".
std::string matching_dns_id(const Identity& identity, const base::Domain& name);

}  // namespace dane
