// Certificates made by the test itself: keys, CAs, leaves, with the dates and names that a case
// wants. All on P-256. The clock of these tests stands at `now`.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "dane/openssl.h"

namespace certs {

using namespace std::chrono_literals;

inline const base::WallTime now = std::chrono::sys_days{std::chrono::year{2026} / 6 / 1};
inline const dane::VerifyTerms terms{now, 2};

using Key = std::shared_ptr<EVP_PKEY>;
using Cert = std::shared_ptr<X509>;

inline Key new_key() { return Key(EVP_EC_gen("P-256"), EVP_PKEY_free); }

struct Spec {
  std::string cn{};
  std::vector<std::string> dns{};
  bool ca = false;
  std::chrono::days from{-100};
  std::chrono::days to{100};
  std::string constraints{};  // "permitted;DNS:example.com"
  std::string usage{};        // extendedKeyUsage
  const EVP_MD* digest = EVP_sha256();
};

// A certificate and its key, which may issue others.
struct Issued {
  Cert cert;
  Key key;
};

inline void add_extension(X509* cert, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  if (!extension) throw std::runtime_error("extension " + value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// `issuer`: null for a self-signed one. `key`: null for a new one.
inline Issued make(const Spec& spec, const Issued* issuer = nullptr, Key key = nullptr) {
  static long serial = 1;
  if (!key) key = new_key();
  Cert cert(X509_new(), X509_free);
  X509* const x = cert.get();
  X509* const parent = issuer ? issuer->cert.get() : x;
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
  const auto at = std::chrono::system_clock::to_time_t(now);
  const auto seconds = [](std::chrono::days d) { return static_cast<long>((d / 1s)); };
  ASN1_TIME_set(X509_getm_notBefore(x), at + seconds(spec.from));
  ASN1_TIME_set(X509_getm_notAfter(x), at + seconds(spec.to));
  X509_set_pubkey(x, key.get());
  if (!spec.cn.empty()) {
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.cn.data()),
                               static_cast<int>(spec.cn.size()), -1, 0);
  }
  X509_set_issuer_name(x, X509_get_subject_name(parent));
  add_extension(x, parent, NID_basic_constraints, spec.ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (spec.ca) add_extension(x, parent, NID_key_usage, "critical,keyCertSign,cRLSign");
  std::string names;
  for (const std::string& name : spec.dns) names += (names.empty() ? "DNS:" : ",DNS:") + name;
  if (!names.empty()) add_extension(x, parent, NID_subject_alt_name, names);
  if (!spec.constraints.empty()) add_extension(x, parent, NID_name_constraints, spec.constraints);
  if (!spec.usage.empty()) add_extension(x, parent, NID_ext_key_usage, spec.usage);
  if (!X509_sign(x, issuer ? issuer->key.get() : key.get(), spec.digest)) {
    throw std::runtime_error("X509_sign");
  }
  return {cert, key};
}

inline std::string pem(const Cert& cert) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, cert.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

// As a server would send them, leaf first.
inline dane::PeerChain chain(std::initializer_list<Issued> sent) {
  std::string text;
  for (const Issued& one : sent) text += pem(one.cert);
  return std::move(*dane::PeerChain::from_pem(text));
}

inline std::vector<std::uint8_t> der(const Issued& one, unsigned selector) {
  unsigned char* data = nullptr;
  const int size = selector == 0 ? i2d_X509(one.cert.get(), &data)
                                 : i2d_PUBKEY(one.key.get(), &data);
  std::vector<std::uint8_t> bytes(data, data + size);
  OPENSSL_free(data);
  return bytes;
}

// The TLSA record of that usage, selector and matching type which names this certificate.
inline dane::Tlsa tlsa(unsigned usage, unsigned selector, unsigned mtype, const Issued& one) {
  dane::Tlsa record;
  record.usage = static_cast<std::uint8_t>(usage);
  record.selector = static_cast<std::uint8_t>(selector);
  record.matching_type = static_cast<std::uint8_t>(mtype);
  record.data = der(one, selector);
  if (mtype == 0) return record;
  std::vector<std::uint8_t> digest(mtype == 1 ? 32 : 64);
  EVP_Digest(record.data.data(), record.data.size(), digest.data(), nullptr,
             mtype == 1 ? EVP_sha256() : EVP_sha512(), nullptr);
  record.data = digest;
  return record;
}

inline std::vector<base::Domain> names(std::initializer_list<const char*> texts) {
  std::vector<base::Domain> all;
  for (const char* text : texts) all.push_back(*base::Domain::parse(text));
  return all;
}

}  // namespace certs
