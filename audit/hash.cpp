#include "audit/hash.h"

#include <array>
#include <stdexcept>

#include "base/encode.h"

namespace audit {

Sha256::Sha256()
    : digest_(EVP_MD_fetch(nullptr, "SHA2-256", nullptr)), context_(EVP_MD_CTX_new()) {
  if (!digest_ || !context_) throw std::runtime_error("OpenSSL has no SHA-256");
}

std::string Sha256::hex(std::string_view bytes) {
  std::array<std::uint8_t, 32> out{};
  if (EVP_DigestInit_ex2(context_.get(), digest_.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1 ||
      EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL failed to compute a SHA-256");
  }
  return base::to_hex(out);
}

}  // namespace audit
