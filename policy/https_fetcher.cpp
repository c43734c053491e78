#include "policy/https_fetcher.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "base/encode.h"
#include "base/limits.h"
#include "policy/https_fetcher_stream.h"

namespace policy {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

StsBody failed(tlsrpt::ResultType type, std::string reason) {
  return base::fail(StsFailure{type, std::move(reason)});
}
StsBody fetch_error(std::string reason) {
  return failed(tlsrpt::ResultType::sts_policy_fetch_error, std::move(reason));
}

std::string day_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return "an unreadable date";
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return {text, size};
}

// Which certificate of the chain is out of its time, and since or until when.
std::string out_of_time(SSL* ssl, base::WallTime now, bool expired) {
  std::time_t moment = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(ssl);  // on the client's side with the leaf
  for (int i = 0; i < sk_X509_num(chain); ++i) {
    X509* cert = sk_X509_value(chain, i);
    const ASN1_TIME* time = expired ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert);
    const int order = X509_cmp_time(time, &moment);
    if (expired ? order > 0 : order < 0) continue;
    return std::string(i == 0 ? "certificate " : "intermediate certificate ") +
           (expired ? "expired on " : "is not valid before ") + day_of(time);
  }
  return expired ? "a certificate of the chain expired" : "a certificate is not valid yet";
}

std::string dns_ids(X509* leaf) {
  std::string all;
  auto* names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && all.size() < 200; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    if (!all.empty()) all += ", ";
    all += quoted({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                   static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))});
  }
  GENERAL_NAMES_free(names);
  return all;
}

// RFC 8461 §3.3: a chain to a trusted root, in date, and a DNS-ID of the policy host; the common
// name is never asked. nullopt: all of that holds.
std::optional<std::string> webpki_failure(SSL* ssl, const HttpsGet& get) {
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf == nullptr) return "the server has no certificate";
  const long result = SSL_get_verify_result(ssl);
  switch (result) {
    case X509_V_OK:
      return std::nullopt;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return out_of_time(ssl, get.now, true);
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return out_of_time(ssl, get.now, false);
    case X509_V_ERR_HOSTNAME_MISMATCH: {
      const std::string names = dns_ids(leaf);
      if (names.empty()) return "certificate has no DNS name (a common name does not count)";
      return "certificate is for " + names + ", not for " + get.host;
    }
    default:
      return std::string("certificate not trusted: ") + X509_verify_cert_error_string(result);
  }
}

// SNI, reference identifier and time, before the handshake. OpenSSL verifies and keeps the result;
// SSL_VERIFY_NONE leaves the decision to webpki_failure, which knows the words.
bool prepare(SSL* ssl, const HttpsGet& get) {
  SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  X509_VERIFY_PARAM_set_time(
      param, std::chrono::floor<std::chrono::seconds>(get.now).time_since_epoch().count());
  return X509_VERIFY_PARAM_set1_host(param, get.host.data(), get.host.size()) == 1 &&
         X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER) == 1 &&
         set_https_names(ssl, get.host);
}

http::request<http::empty_body> request_for(const HttpsGet& get) {
  http::request<http::empty_body> request(http::verb::get, "/.well-known/mta-sts.txt", 11);
  request.set(http::field::host,
              get.port == 443 ? get.host : get.host + ":" + std::to_string(get.port));
  request.set(http::field::user_agent, "Sternpost/" STERNPOST_VERSION);
  request.set(http::field::accept, "text/plain");
  request.set(http::field::accept_encoding, "identity");
  request.set(http::field::connection, "close");
  return request;
}

// What speaks against an answer by its header alone. RFC 8461 §3.3: 200 and nothing else, no
// redirect; §3.2: text/plain, whatever its parameters.
std::optional<std::string> header_failure(const HttpsParser& parser) {
  const auto& response = parser.get();
  const unsigned status = response.result_int();
  if (auto redirect = redirect_words(parser)) return redirect;
  if (status != 200) return "HTTP " + std::to_string(status);
  const auto type_field = view(response[http::field::content_type]);
  const auto type = base::trim(type_field.substr(0, type_field.find(';')));
  if (type.empty()) return "no media type, which must be text/plain";
  if (!base::iequals(type, "text/plain")) {
    return "media type " + quoted(type) + ", which must be text/plain";
  }
  const auto encoding = base::trim(view(response[http::field::content_encoding]));
  if (!encoding.empty() && !base::iequals(encoding, "identity")) {
    return "content encoding " + quoted(encoding) + ", which was not asked for";
  }
  const auto transfer = base::trim(view(response[http::field::transfer_encoding]));
  if (!transfer.empty() && !base::iequals(transfer, "chunked")) {
    return "transfer encoding " + quoted(transfer) + ", which was not asked for";
  }
  return std::nullopt;
}

asio::awaitable<StsBody> exchange(HttpsStream& stream, const HttpsGet& get) {
  error_code error;
  auto request = request_for(get);
  co_await http::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fetch_error(https_words(error));
  beast::flat_buffer buffer(base::limits::http_header + 4096);
  std::optional<HttpsParser> parser;
  auto header = read_answer_header(stream, buffer, parser, get.max_body);
  auto unread = co_await std::move(header);
  if (unread) co_return fetch_error(std::move(*unread));
  if (const auto failure = header_failure(*parser)) co_return fetch_error(*failure);
  co_await http::async_read(stream, buffer, *parser,
                            asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fetch_error(https_words(error, get.max_body));
  std::string body = std::move(parser->get().body());
  co_return StsBody(std::move(body));
}

}  // namespace

asio::awaitable<StsBody> https_get(asio::ssl::context& tls, HttpsGet get) {
  const auto executor = co_await asio::this_coro::executor;
  HttpsStream stream(beast::tcp_stream(executor), tls);
  beast::tcp_stream& tcp = stream.next_layer();
  tcp.expires_at(get.deadline);
  if (!prepare(stream.native_handle(), get)) co_return fetch_error("TLS could not be set up");
  error_code error;
  const auto endpoint = https_endpoint(get.address, get.port);
  co_await tcp.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fetch_error("connect: " + https_words(error));
  co_await stream.async_handshake(asio::ssl::stream_base::client,
                                  asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fetch_error("TLS handshake: " + https_words(error));
  if (auto failure = webpki_failure(stream.native_handle(), get)) {
    co_return failed(tlsrpt::ResultType::sts_webpki_invalid, std::move(*failure));
  }
  auto exchanged = exchange(stream, get);
  StsBody body = co_await std::move(exchanged);
  co_return body;
}

base::Result<std::shared_ptr<asio::ssl::context>, base::Error> make_fetch_context(
    const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  error_code error;
  if (ca_file.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca_file, error);
  }
  if (error) {
    const std::string what = ca_file.empty() ? "the system's trust store" : ca_file;
    return base::fail(what + ": " + error.message());
  }
  return context;
}

}  // namespace policy
