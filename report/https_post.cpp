#include "report/https_post.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <boost/beast/http/write.hpp>
#include <optional>

#include "base/domain.h"
#include "base/limits.h"
#include "policy/https_fetcher_stream.h"

namespace report {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Deadline = std::chrono::steady_clock::time_point;
using Request = http::request<http::string_body>;

constexpr std::size_t most_addresses = 8;
constexpr std::size_t most_ignored = 65536;       // octets of an answer's body
constexpr std::chrono::seconds body_patience{1};  // for them

Sent refused(std::string answer) {
  Sent sent;
  sent.answer = std::move(answer);
  return sent;
}

// One address's part: `answered` means that the endpoint said something, so no other is asked.
struct Tried {
  bool answered = false;
  Sent sent;
};
Tried unanswered(std::string words) {
  Tried tried;
  tried.sent = refused(std::move(words));
  return tried;
}

// A request line ends at the first control character or space; the record is the peer's.
bool is_target(std::string_view text) {
  return text.starts_with('/') &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

std::string host_field(const tlsrpt::Endpoint& endpoint, const std::optional<base::Ip>& literal) {
  std::string field = endpoint.host;
  if (literal && literal->is_v6()) field = "[" + field + "]";  // RFC 3986 §3.2.2
  if (endpoint.port != 443) field += ":" + std::to_string(endpoint.port);
  return field;
}

// RFC 8460 §5.4. No Content-Encoding: the gzip is what the media type says, not how it travels.
Request request_for(const tlsrpt::Endpoint& endpoint, const std::string& host, std::string body) {
  Request request(http::verb::post, endpoint.target, 11);
  request.set(http::field::host, host);
  request.set(http::field::user_agent, "Sternpost/" STERNPOST_VERSION);
  request.set(http::field::content_type, "application/tlsrpt+gzip");
  request.set(http::field::connection, "close");
  request.body() = std::move(body);
  request.content_length(request.body().size());
  return request;
}

Sent judged(const policy::HttpsParser& parser) {
  const auto& response = parser.get();
  Sent sent;
  sent.accepted = response.result_int() >= 200 && response.result_int() < 300;
  if (auto redirect = policy::redirect_words(parser)) {
    sent.answer = std::move(*redirect);
    return sent;
  }
  sent.answer = "HTTP " + std::to_string(response.result_int());
  const auto reason = policy::view(response.reason());
  const auto none = policy::view(http::obsolete_reason(http::status::unknown));
  if (!reason.empty() && reason != none) sent.answer += " " + policy::quoted(reason);
  return sent;
}

// The rest of the answer is taken off the connection, so that it closes in peace, but changes
// nothing any more. Not by the parser, which would make room for whatever length is announced.
asio::awaitable<void> ignore_body(policy::HttpsStream& stream, std::size_t taken,
                                  const policy::HttpsParser& parser, Deadline deadline) {
  if (parser.is_done()) co_return;
  std::uint64_t expected = most_ignored;
  if (parser.content_length()) expected = std::min(expected, *parser.content_length());
  stream.next_layer().expires_at(
      std::min(deadline, std::chrono::steady_clock::now() + body_patience));
  std::array<char, 4096> octets{};
  error_code error;
  while (!error && taken < expected) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    taken += co_await stream.async_read_some(asio::buffer(octets), std::move(token));
  }
}

asio::awaitable<Tried> exchange(policy::HttpsStream& stream, const Request& request,
                                Deadline deadline) {
  error_code write_error;
  auto token = asio::redirect_error(asio::use_awaitable, write_error);
  co_await http::async_write(stream, request, std::move(token));
  if (write_error == beast::error::timeout) {
    co_return unanswered(policy::https_words(write_error));
  }
  // A server may answer and close before it has read it all: what it said is still there.
  beast::flat_buffer buffer(base::limits::http_header + 4096);
  std::optional<policy::HttpsParser> parser;
  auto header = policy::read_answer_header(stream, buffer, parser, std::nullopt);
  auto unread = co_await std::move(header);
  if (unread) {
    co_return unanswered(write_error ? policy::https_words(write_error) : std::move(*unread));
  }
  Tried tried;
  tried.answered = true;
  tried.sent = judged(*parser);
  if (write_error && tried.sent.accepted) {
    tried.sent.accepted = false;
    tried.sent.answer += ", before it had the whole report";
  }
  auto rest = ignore_body(stream, buffer.size(), *parser, deadline);
  co_await std::move(rest);
  co_return tried;
}

asio::awaitable<Tried> ask(std::shared_ptr<asio::ssl::context> tls, asio::ip::tcp::endpoint where,
                           std::string server_name, const Request& request, Deadline deadline) {
  const auto executor = co_await asio::this_coro::executor;
  policy::HttpsStream stream(beast::tcp_stream(executor), *tls);
  beast::tcp_stream& tcp = stream.next_layer();
  tcp.expires_at(deadline);
  if (!policy::set_https_names(stream.native_handle(), server_name)) {
    co_return unanswered("TLS could not be set up");
  }
  error_code error;
  auto connected = asio::redirect_error(asio::use_awaitable, error);
  co_await tcp.async_connect(where, std::move(connected));
  if (error) co_return unanswered("connect: " + policy::https_words(error));
  auto shaken = asio::redirect_error(asio::use_awaitable, error);
  co_await stream.async_handshake(asio::ssl::stream_base::client, std::move(shaken));
  if (error) co_return unanswered("TLS handshake: " + policy::https_words(error));
  auto exchanged = exchange(stream, request, deadline);
  Tried tried = co_await std::move(exchanged);
  co_return tried;
}

void add(std::string& words, const base::Ip& address, const std::string& one) {
  if (!words.empty()) words += "; ";
  words += address.str() + ": " + one;
}

}  // namespace

HttpsPost::HttpsPost(HttpsPostSettings settings, dns::Resolver& resolver)
    : settings_(std::move(settings)),
      resolver_(resolver),
      tls_(std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client)) {
  SSL_CTX* native = tls_->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(native, SSL_VERIFY_NONE, nullptr);  // RFC 8460 §3
}

asio::awaitable<Sent> HttpsPost::post(tlsrpt::Endpoint endpoint, std::string body) {
  const HttpsPostSettings settings = settings_;
  const auto tls = tls_;
  const auto deadline = std::chrono::steady_clock::now() + settings.timeout;
  if (!is_target(endpoint.target)) co_return refused("its URI has no usable path");
  std::optional<base::Ip> literal;
  std::vector<base::Ip> addresses;
  if (auto parsed = base::Ip::parse(endpoint.host)) {
    literal = *parsed;
    addresses.push_back(*parsed);
  } else {
    const auto name = base::Domain::parse(endpoint.host);
    if (!name) co_return refused(policy::quoted(endpoint.host) + " is no host name");
    endpoint.host = name->str();
    auto find = policy::https_addresses(resolver_, endpoint.host, settings.order, deadline);
    auto found = co_await std::move(find);
    if (!found) co_return refused(std::move(found.error().text));
    addresses = std::move(*found);
  }
  if (addresses.size() > most_addresses) addresses.resize(most_addresses, addresses.front());
  const Request request =
      request_for(endpoint, host_field(endpoint, literal), std::move(body));
  const std::string server_name = literal ? "" : endpoint.host;
  std::string words;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const base::Ip& address = addresses[i];
    // Anyone can publish a record whose https host has an address inside this network.
    if (base::is_private_destination(address) &&
        !base::any_contains(settings.private_destinations, address)) {
      add(words, address, "a private address, not in outbound.private_destinations");
      continue;
    }
    // Each address has its share of what is left, so that a silent one leaves time for the next.
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      add(words, address, "no time left");
      break;
    }
    const auto until = now + (deadline - now) / static_cast<int>(addresses.size() - i);
    auto asked = ask(tls, policy::https_endpoint(address, endpoint.port), server_name, request,
                     until);
    Tried tried = co_await std::move(asked);
    if (tried.answered) co_return std::move(tried.sent);
    add(words, address, tried.sent.answer);
  }
  Sent sent = refused(endpoint.host + ", " + words);
  sent.silent = true;
  co_return sent;
}

}  // namespace report
