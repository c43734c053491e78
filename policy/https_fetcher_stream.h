// What the two HTTPS clients share, the policy fetcher (RFC 8461 §3.3) and the sender of reports
// (RFC 8460 §5.4): the stream, the names it gives in TLS, the way to the answer's final header,
// and the words for what went wrong. Everything is bounded by the stream's own deadline and by
// limits::http_header. Decides nothing about certificates, statuses or bodies: the callers do.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/limits.h"

namespace policy {

using HttpsStream = boost::asio::ssl::stream<boost::beast::tcp_stream>;
using HttpsParser = boost::beast::http::response_parser<boost::beast::http::string_body>;

boost::asio::ip::tcp::endpoint https_endpoint(const base::Ip& ip, std::uint16_t port);

// SNI (none where `host` is empty: RFC 6066 §3 has none for addresses) and ALPN for HTTP/1.1,
// before the handshake. False: OpenSSL has no memory.
bool set_https_names(ssl_st* ssl, const std::string& host);

// What a peer wrote, fit for a log line: cut, without control characters.
std::string quoted(std::string_view text);
// `max_body`: what was allowed, for the words about a body over it.
std::string https_words(const boost::system::error_code& error, std::size_t max_body = 0);

template <class Text>
std::string_view view(const Text& text) {
  return {text.data(), text.size()};
}
// "HTTP 302, redirect to https://b.example/ not followed"; nullopt for all but 3xx.
std::optional<std::string> redirect_words(const HttpsParser& parser);

// Reads up to the header of the answer that counts, past interim ones (RFC 9110 §15.2), of which
// there may be eight. The words of the failure, or nullopt: then the parser is ready for the body,
// which fails over `max_body` octets (nullopt: the caller counts them). `buffer`: larger than
// limits::http_header.
boost::asio::awaitable<std::optional<std::string>> read_answer_header(
    HttpsStream& stream, boost::beast::flat_buffer& buffer, std::optional<HttpsParser>& parser,
    std::optional<std::size_t> max_body);

}  // namespace policy
