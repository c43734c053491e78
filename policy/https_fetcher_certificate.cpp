#include "policy/https_fetcher_certificate.h"

#include <openssl/ssl.h>

#include <new>

#include "dane/openssl.h"

namespace policy {

namespace {

int place_in_context() {
  static const int place = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return place;
}

}  // namespace

HostCertificate::HostCertificate(boost::asio::ssl::context& tls) {
  SSL_CTX* const context = tls.native_handle();
  if (SSL_CTX_set_ex_data(context, place_in_context(), &end_) != 1) throw std::bad_alloc();
  SSL_CTX_set_info_callback(context, [](const SSL* ssl, int where, int) {
    if ((where & SSL_CB_HANDSHAKE_DONE) == 0) return;
    auto* const end = static_cast<std::optional<base::WallTime>*>(
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), place_in_context()));
    const auto certificate = dane::certificate_of(dane::PeerChain::of(ssl));
    *end = certificate ? certificate->not_after : std::nullopt;
  });
}

}  // namespace policy
