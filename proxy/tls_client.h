// TlsClient: TLS towards MX hosts. Makes the SSL for one attempt (SNI, session to resume, strength)
// and, after the handshake, collects the evidence that judge() needs. OpenSSL is told not to verify
// anything by itself: a handshake only gathers, so that no callback decides (and a DANE-EE match
// costs one digest instead of a chain). One a worker: contexts are not shared between threads.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/recent.h"
#include "base/result.h"
#include "config/config.h"
#include "dane/evidence.h"
#include "policy/judge.h"
#include "proxy/channel.h"
#include "proxy/tls_library.h"

struct ssl_ctx_st;
struct ssl_session_st;
struct x509_store_st;

namespace dane {
class PeerChain;
struct VerifyTerms;
}  // namespace dane

namespace proxy {

// Of the certificate that a handshake accepts. eddsa: Ed25519 or Ed448 (RFC 8422 §5.10).
enum class KeyType { rsa, ecdsa, eddsa };

// Whether collect() verifies the chain against CAs, for this plan or for the report.
bool needs_pkix(const policy::Try& plan);

class TlsClient : public std::enable_shared_from_this<TlsClient> {
 public:
  // Fails where `tls.ca_file`, `groups`, `ciphers` or `ciphersuites` cannot be used, naming it.
  static base::Result<std::shared_ptr<TlsClient>, base::Error> make(const config::Config& config,
                                                                    const base::Clock& clock);
  // Which of `groups`, `ciphers` and `ciphersuites` OpenSSL cannot use, and why in words.
  static std::optional<std::pair<std::string, std::string>> fault_of(const config::Tls& tls);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // `key`: the terms under which a session may be resumed (proxy/pool.h: terms_of).
  SslPtr prepare(const policy::Try& plan, const std::string& key);
  // For those who look at a server's every key: this handshake accepts no other type.
  static void accept_only(ssl_st* ssl, KeyType key);
  // For those who explain a failure: this handshake offers TLS 1.0 and 1.1 alone, which no mail
  // goes under (RFC 8996).
  static void accept_only_old_versions(ssl_st* ssl);
  // After a handshake: facts alone. What costs much (chain verification) only where the plan needs
  // it, by itself or for the report.
  policy::TlsSession collect(ssl_st* ssl, const policy::Try& plan);
  // For those who explain: the chain against the CAs that would count, wanted or not; `any_time`:
  // as if no certificate had dates.
  policy::PkixEvidence pkix_evidence(ssl_st* ssl, const policy::Try& plan, bool any_time);
  // The session failed its policy: nothing of it may be resumed.
  void forget(const std::string& key);

 private:
  struct SessionFree {
    void operator()(ssl_session_st* session) const;
  };
  struct ContextFree {
    void operator()(ssl_ctx_st* context) const;
  };
  struct StoreFree {
    void operator()(x509_store_st* store) const;
  };
  using Context = std::unique_ptr<ssl_ctx_st, ContextFree>;
  using Session = std::unique_ptr<ssl_session_st, SessionFree>;

  explicit TlsClient(const base::Clock& clock);
  base::Result<Context, base::Error> make_context(const config::Tls& tls, bool strict);
  void verify_chain(policy::PkixEvidence& pkix, const dane::PeerChain& chain,
                    const policy::Try& plan, const dane::VerifyTerms& terms);
  ossl_lib_ctx_st* library() const { return library_ ? library_->context() : nullptr; }
  x509_store_st* store_for(const std::optional<std::string>& ca_file);
  void keep(const std::string& key, ssl_session_st* session);
  static int on_new_session(ssl_st* ssl, ssl_session_st* session);

  const base::Clock& clock_;
  std::shared_ptr<TlsLibrary> library_;
  Context strict_;         // for sessions that a policy asks for
  Context opportunistic_;  // any certificate, lower security level: still better than cleartext
  std::unordered_map<std::string, std::unique_ptr<x509_store_st, StoreFree>> stores_;
  std::string ca_file_;
  base::Recent<std::string, Session> sessions_;
  // Chains that led to a CA, by their digest and the CAs' file, and how long they do: the paths of
  // some hosts are asked for with every message. A chain that does not is verified each time.
  base::Recent<std::string, dane::Validity> trusted_;
};

}  // namespace proxy
