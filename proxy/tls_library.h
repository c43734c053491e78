// TlsLibrary: where OpenSSL looks up algorithms in handshakes with MX hosts. For each certificate
// that a peer sends OpenSSL 3.0 walks through every decoder and every type of key of a library
// context to find the ones for its public key, and most are for files that no peer sends: this
// context has the default provider's algorithms without those, and is shared with no other thread,
// whose locks would be waited for. Nothing here changes what is offered, accepted or verified.
// Owned by TlsClient.
#pragma once

#include <memory>

struct ossl_lib_ctx_st;

namespace proxy {

class TlsLibrary {
 public:
  // One that nobody else has now. It goes back when the pointer does, and is never freed: what a
  // handshake made may outlive its client. Null where the system's configuration of OpenSSL asks
  // for other providers than the default one, for FIPS or for other random numbers, and beyond 64
  // of them: then OpenSSL's own context counts.
  static std::shared_ptr<TlsLibrary> take();
  ~TlsLibrary();
  TlsLibrary(const TlsLibrary&) = delete;
  TlsLibrary& operator=(const TlsLibrary&) = delete;

  ossl_lib_ctx_st* context() const { return context_; }

 private:
  TlsLibrary() = default;
  static std::unique_ptr<TlsLibrary> make();

  ossl_lib_ctx_st* context_ = nullptr;
};

}  // namespace proxy
