// The public key of a PEM file, certificate or key, as TLSA 3 1 1 names it: SHA-256 over its
// SubjectPublicKeyInfo (RFC 7671 §5.1). Pure. Called by `policy generate`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace dane {

struct PublicKeyDigest {
  std::string spki_sha256;  // hex
  std::string what;         // "certificate", "private key", "public key": what the file holds
};

// The first certificate in `pem`, or without one its private or public key. Never asks for a
// passphrase: a key under one is an error.
base::Result<PublicKeyDigest, base::Error> spki_of_pem(std::string_view pem);

}  // namespace dane
