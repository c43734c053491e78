#include "proxy/report_mail.h"

#include <sys/un.h>

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <optional>

#include "base/encode.h"
#include "proxy/address.h"
#include "proxy/connect.h"
#include "proxy/mx_connection.h"
#include "smtp/extensions.h"
#include "smtp/path.h"

namespace proxy {

namespace {

using report::Sent;
using Endpoint = Channel::Socket::endpoint_type;
// nullopt: it went as it should; else what is told instead of an acceptance.
using Trouble = std::optional<std::string>;

constexpr std::size_t block_size = 65536;
constexpr std::size_t most_words = 500;  // of a server's reply

Sent refused(std::string answer) {
  Sent sent;
  sent.answer = std::move(answer);
  return sent;
}

std::string one_line(const smtp::Reply& reply) {
  std::string text = base::printable(reply.str());
  if (text.size() <= most_words) return text;
  std::size_t end = most_words;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

struct Mail {
  std::string reverse_path;
  std::string recipient;
  std::string stuffed;   // with its last CRLF, without the final dot
  std::size_t size = 0;  // octets as RFC 1870 §3 counts them: without stuffed dots
  bool ascii = true;
};

struct Terms {
  std::string hostname;
  SubmitTimes times;
  SteadyTime whole;
  SteadyTime within(std::chrono::milliseconds step) const {
    return std::min(whole, std::chrono::steady_clock::now() + step);
  }
};

// RFC 5321 §4.5.2: a dot more where a line begins with one. The last line gets its CRLF where it
// has none (RFC 5321 §4.1.1.4). False: a bare CR or LF (RFC 5321 §2.3.8), which servers read
// differently.
bool stuff(std::string_view message, Mail& mail) {
  mail.stuffed.reserve(message.size() + 64);
  while (!message.empty()) {
    const std::size_t end = message.find("\r\n");
    const std::string_view line = message.substr(0, end);
    if (line.find_first_of("\r\n") != std::string_view::npos) return false;
    if (line.starts_with('.')) mail.stuffed += '.';
    mail.stuffed += line;
    mail.stuffed += "\r\n";
    mail.size += line.size() + 2;
    message.remove_prefix(end == std::string_view::npos ? message.size() : end + 2);
  }
  return true;
}

// The recipient comes from a record of the other side, percent-decoded: a path is written into a
// command only when it is one.
bool is_path(const std::string& address, bool may_be_null) {
  if (address.empty()) return may_be_null;
  const std::string bracketed = "<" + address + ">";
  std::string_view text = bracketed;
  const auto path = smtp::take_path(text);
  return path && text.empty() && path->mailbox && path->address == address;
}

base::Result<Mail, base::Error> prepared(std::string reverse_path, std::string recipient,
                                         std::string_view message) {
  if (!is_path(reverse_path, true)) return base::fail("its reverse-path is no path");
  if (!is_path(recipient, false)) return base::fail("its recipient is no path");
  Mail mail;
  if (!stuff(message, mail)) return base::fail("its message has a bare CR or LF");
  mail.ascii = base::is_ascii(reverse_path) && base::is_ascii(recipient) && base::is_ascii(message);
  mail.reverse_path = std::move(reverse_path);
  mail.recipient = std::move(recipient);
  return mail;
}

// nullopt: the path fits no socket.
std::optional<Endpoint> endpoint_of_server(const config::Address& server) {
  if (const auto* tcp = std::get_if<config::Tcp>(&server)) {
    return endpoint_of(tcp->address, tcp->port);
  }
  const std::string path = std::get<config::Unix>(server).path.string();
  if (path.empty() || path.size() >= sizeof sockaddr_un::sun_path) return std::nullopt;
  return asio::local::stream_protocol::endpoint(path);
}

// One exchange with one server, in steps; each says what is told where it does not go on. After
// trouble the connection is closed.
class Exchange {
 public:
  Exchange(Channel::Socket socket, Terms terms)
      : wire_(std::move(socket)), terms_(std::move(terms)) {}

  asio::awaitable<Sent> run(const Mail& mail) {
    auto opening = open();
    Trouble trouble = co_await std::move(opening);
    if (!trouble) trouble = unfit(mail);
    if (trouble) co_return refused(std::move(*trouble));
    auto envelope = announce(mail);
    trouble = co_await std::move(envelope);
    if (trouble) co_return refused(std::move(*trouble));
    auto body = transfer(mail.stuffed);
    trouble = co_await std::move(body);
    if (trouble) co_return refused(std::move(*trouble));
    auto ending = finish();
    Sent sent = co_await std::move(ending);
    co_return sent;
  }

 private:
  enum class Want { greeting, positive, data };

  asio::awaitable<Trouble> open() {
    auto greeting = co_await wire_.read_reply(terms_.within(terms_.times.command));
    Trouble trouble = judged("greeting", Want::greeting, greeting);
    if (trouble) co_return trouble;
    const std::string line = "EHLO " + terms_.hostname + "\r\n";
    auto reply = co_await wire_.command(line, terms_.within(terms_.times.command));
    trouble = judged("EHLO", Want::positive, reply);
    if (!trouble) extensions_ = smtp::parse_extensions(*reply);
    co_return trouble;
  }

  // What the server's extensions rule out before anything is said.
  Trouble unfit(const Mail& mail) {
    Trouble trouble;
    if (!mail.ascii && !extensions_.smtputf8) {
      trouble = "it needs SMTPUTF8, which the server does not offer";
    } else if (extensions_.size_limit > 0 && mail.size > extensions_.size_limit) {
      trouble = "the message has " + std::to_string(mail.size) + " octets, the server takes " +
                std::to_string(extensions_.size_limit);
    }
    if (trouble) quit();
    return trouble;
  }

  std::string mail_command(const Mail& mail) const {
    std::string line = "MAIL FROM:<" + mail.reverse_path + ">";
    if (extensions_.size) line += " SIZE=" + std::to_string(mail.size);
    if (!mail.ascii) {
      // RFC 6531 §3.1: whoever offers SMTPUTF8 offers 8BITMIME as well.
      if (extensions_.eight_bit_mime) line += " BODY=8BITMIME";
      line += " SMTPUTF8";
    }
    return line + "\r\n";
  }

  asio::awaitable<Trouble> announce(const Mail& mail) {
    const std::string from = mail_command(mail);
    auto reply = co_await wire_.command(from, terms_.within(terms_.times.command));
    Trouble trouble = judged("MAIL", Want::positive, reply);
    if (trouble) co_return trouble;
    const std::string to = "RCPT TO:<" + mail.recipient + ">\r\n";
    reply = co_await wire_.command(to, terms_.within(terms_.times.command));
    trouble = judged("RCPT", Want::positive, reply);
    if (trouble) co_return trouble;
    reply = co_await wire_.command("DATA\r\n", terms_.within(terms_.times.command));
    co_return judged("DATA", Want::data, reply);
  }

  asio::awaitable<Trouble> transfer(std::string_view octets) {
    while (!octets.empty()) {
      const std::string_view block = octets.substr(0, block_size);
      auto sent = co_await wire_.send(block, terms_.within(terms_.times.block));
      if (!sent) co_return broken("message", sent.error());
      octets.remove_prefix(block.size());
    }
    co_return std::nullopt;
  }

  // A reply that was there before the dot answers nothing: the server has not seen the end.
  asio::awaitable<Sent> finish() {
    auto reply = co_await wire_.command(".\r\n", terms_.within(terms_.times.final_dot));
    if (auto trouble = judged("the final dot", Want::positive, reply)) {
      co_return refused(std::move(*trouble));
    }
    quit();
    Sent sent;
    sent.accepted = true;
    sent.answer = one_line(*reply);
    co_return sent;
  }

  Trouble judged(std::string_view step, Want want, const MxResult<smtp::Reply>& reply) {
    if (!reply) return broken(step, reply.error());
    const bool fine = want == Want::greeting ? reply->code == 220
                      : want == Want::data   ? reply->code == 354
                                             : reply->is_positive();
    if (fine) return std::nullopt;
    // A code that belongs elsewhere leaves it open what the server waits for now.
    if (reply->code >= 400) {
      quit();
    } else {
      wire_.channel.abort();
    }
    const std::string answered = step == "greeting" ? ": " : " answered ";
    return std::string(step) + answered + one_line(*reply);
  }

  // Reset, so that a server does not take what it has for the whole.
  std::string broken(std::string_view step, const MxFailure& failure) {
    wire_.channel.abort();
    return std::string(step) + ": " + base::printable(failure.text).substr(0, most_words);
  }

  // RFC 5321 §4.1.1.10: QUIT, though its answer changes nothing and is not waited for.
  void quit() { wire_.channel.say_and_close("QUIT\r\n"); }

  SmtpWire wire_;
  Terms terms_;
  smtp::Extensions extensions_;
};

}  // namespace

asio::awaitable<Sent> SubmitMail::submit(std::string reverse_path, std::string recipient,
                                         std::string message) {
  Terms terms;
  terms.hostname = hostname_;
  terms.times = times_;
  terms.whole = std::chrono::steady_clock::now() + times_.whole;
  const std::string name = config::text_of(server_);
  const auto where = endpoint_of_server(server_);
  if (!where) co_return refused(name + ": the path is too long for a socket");
  const auto mail = prepared(std::move(reverse_path), std::move(recipient), message);
  if (!mail) co_return refused(mail.error().text);
  message = std::string();

  const auto executor = co_await asio::this_coro::executor;
  auto socket = std::make_shared<Channel::Socket>(executor);
  boost::system::error_code error;
  socket->open(where->protocol(), error);
  if (!error) {
    auto connecting = connect_by(socket, *where, terms.within(terms.times.connect));
    error = co_await std::move(connecting);
  }
  if (error) co_return refused(name + ": " + error.message());
  Exchange exchange(std::move(*socket), std::move(terms));
  auto running = exchange.run(*mail);
  Sent sent = co_await std::move(running);
  co_return sent;
}

}  // namespace proxy
