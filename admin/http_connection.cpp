#include "admin/http_connection.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/limits.h"

namespace admin {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

using Stream = beast::basic_stream<asio::generic::stream_protocol>;
using Parser = http::request_parser<http::empty_body>;

constexpr std::chrono::seconds request_wait{10};
constexpr std::chrono::seconds answer_wait{30};
constexpr std::chrono::seconds facts_wait{5};
constexpr std::chrono::seconds closing_wait{1};

// While it lives the connection may be ended to make room.
class Idle {
 public:
  Idle(std::shared_ptr<Connections> connections, Stream& stream)
      : connections_(std::move(connections)),
        number_(connections_->may_end([&stream] { stream.close(); })) {}
  ~Idle() { connections_->must_stay(number_); }
  Idle(const Idle&) = delete;
  Idle& operator=(const Idle&) = delete;

 private:
  std::shared_ptr<Connections> connections_;
  std::uint64_t number_;
};

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

Answer words(unsigned status, std::string text) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(text) + "\n";
  return answer;
}

struct Waiting {
  explicit Waiting(const asio::any_io_executor& executor) : timer(executor) {}
  asio::steady_timer timer;
  FactsPtr facts;
};

asio::awaitable<FactsPtr> ask_facts(const Service& service) {
  const auto executor = co_await asio::this_coro::executor;
  const auto waiting = std::make_shared<Waiting>(executor);
  waiting->timer.expires_after(facts_wait);
  // The answer may come when this coroutine is gone: it holds nothing alive.
  std::function<void(FactsPtr)> done = [executor, weak = std::weak_ptr(waiting)](FactsPtr facts) {
    asio::post(executor, [weak, facts = std::move(facts)] {
      if (const auto kept = weak.lock()) {
        kept->facts = facts;
        kept->timer.cancel();
      }
    });
  };
  service.facts(std::move(done));
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await waiting->timer.async_wait(std::move(token));
  co_return waiting->facts;
}

// What is wrong with what was read; nullopt: the client is gone, or too slow, and gets nothing.
std::optional<Answer> refusal(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return words(431, "the request's header is too long");
  }
  if (error == http::error::body_limit) return words(413, "a request has no body here");
  if (error.category() == make_error_code(http::error::bad_method).category() &&
      error != http::error::end_of_stream && error != http::error::partial_message) {
    return words(400, "this is no HTTP request");
  }
  return std::nullopt;
}

// Answered without asking anybody; nullopt: the request is a good one.
std::optional<Answer> objection(const Parser& parser) {
  const auto& request = parser.get();
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    return words(405, "only GET and HEAD are answered here");
  }
  const auto hosts = request.equal_range(http::field::host);
  const auto count = std::distance(hosts.first, hosts.second);
  // RFC 9112 §3.2: one Host field, and not the absolute form, which is for proxies.
  if (count > 1 || (count == 0 && request.version() >= 11)) {
    return words(400, "one Host field is expected");
  }
  if (!view(request.target()).starts_with('/')) {
    return words(400, "a path is expected, which begins with a slash");
  }
  if (parser.content_length().value_or(0) > 0 || parser.chunked()) {
    return words(413, "a request has no body here");
  }
  return std::nullopt;
}

asio::awaitable<Answer> decide(const Parser& parser, const Service& service,
                               const Access& access, const std::string& peer) {
  if (auto wrong = objection(parser)) co_return std::move(*wrong);
  const auto& request = parser.get();
  const std::string target(view(request.target()));
  std::optional<std::string_view> host;
  if (request.count(http::field::host) > 0) host = view(request[http::field::host]);
  switch (gate(access, path_of(target), host, view(request[http::field::authorization]))) {
    case Gate::open: break;
    case Gate::no_token:
      service.refused(peer);
      co_return words(401, "the token of admin.token_file is needed");
    case Gate::wrong_host:
      co_return words(421, "this is not the host that was asked for: use an address, localhost or "
                           "the server's own name");
  }
  const FactsPtr facts = co_await ask_facts(service);
  co_return answer(target, facts, service.policies);
}

template <class Body>
void set_header(http::response<Body>& response, const Answer& answer) {
  response.version(11);
  response.result(answer.status);
  response.set(http::field::server, "Sternpost");
  response.set(http::field::content_type, answer.type);
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  response.set("X-Frame-Options", "DENY");
  response.set("Referrer-Policy", "no-referrer");
  response.set("Cross-Origin-Resource-Policy", "same-origin");
  response.set("Content-Security-Policy",
               "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
               "frame-ancestors 'none'");
  if (answer.status == 401) {
    response.set(http::field::www_authenticate, "Basic realm=\"sternpost\", charset=\"UTF-8\"");
  }
  if (answer.status == 405) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(false);
  response.content_length(answer.body.size());
}

asio::awaitable<error_code> write(Stream& stream, Answer answer, bool body) {
  error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  if (body) {
    http::response<http::string_body> response;
    set_header(response, answer);
    response.body() = std::move(answer.body);
    co_await http::async_write(stream, response, std::move(token));
  } else {
    http::response<http::empty_body> response;
    set_header(response, answer);
    http::response_serializer<http::empty_body> serializer(response);
    co_await http::async_write_header(stream, serializer, std::move(token));
  }
  co_return error;
}

// What the client still sends is taken off, so that closing does not take the answer from it.
asio::awaitable<void> close(Stream& stream) {
  error_code error;
  stream.socket().shutdown(asio::socket_base::shutdown_send, error);
  stream.expires_after(closing_wait);
  std::array<char, 4096> octets{};
  for (std::size_t taken = 0; !error && taken < base::limits::admin_ignored;) {
    auto token = asio::redirect_error(asio::use_awaitable, error);
    taken += co_await stream.async_read_some(asio::buffer(octets), std::move(token));
  }
  stream.close();
}

}  // namespace

asio::awaitable<void> serve(Socket socket, std::shared_ptr<const Service> service,
                            std::shared_ptr<const Access> access, std::string peer,
                            std::shared_ptr<Connections> connections) {
  Stream stream(std::move(socket));
  stream.expires_after(request_wait);
  beast::flat_buffer buffer(base::limits::admin_request + 4096);
  Parser parser;
  parser.header_limit(base::limits::admin_request);
  parser.body_limit(std::uint64_t{0});
  error_code error;
  std::optional<Idle> idle;
  idle.emplace(connections, stream);
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await http::async_read_header(stream, buffer, parser, std::move(token));
  idle.reset();
  std::optional<Answer> answer;
  if (error) {
    answer = refusal(error);
  } else {
    answer = co_await decide(parser, *service, *access, peer);
  }
  if (!answer) co_return;
  const bool head = !error && parser.get().method() == http::verb::head;
  stream.expires_after(answer_wait);
  const error_code lost = co_await write(stream, std::move(*answer), !head);
  if (lost) co_return;
  idle.emplace(connections, stream);
  co_await close(stream);
}

}  // namespace admin
