#include "dane/openssl_spki.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <functional>
#include <memory>

#include "base/encode.h"

namespace dane {

namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

int refuse_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return 0;
}

// From its start for each kind.
Bio over(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  if (!bio) throw std::bad_alloc();
  return bio;
}

base::Result<PublicKeyDigest, base::Error> digest_of(EVP_PKEY* key, const char* what) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return base::fail("the public key cannot be written");
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(
      der, [](unsigned char* octets) { OPENSSL_free(octets); });
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  if (EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &length, EVP_sha256(),
                 nullptr) != 1) {
    return base::fail("SHA-256 failed");
  }
  return PublicKeyDigest{base::to_hex(digest), what};
}

}  // namespace

base::Result<PublicKeyDigest, base::Error> spki_of_pem(std::string_view pem) {
  ERR_clear_error();
  bool asked = false;
  const Certificate certificate(
      PEM_read_bio_X509(over(pem).get(), nullptr, refuse_passphrase, &asked), X509_free);
  if (certificate) {
    EVP_PKEY* const key = X509_get0_pubkey(certificate.get());
    if (key == nullptr) return base::fail("the certificate's public key cannot be read");
    return digest_of(key, "certificate");
  }
  const Key secret(PEM_read_bio_PrivateKey(over(pem).get(), nullptr, refuse_passphrase, &asked),
                   EVP_PKEY_free);
  if (secret) return digest_of(secret.get(), "private key");
  const Key open_key(PEM_read_bio_PUBKEY(over(pem).get(), nullptr, refuse_passphrase, &asked),
                     EVP_PKEY_free);
  if (open_key) return digest_of(open_key.get(), "public key");
  ERR_clear_error();
  if (asked) return base::fail("the key is under a passphrase: give its certificate instead");
  return base::fail("neither a certificate nor a key in PEM");
}

}  // namespace dane
