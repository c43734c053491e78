// DKIM signatures for report mail (RFC 6376; RFC 8463 for Ed25519; RFC 8460 §3: no `l=`, the
// TLS-Report fields are covered), and what a key record says of itself. OpenSSL does the
// cryptography. Called by report/ (sending) and its warning at start.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace tlsrpt {

class DkimSigner {
 public:
  // `key_pem`: an RSA (at least 1024 bits; rsa-sha256) or Ed25519 (ed25519-sha256) private key.
  static base::Result<DkimSigner, base::Error> make(std::string_view key_pem, std::string domain,
                                                    std::string selector);
  DkimSigner(DkimSigner&&) noexcept;
  DkimSigner& operator=(DkimSigner&&) noexcept;
  ~DkimSigner();

  // `message` (RFC 5322, CRLF) with a DKIM-Signature field in front; relaxed/relaxed, `t=` is
  // `date`, the same octets for the same arguments. Fails only where OpenSSL does.
  base::Result<std::string, base::Error> sign(std::string_view message, base::WallTime date) const;

  // Where the public key is published: "SELECTOR._domainkey.DOMAIN".
  std::string record_name() const;
  // What a receiver of reports may hold against the TXT record found there (RFC 8460 §3,
  // RFC 6376 §3.6.1): no record of this key, another key, an `s=` without `tlsrpt` and `*`, `t=y`.
  // In words that say what to do; nullopt: nothing.
  std::optional<std::string> record_problem(std::string_view txt) const;
  // The record that should stand there: "v=DKIM1; k=rsa; s=email:tlsrpt; p=…".
  std::string record_text() const;

 private:
  struct Key;
  explicit DkimSigner(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

}  // namespace tlsrpt
