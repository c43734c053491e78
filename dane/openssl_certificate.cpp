// The leaf certificate in words; see openssl.h.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <ctime>

#include "base/encode.h"
#include "dane/openssl.h"

namespace dane {
namespace {

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};

std::string cut(std::string text) {
  text = base::printable(text);
  if (text.size() > certificate_text) text.replace(certificate_text - 3, std::string::npos, "...");
  return text;
}

// RFC 2253 §2.4 escapes all that is not printable ASCII.
std::string name_of(const X509_NAME* name) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size > 0 ? cut(std::string(text, static_cast<std::size_t>(size))) : std::string();
}

std::string key_of(const X509* certificate) {
  const EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (!key) return "unreadable";
  const char* name = EVP_PKEY_get0_type_name(key);
  return cut((name ? std::string(name) : "?") + " " + std::to_string(EVP_PKEY_get_bits(key)));
}

}  // namespace

std::optional<base::WallTime> time_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const auto day = std::chrono::year(parts.tm_year + 1900) /
                   static_cast<unsigned>(parts.tm_mon + 1) / static_cast<unsigned>(parts.tm_mday);
  if (!day.ok()) return std::nullopt;
  return std::chrono::sys_days(day) + std::chrono::hours(parts.tm_hour) +
         std::chrono::minutes(parts.tm_min) + std::chrono::seconds(parts.tm_sec);
}

std::optional<Certificate> certificate_of(const PeerChain& chain) {
  if (chain.empty()) return std::nullopt;
  const X509* leaf = chain.leaf();
  Certificate certificate;
  certificate.subject = name_of(X509_get_subject_name(leaf));
  certificate.issuer = name_of(X509_get_issuer_name(leaf));
  certificate.not_before = time_of(X509_get0_notBefore(leaf));
  certificate.not_after = time_of(X509_get0_notAfter(leaf));
  certificate.key = key_of(leaf);
  certificate.chain = chain.size();
  ERR_clear_error();
  return certificate;
}

}  // namespace dane
