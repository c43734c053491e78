// TlsServer: the certificate that a listener shows to the MTA, and what it asks of the MTA's own
// (RFC 3207, server side). One for each listener and thread: threads that share one SSL_CTX wait
// for each other. Decides nothing about mail: the session asks certificate_problem() at RCPT.
// Made by proxy/server at start and at each good SIGHUP, so that a renewed certificate is taken up.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "config/config.h"
#include "proxy/channel.h"

struct ssl_ctx_st;

namespace proxy {

class TlsServer {
 public:
  // Reads `tls_certificate`, `tls_key` (the same file where that is empty) and `client_ca` of the
  // listener. The error names the file.
  static base::Result<std::shared_ptr<TlsServer>, base::Error> make(const config::Listen& listen,
                                                                    config::TlsVersion minimum);
  ~TlsServer();
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;

  // For Channel::handshake; null when memory is short.
  SslPtr accept() const;

  // Why the client's certificate does not satisfy `client_ca`: "no certificate was shown", "the
  // certificate has expired"; nullopt: it does. Asked after the handshake. A bad certificate does
  // not end the handshake: the MTA would go on in cleartext, and nobody would read the reason.
  static std::optional<std::string> certificate_problem(const ssl_st* ssl);

 private:
  explicit TlsServer(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace proxy
