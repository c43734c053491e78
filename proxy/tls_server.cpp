#include "proxy/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace proxy {

namespace {

base::Error openssl_error(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return {what + ": " + (reason ? reason : "not readable")};
}

// The handshake goes on whatever the certificate is; the verdict stays in SSL_get_verify_result.
int keep_verdict(int, X509_STORE_CTX*) { return 1; }

base::Result<void, base::Error> set_client_ca(SSL_CTX* context, const std::string& file) {
  if (SSL_CTX_load_verify_file(context, file.c_str()) != 1) {
    return base::fail(openssl_error("client_ca " + file));
  }
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file.c_str());
  if (names == nullptr) return base::fail(openssl_error("client_ca " + file));
  SSL_CTX_set_client_CA_list(context, names);  // Owns them now.
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, keep_verdict);
  return {};
}

}  // namespace

base::Result<std::shared_ptr<TlsServer>, base::Error> TlsServer::make(
    const config::Listen& listen, config::TlsVersion minimum) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  if (context == nullptr) return base::fail(openssl_error("TLS"));
  std::shared_ptr<TlsServer> server(new TlsServer(context));
  const int version = minimum == config::TlsVersion::Tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char session_context[] = "sternpost";
  SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1);

  const std::string certificate = listen.tls_certificate.string();
  const std::string key = listen.tls_key.empty() ? certificate : listen.tls_key.string();
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
    return base::fail(openssl_error("tls_certificate " + certificate));
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return base::fail(openssl_error("tls_key " + key));
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return base::fail(openssl_error("tls_key " + key + " does not belong to " + certificate));
  }
  if (!listen.client_ca.empty()) {
    auto set = set_client_ca(context, listen.client_ca.string());
    if (!set) return base::fail(set.error());
  }
  return server;
}

TlsServer::~TlsServer() { SSL_CTX_free(context_); }

SslPtr TlsServer::accept() const {
  SslPtr ssl(SSL_new(context_));
  if (ssl) SSL_set_accept_state(ssl.get());
  return ssl;
}

std::optional<std::string> TlsServer::certificate_problem(const ssl_st* ssl) {
  if (ssl == nullptr) return "the session is in cleartext";
  if (SSL_get0_peer_certificate(ssl) == nullptr) return "no certificate was shown";
  const long result = SSL_get_verify_result(ssl);
  if (result != X509_V_OK) return X509_verify_cert_error_string(result);
  return std::nullopt;
}

}  // namespace proxy
