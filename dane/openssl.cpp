#include "dane/openssl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <ctime>

#include "base/encode.h"

namespace dane {
namespace {

template <auto free_function>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    free_function(pointer);
  }
};
template <class T, auto free_function>
using Owned = std::unique_ptr<T, Freed<free_function>>;

using Bytes = std::vector<std::uint8_t>;

// DER of a certificate (selector 0) or of its SubjectPublicKeyInfo (selector 1).
Bytes der_of(X509* certificate, std::uint8_t selector) {
  unsigned char* der = nullptr;
  const int size = selector == 0
                       ? i2d_X509(certificate, &der)
                       : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  Bytes bytes;
  if (size > 0) bytes.assign(der, der + size);
  OPENSSL_free(der);
  return bytes;
}

Bytes digest_of(const Bytes& data, const EVP_MD* algorithm) {
  Bytes digest(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  if (!EVP_Digest(data.data(), data.size(), digest.data(), &size, algorithm, nullptr)) size = 0;
  digest.resize(size);
  return digest;
}

// RFC 6698 §2.1: the certificate as a record of this selector and matching type would name it.
Bytes association_of(X509* certificate, const Tlsa& record) {
  Bytes der = der_of(certificate, record.selector);
  switch (record.matching_type) {
    case 0: return der;
    case 1: return digest_of(der, EVP_sha256());
    case 2: return digest_of(der, EVP_sha512());
    default: return {};
  }
}

// A DNS name in a certificate: letters of ASCII alone, no NUL in the middle; "" for anything else.
std::string readable_name(const ASN1_STRING* text) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(text));
  const std::string_view name(data, static_cast<std::size_t>(ASN1_STRING_length(text)));
  const bool clean = std::all_of(name.begin(), name.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f; });
  return clean ? base::to_lower(name) : std::string();
}

std::string common_name_of(X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) last = at;
  if (last < 0) return {};
  return readable_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
}

// RFC 7672 §3.2.3: any DNS-ID names any reference identifier; the CN where there is no DNS-ID.
bool names_any(const Identity& identity, std::span<const base::Domain> reference_ids) {
  return std::any_of(reference_ids.begin(), reference_ids.end(), [&](const base::Domain& name) {
    if (identity.has_dns_id) return !matching_dns_id(identity, name).empty();
    return !identity.common_name.empty() && base::matches_pattern(identity.common_name, name);
  });
}

std::string names_in_words(const Identity& identity) {
  std::string words;
  for (const std::string& id : identity.dns_ids) {
    if (words.size() > 200) return words + ", …";
    words += (words.empty() ? "" : ", ") + id;
  }
  if (!words.empty()) return words;
  if (identity.has_dns_id) return "no readable DNS name";
  return identity.common_name.empty() ? "no name" : "CN " + identity.common_name;
}

// One path verification; what X509_verify_cert said.
struct Path {
  int error = X509_V_OK;
  std::string words;  // with the depth of the certificate at fault
  std::optional<Validity> validity = std::nullopt;
};

// When all of them are in date.
std::optional<Validity> validity_of(const STACK_OF(X509) * path) {
  Validity all{base::WallTime::min(), base::WallTime::max()};
  for (int i = 0; i < sk_X509_num(path); ++i) {
    const X509* const one = sk_X509_value(path, i);
    const auto from = time_of(X509_get0_notBefore(one));
    const auto until = time_of(X509_get0_notAfter(one));
    if (!from || !until) return std::nullopt;
    all.from = std::max(all.from, *from);
    all.until = std::min(all.until, *until);
  }
  return all;
}

using Store = Owned<X509_STORE, X509_STORE_free>;
using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;

// `dane`: null, or the records; the store is then not looked at.
Path verify_path(const PeerChain& chain, X509_STORE* store, SSL_DANE* dane,
                 const VerifyTerms& terms) {
  const Path broken{X509_V_ERR_UNSPECIFIED, "the chain could not be verified: out of memory"};
  STACK_OF(X509)* others = sk_X509_new_null();
  const auto free_stack = [](STACK_OF(X509)* stack) { sk_X509_free(stack); };
  const std::unique_ptr<STACK_OF(X509), decltype(free_stack)> owned(others, free_stack);
  if (!others) return broken;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (!sk_X509_push(others, chain.at(i))) return broken;
  }
  const StoreContext context(X509_STORE_CTX_new());
  if (!context || !X509_STORE_CTX_init(context.get(), store, chain.leaf(), others) ||
      !X509_STORE_CTX_set_default(context.get(), "ssl_server")) {
    return broken;
  }
  if (dane) X509_STORE_CTX_set0_dane(context.get(), dane);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_auth_level(param, terms.security_level);
  if (terms.any_time) {
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);  // a set time would win
  } else {
    X509_VERIFY_PARAM_set_time(
        param, std::chrono::floor<std::chrono::seconds>(terms.now).time_since_epoch().count());
  }
  const int result = X509_verify_cert(context.get());
  ERR_clear_error();
  Path path;
  if (result > 0) {
    path.validity = validity_of(X509_STORE_CTX_get0_chain(context.get()));
    return path;
  }
  path.error = X509_STORE_CTX_get_error(context.get());
  if (path.error == X509_V_OK) path.error = X509_V_ERR_UNSPECIFIED;
  path.words = X509_verify_cert_error_string(path.error);
  path.words += " at depth " + std::to_string(X509_STORE_CTX_get_error_depth(context.get()));
  return path;
}

// Verification of DANE-TA(2) needs OpenSSL's own DANE state, which only an SSL carries. This one is
// never connected. The context is a constant: the digests that DANE knows.
SSL_CTX* dane_context() {
  static const Owned<SSL_CTX, SSL_CTX_free> context = [] {
    Owned<SSL_CTX, SSL_CTX_free> made(SSL_CTX_new(TLS_client_method()));
    if (made && SSL_CTX_dane_enable(made.get()) <= 0) made.reset();
    return made;
  }();
  return context.get();
}

using Ssl = Owned<SSL, SSL_free>;

// The DANE-TA(2) records among `records` in an unconnected SSL; null when there are none.
Ssl trust_anchors(std::span<const Tlsa> records, const base::Domain& base) {
  SSL_CTX* const context = dane_context();
  if (!context) return nullptr;
  Ssl ssl(SSL_new(context));
  if (!ssl || SSL_dane_enable(ssl.get(), base.str().c_str()) <= 0) return nullptr;
  bool any = false;
  for (const Tlsa& record : records) {
    if (record.usage != 2) continue;
    any = SSL_dane_tlsa_add(ssl.get(), record.usage, record.selector, record.matching_type,
                            record.data.data(), record.data.size()) > 0 ||
          any;
  }
  ERR_clear_error();
  return any ? std::move(ssl) : nullptr;
}

// The record that a verified path ended in.
std::optional<Tlsa> matched_anchor(SSL* ssl) {
  Tlsa record;
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_get0_dane_tlsa(ssl, &record.usage, &record.selector, &record.matching_type, &data,
                         &size) < 0) {
    return std::nullopt;
  }
  record.data.assign(data, data + size);
  return record;
}

bool is_date_error(int error) {
  return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
}

DaneEvidence evaluate_anchors(const PeerChain& chain, SSL* anchors,
                              std::span<const base::Domain> reference_ids,
                              const VerifyTerms& terms) {
  DaneEvidence evidence;
  const Store none(X509_STORE_new());
  const Path path = verify_path(chain, none.get(), SSL_get0_dane(anchors), terms);
  if (path.error != X509_V_OK) {
    evidence.expired = is_date_error(path.error);
    evidence.untrusted = !evidence.expired && path.error != X509_V_ERR_DANE_NO_MATCH;
    evidence.error = path.error == X509_V_ERR_DANE_NO_MATCH
                         ? "no certificate of the chain matches a TLSA record"
                         : "DANE-TA: " + path.words;
    return evidence;
  }
  const Identity identity = identity_of(chain);
  if (!names_any(identity, reference_ids)) {
    evidence.name_mismatch = true;
    evidence.error = "DANE-TA: the certificate names " + names_in_words(identity) + " and not";
    for (const base::Domain& name : reference_ids) evidence.error += ' ' + name.str();
    return evidence;
  }
  evidence.matched = matched_anchor(anchors);
  if (!evidence.matched) evidence.error = "OpenSSL does not say which TLSA record matched";
  return evidence;
}

}  // namespace

void PeerChain::add(X509* certificate) {
  X509_up_ref(certificate);
  certificates_.emplace_back(certificate);
}

PeerChain PeerChain::of(const SSL* ssl) {
  PeerChain chain;
  X509* const leaf = SSL_get0_peer_certificate(ssl);
  if (!leaf) return chain;
  chain.add(leaf);
  STACK_OF(X509)* const sent = SSL_get_peer_cert_chain(ssl);
  for (int i = 1; sent && i < sk_X509_num(sent); ++i) chain.add(sk_X509_value(sent, i));
  return chain;
}

base::Result<PeerChain, base::Error> PeerChain::from_pem(std::string_view pem) {
  if (pem.size() > INT_MAX) return base::fail("too long");
  const Owned<BIO, BIO_free_all> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  PeerChain chain;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    chain.certificates_.emplace_back(certificate);
  }
  ERR_clear_error();
  if (chain.empty()) return base::fail("there is no certificate in PEM");
  return chain;
}

void leave_verification_to_evidence(SSL_CTX* context) {
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  // Without this OpenSSL would build and verify a path in every handshake, wanted or not.
  SSL_CTX_set_cert_verify_callback(
      context, [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
}

Identity identity_of(const PeerChain& chain) {
  Identity identity;
  if (chain.empty()) return identity;
  X509* const leaf = chain.leaf();
  identity.cert_sha256 = base::to_hex(digest_of(der_of(leaf, 0), EVP_sha256()));
  identity.spki_sha256 = base::to_hex(digest_of(der_of(leaf, 1), EVP_sha256()));
  identity.common_name = common_name_of(leaf);
  const Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    identity.has_dns_id = true;
    std::string text = readable_name(name->d.dNSName);
    if (!text.empty()) identity.dns_ids.push_back(std::move(text));
  }
  return identity;
}

std::string digest_of(const PeerChain& chain) {
  Bytes all;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    const Bytes der = der_of(chain.at(i), 0);  // DER tells its own length
    if (der.empty()) return {};
    all.insert(all.end(), der.begin(), der.end());
  }
  const Bytes digest = digest_of(all, EVP_sha256());
  return {digest.begin(), digest.end()};
}

DaneEvidence evaluate_dane(const PeerChain& chain, std::span<const Tlsa> records,
                           std::span<const base::Domain> reference_ids, const VerifyTerms& terms) {
  DaneEvidence evidence;
  if (chain.empty()) {
    evidence.error = "the peer has no certificate";
    return evidence;
  }
  // RFC 7672 §3.1.1: DANE-EE(3) is this comparison and nothing else: no names, no dates, no chain.
  for (const Tlsa& record : records) {
    if (record.usage == 3 && !record.data.empty() &&
        association_of(chain.leaf(), record) == record.data) {
      evidence.matched = record;
      return evidence;
    }
  }
  const Ssl anchors =
      reference_ids.empty() ? nullptr : trust_anchors(records, reference_ids.front());
  if (!anchors) {
    evidence.error = "the certificate matches no TLSA record";
    return evidence;
  }
  return evaluate_anchors(chain, anchors.get(), reference_ids, terms);
}

PkixEvidence evaluate_pkix(const PeerChain& chain, X509_STORE* store, const VerifyTerms& terms) {
  PkixEvidence evidence;
  if (chain.empty()) {
    evidence.error = "the peer has no certificate";
    return evidence;
  }
  Path path = verify_path(chain, store, nullptr, terms);
  evidence.error = std::move(path.words);
  if (path.error == X509_V_OK) {
    evidence.chain = ChainState::trusted;
    evidence.validity = path.validity;
  }
  if (path.error == X509_V_ERR_CERT_HAS_EXPIRED) evidence.chain = ChainState::expired;
  if (path.error == X509_V_ERR_CERT_NOT_YET_VALID) evidence.chain = ChainState::not_yet_valid;
  return evidence;
}

std::string matching_dns_id(const Identity& identity, const base::Domain& name) {
  const auto found = std::find_if(
      identity.dns_ids.begin(), identity.dns_ids.end(),
      [&](const std::string& id) { return base::matches_pattern(id, name); });
  return found == identity.dns_ids.end() ? std::string() : *found;
}

// RFC 6698 §4.1: data that does not decode makes a record unusable. Nothing may follow it either.
std::string full_data_error(std::uint8_t selector, std::span<const std::uint8_t> data) {
  const unsigned char* at = data.data();
  const auto size = static_cast<long>(data.size());
  if (selector == 0) {
    const Owned<X509, X509_free> certificate(d2i_X509(nullptr, &at, size));
    const bool whole =
        certificate && at == data.data() + size && X509_get0_pubkey(certificate.get());
    ERR_clear_error();
    return whole ? "" : "the data is no certificate";
  }
  const Owned<EVP_PKEY, EVP_PKEY_free> key(d2i_PUBKEY(nullptr, &at, size));
  const bool whole = key && at == data.data() + size;
  ERR_clear_error();
  return whole ? "" : "the data is no public key";
}

}  // namespace dane
