// Sha256: the hash of the chain (FIPS 180-4), one object reused for many lines because looking the
// algorithm up costs more than hashing a line. Not safe from several threads at once. Called by the
// log's writer and by verify.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace audit {

class Sha256 {
 public:
  Sha256();
  // 64 lower-case hex digits.
  std::string hex(std::string_view bytes);

 private:
  struct Free {
    void operator()(EVP_MD* digest) const { EVP_MD_free(digest); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD, Free> digest_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace audit
