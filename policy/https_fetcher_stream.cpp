#include "policy/https_fetcher_stream.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/ssl/error.hpp>

#include "base/encode.h"

namespace policy {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

asio::ip::tcp::endpoint https_endpoint(const base::Ip& ip, std::uint16_t port) {
  const auto octets = ip.octets();
  if (ip.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy(octets.begin(), octets.end(), bytes.begin());
    return {asio::ip::address_v4(bytes), port};
  }
  asio::ip::address_v6::bytes_type bytes;
  std::copy(octets.begin(), octets.end(), bytes.begin());
  return {asio::ip::address_v6(bytes), port};
}

bool set_https_names(SSL* ssl, const std::string& host) {
  static constexpr unsigned char alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  return (host.empty() || SSL_set_tlsext_host_name(ssl, host.c_str()) == 1) &&
         SSL_set_alpn_protos(ssl, alpn, sizeof alpn) == 0;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t most = 120;
  return base::printable(text.substr(0, most)) + (text.size() > most ? "…" : "");
}

std::string https_words(const error_code& error, std::size_t max_body) {
  if (error == beast::error::timeout) return "timed out";
  if (error == asio::ssl::error::stream_truncated) return "the connection broke off";
  if (error == asio::error::eof || error == http::error::end_of_stream) {
    return "the connection was closed before an answer";
  }
  if (error == http::error::partial_message) return "the connection was closed in the answer";
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return "an HTTP header of more than " + std::to_string(base::limits::http_header) + " octets";
  }
  if (error == http::error::body_limit) {
    return "the body is longer than " + std::to_string(max_body) + " octets";
  }
  return error.message();
}

std::optional<std::string> redirect_words(const HttpsParser& parser) {
  const unsigned status = parser.get().result_int();
  if (status < 300 || status > 399) return std::nullopt;
  const auto location = view(parser.get()[http::field::location]);
  return "HTTP " + std::to_string(status) + ", redirect to " +
         (location.empty() ? "nowhere" : quoted(location)) + " not followed";
}

asio::awaitable<std::optional<std::string>> read_answer_header(
    HttpsStream& stream, beast::flat_buffer& buffer, std::optional<HttpsParser>& parser,
    std::optional<std::size_t> max_body) {
  constexpr int most_interim = 8;
  for (int interim = 0;; ++interim) {
    parser.emplace();
    parser->header_limit(base::limits::http_header);
    if (max_body) {
      parser->body_limit(*max_body);
    } else {
      parser->body_limit(boost::none);
    }
    error_code error;
    co_await http::async_read_header(stream, buffer, *parser,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return https_words(error, max_body.value_or(0));
    // 101 is final here: nothing is upgraded.
    const unsigned status = parser->get().result_int();
    if (status >= 200 || status == 101) co_return std::nullopt;
    if (interim == most_interim) co_return "too many interim HTTP answers";
  }
}

}  // namespace policy
