#include "proxy/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/encode.h"
#include "base/limits.h"
#include "dane/openssl.h"

namespace proxy {

namespace {

// Where an SSL keeps the client it belongs to and the key under which its sessions are kept.
struct Owner {
  std::weak_ptr<TlsClient> client;  // an idle connection may outlive a configuration
  std::string key;
};

void free_owner(void*, void* owner, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Owner*>(owner);
}

int owner_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_owner);
  return index;
}

base::Error openssl_error(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return base::Error{what + (reason ? std::string(": ") + reason : std::string())};
}

policy::ChainState chain_state(dane::ChainState state) {
  switch (state) {
    case dane::ChainState::trusted: return policy::ChainState::trusted;
    case dane::ChainState::expired: return policy::ChainState::expired;
    case dane::ChainState::not_yet_valid: return policy::ChainState::not_yet_valid;
    case dane::ChainState::untrusted: return policy::ChainState::untrusted;
  }
  return policy::ChainState::unknown;
}

std::string group_name(SSL* ssl) {
  const auto nid = SSL_get_negotiated_group(ssl);
  if (nid == 0) return {};
  const char* name = SSL_group_to_name(ssl, static_cast<int>(nid));
  return name ? base::to_lower(name) : std::string();
}

using Fault = std::pair<std::string, std::string>;

// What the operator says in OpenSSL's own words; the first that it does not take.
std::optional<Fault> use_words(SSL_CTX* context, const config::Tls& tls) {
  const auto fault = [](const char* key, const std::string& words) -> Fault {
    return {key, openssl_error("OpenSSL cannot use '" + words + "'").text};
  };
  if (!tls.groups.empty() && SSL_CTX_set1_groups_list(context, tls.groups.c_str()) != 1) {
    return fault("groups", tls.groups);
  }
  if (!tls.ciphers.empty() && SSL_CTX_set_cipher_list(context, tls.ciphers.c_str()) != 1) {
    return fault("ciphers", tls.ciphers);
  }
  if (!tls.ciphersuites.empty() &&
      SSL_CTX_set_ciphersuites(context, tls.ciphersuites.c_str()) != 1) {
    return fault("ciphersuites", tls.ciphersuites);
  }
  return std::nullopt;
}

bool is_opportunistic(const policy::Try& plan) {
  return std::holds_alternative<policy::Opportunistic>(plan.requirement);
}

}  // namespace

// For the report also where DANE alone authenticates; and where nothing is published, so that the
// log says what the peer proved and the host is known by it later (policy/downgrade.h).
bool needs_pkix(const policy::Try& plan) {
  return plan.sts || policy::pkix_of(plan.requirement) || !plan.tlsa;
}

void TlsClient::SessionFree::operator()(ssl_session_st* session) const {
  SSL_SESSION_free(session);
}
void TlsClient::ContextFree::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }
void TlsClient::StoreFree::operator()(x509_store_st* store) const { X509_STORE_free(store); }

TlsClient::TlsClient(const base::Clock& clock)
    : clock_(clock),
      library_(TlsLibrary::take()),
      sessions_(base::limits::tls_sessions),
      trusted_(base::limits::verified_chains) {}
TlsClient::~TlsClient() = default;

std::optional<Fault> TlsClient::fault_of(const config::Tls& tls) {
  const Context context(SSL_CTX_new(TLS_client_method()));
  return context ? use_words(context.get(), tls) : std::nullopt;
}

base::Result<std::shared_ptr<TlsClient>, base::Error> TlsClient::make(
    const config::Config& config, const base::Clock& clock) {
  std::shared_ptr<TlsClient> client(new TlsClient(clock));
  client->ca_file_ = config.tls.ca_file.string();
  auto strict = client->make_context(config.tls, true);
  if (!strict) return base::fail(strict.error());
  client->strict_ = std::move(*strict);
  auto loose = client->make_context(config.tls, false);
  if (!loose) return base::fail(loose.error());
  client->opportunistic_ = std::move(*loose);
  if (!client->store_for(std::nullopt)) {
    return base::fail(openssl_error("tls.ca_file '" + client->ca_file_ + "' cannot be used"));
  }
  return client;
}

base::Result<TlsClient::Context, base::Error> TlsClient::make_context(const config::Tls& tls,
                                                                      bool strict) {
  Context context(SSL_CTX_new_ex(library(), nullptr, TLS_client_method()));
  if (!context) return base::fail(openssl_error("no TLS context"));
  SSL_CTX* ctx = context.get();
  // RFC 8996: nothing below 1.2, not even opportunistically; and nothing above it demanded there,
  // since that would mean cleartext.
  const bool only_13 = strict && tls.min_version == config::TlsVersion::Tls13;
  SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  dane::leave_verification_to_evidence(ctx);
  SSL_CTX_set_session_cache_mode(ctx,
                                 SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_sess_set_new_cb(ctx, &TlsClient::on_new_session);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
  if (!strict) {
    // An old certificate or a short key must not mean cleartext.
    SSL_CTX_set_security_level(ctx, 0);
    return context;
  }
  if (auto fault = use_words(ctx, tls)) {
    return base::fail(base::Error{"tls." + fault->first + ": " + fault->second});
  }
  return context;
}

x509_store_st* TlsClient::store_for(const std::optional<std::string>& ca_file) {
  const std::string& file = ca_file ? *ca_file : ca_file_;
  const auto found = stores_.find(file);
  if (found != stores_.end()) return found->second.get();
  std::unique_ptr<x509_store_st, StoreFree> store(X509_STORE_new());
  const int loaded =
      file.empty() ? X509_STORE_set_default_paths_ex(store.get(), library(), nullptr)
                   : X509_STORE_load_file_ex(store.get(), file.c_str(), library(), nullptr);
  if (loaded != 1) return nullptr;
  return stores_.emplace(file, std::move(store)).first->second.get();
}

SslPtr TlsClient::prepare(const policy::Try& plan, const std::string& key) {
  SSL_CTX* context = is_opportunistic(plan) ? opportunistic_.get() : strict_.get();
  SslPtr ssl(SSL_new(context));
  if (!ssl) return ssl;
  SSL_set_connect_state(ssl.get());
  if (plan.sni) SSL_set_tlsext_host_name(ssl.get(), plan.sni->str().c_str());
  SSL_set_ex_data(ssl.get(), owner_index(), new Owner{weak_from_this(), key});
  if (const Session* const kept = sessions_.find(key)) SSL_set_session(ssl.get(), kept->get());
  return ssl;
}

// RFC 8446 §4.2.3: by the signature algorithms that are offered.
void TlsClient::accept_only(ssl_st* ssl, KeyType key) {
  const char* algorithms = "ed25519:ed448";
  if (key == KeyType::rsa) {
    algorithms = "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                 "RSA+SHA256:RSA+SHA384:RSA+SHA512";
  } else if (key == KeyType::ecdsa) {
    algorithms = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512";
  }
  SSL_set1_sigalgs_list(ssl, algorithms);
  // Below 1.3 the suite names the type, too; EdDSA goes by those of ECDSA (RFC 8422 §2.2).
  SSL_set_cipher_list(ssl, key == KeyType::rsa ? "aRSA" : "aECDSA");
}

void TlsClient::accept_only_old_versions(ssl_st* ssl) {
  SSL_set_min_proto_version(ssl, TLS1_VERSION);
  SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
  SSL_set_security_level(ssl, 0);  // their digests are SHA-1 and MD5
  SSL_set_cipher_list(ssl, "ALL");
}

int TlsClient::on_new_session(ssl_st* ssl, ssl_session_st* session) {
  const auto* owner = static_cast<Owner*>(SSL_get_ex_data(ssl, owner_index()));
  const auto client = owner ? owner->client.lock() : nullptr;
  if (!client) return 0;
  client->keep(owner->key, session);
  return 1;  // The reference is ours now.
}

policy::TlsSession TlsClient::collect(ssl_st* ssl, const policy::Try& plan) {
  policy::TlsSession session;
  session.version = SSL_get_version(ssl);
  session.cipher = SSL_get_cipher_name(ssl);
  session.group = group_name(ssl);
  if (const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) session.sni = sni;
  session.resumed = SSL_session_reused(ssl) == 1;
  const dane::PeerChain chain = dane::PeerChain::of(ssl);
  dane::Identity identity = dane::identity_of(chain);
  session.cert_sha256 = std::move(identity.cert_sha256);
  session.spki_sha256 = std::move(identity.spki_sha256);
  session.pkix.dns_ids = std::move(identity.dns_ids);
  session.pkix.has_dns_id = identity.has_dns_id;
  session.pkix.common_name = std::move(identity.common_name);
  const dane::VerifyTerms terms{clock_.wall()};
  if (needs_pkix(plan)) verify_chain(session.pkix, chain, plan, terms);
  if (plan.tlsa && plan.tlsa->usable) {
    dane::DaneEvidence found =
        dane::evaluate_dane(chain, plan.tlsa->records, plan.tlsa->reference_ids, terms);
    policy::DaneEvidence evidence;
    evidence.matched = std::move(found.matched);
    evidence.error = std::move(found.error);
    evidence.name_mismatch = found.name_mismatch;
    evidence.expired = found.expired;
    evidence.untrusted = found.untrusted;
    session.dane = std::move(evidence);
  }
  return session;
}

void TlsClient::verify_chain(policy::PkixEvidence& pkix, const dane::PeerChain& chain,
                             const policy::Try& plan, const dane::VerifyTerms& terms) {
  const policy::Pkix* demanded = policy::pkix_of(plan.requirement);
  x509_store_st* store = store_for(demanded ? demanded->ca_file : std::nullopt);
  if (!store) {
    pkix.chain = policy::ChainState::untrusted;
    pkix.chain_error = "the rule's ca_file cannot be read any more";
    return;
  }
  std::string key = terms.any_time ? std::string() : dane::digest_of(chain);
  if (!key.empty()) {
    key += demanded && demanded->ca_file ? *demanded->ca_file : ca_file_;
    const dane::Validity* const known = trusted_.find(key);
    if (known && known->from <= terms.now && terms.now < known->until) {
      pkix.chain = policy::ChainState::trusted;
      return;
    }
  }
  dane::PkixEvidence evidence = dane::evaluate_pkix(chain, store, terms);
  if (!key.empty() && evidence.validity) trusted_.put(key, *evidence.validity);
  pkix.chain = chain_state(evidence.chain);
  pkix.chain_error = std::move(evidence.error);
}

policy::PkixEvidence TlsClient::pkix_evidence(ssl_st* ssl, const policy::Try& plan,
                                              bool any_time) {
  const dane::PeerChain chain = dane::PeerChain::of(ssl);
  dane::Identity identity = dane::identity_of(chain);
  policy::PkixEvidence pkix;
  pkix.dns_ids = std::move(identity.dns_ids);
  pkix.has_dns_id = identity.has_dns_id;
  pkix.common_name = std::move(identity.common_name);
  dane::VerifyTerms terms{clock_.wall()};
  terms.any_time = any_time;
  verify_chain(pkix, chain, plan, terms);
  return pkix;
}

void TlsClient::keep(const std::string& key, ssl_session_st* session) {
  sessions_.put(key, Session(session));
}

void TlsClient::forget(const std::string& key) { sessions_.erase(key); }

}  // namespace proxy
