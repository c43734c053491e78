#include "proxy/mx_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/encode.h"
#include "base/limits.h"
#include "proxy/address.h"
#include "proxy/connect.h"

namespace proxy {

namespace {

MxFailure failure_of(const IoError& error) {
  switch (error.kind) {
    case IoError::Kind::timeout:
      return {MxFailure::Kind::broken, "it did not answer in time", std::nullopt, true};
    case IoError::Kind::limit:
      return {MxFailure::Kind::garbled, error.text, std::nullopt, false};
    default:
      return {MxFailure::Kind::broken, error.text, std::nullopt, false};
  }
}

std::string helo_name(const smtp::Reply& reply) {
  if (reply.lines.empty()) return {};
  const std::string& line = reply.lines.front();
  return base::printable(line.substr(0, std::min(line.find_first_of(" \t"), std::size_t{255})));
}

MxFailure unreachable(std::string text) {
  return {MxFailure::Kind::unreachable, std::move(text), std::nullopt, false};
}

constexpr std::chrono::milliseconds shortage_pause{100};
constexpr std::chrono::seconds take_back_wait{10};  // the client's reply waits for it

// This host's own lack, which passes when another connection ends.
bool is_shortage(const boost::system::error_code& error) {
  return error == boost::system::errc::too_many_files_open ||
         error == boost::system::errc::too_many_files_open_in_system ||
         error == boost::system::errc::no_buffer_space ||
         error == boost::system::errc::not_enough_memory;
}

// "0.0.0.0" where the socket has none.
config::Tcp local_end(const Channel::Socket& socket) {
  config::Tcp end;
  boost::system::error_code error;
  asio::ip::tcp::endpoint local;
  const auto raw = socket.local_endpoint(error);
  if (error || raw.size() > local.capacity()) return end;
  std::copy_n(reinterpret_cast<const char*>(raw.data()), raw.size(),
              reinterpret_cast<char*>(local.data()));
  local.resize(raw.size());
  end.address = from_asio(local.address());
  end.port = local.port();
  return end;
}

asio::awaitable<MxResult<Channel::Socket>> connect(Executor executor, config::Tcp where,
                                                   const config::Outbound& outbound,
                                                   MxTimes times, MxSlots::Slot& slot) {
  const auto endpoint = endpoint_of(where.address, where.port);
  auto socket = std::make_shared<Channel::Socket>(executor);
  boost::system::error_code error;
  socket->open(endpoint.protocol(), error);
  const SteadyTime end = times.at_most(outbound.connect_timeout);
  while (is_shortage(error) && std::chrono::steady_clock::now() < end) {
    asio::steady_timer pause(executor, shortage_pause);
    boost::system::error_code ignored;
    auto paused = asio::redirect_error(asio::use_awaitable, ignored);
    co_await pause.async_wait(std::move(paused));
    socket->open(endpoint.protocol(), error);
  }
  if (is_shortage(error)) {
    // No news of the host: it is not remembered as unreachable.
    MxFailure failure{MxFailure::Kind::refused, "this relay is short of descriptors or memory",
                      std::nullopt, false};
    co_return base::fail(std::move(failure));
  }
  if (error) co_return base::fail(unreachable(error.message()));
  const auto& source = where.address.is_v4() ? outbound.source_ipv4 : outbound.source_ipv6;
  if (source) {
    socket->bind(endpoint_of(*source, 0), error);
    if (error) {
      co_return base::fail(
          unreachable("cannot send from " + source->str() + ": " + error.message()));
    }
  }
  std::function<void()> begun = [&slot, &socket = *socket] {
    const config::Tcp local = local_end(socket);
    slot.leaves_from(local.address, local.port);
  };
  slot.leaves();
  auto connecting = connect_by(socket, endpoint, end, std::move(begun));
  error = co_await std::move(connecting);
  if (error == boost::system::errc::timed_out) {
    co_return base::fail(unreachable("no answer to the connection attempt"));
  }
  if (error) co_return base::fail(unreachable(error.message()));
  // An MX counts as taking data by what leaves this host, not by what the kernel would buffer.
  const int unsent = 128 * 1024;
  ::setsockopt(socket->native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  co_return std::move(*socket);
}

}  // namespace

SteadyTime MxTimes::at_most(std::chrono::milliseconds step) const {
  return std::min(budget, std::chrono::steady_clock::now() + step);
}

asio::awaitable<MxResult<smtp::Reply>> SmtpWire::read_reply(SteadyTime deadline) {
  channel.set_deadline(deadline);
  for (;;) {
    if (!channel.buffered().empty()) {
      auto used = parser_.feed(channel.buffered());
      if (!used) {
        MxFailure failure{MxFailure::Kind::garbled, used.error().text, std::nullopt, false};
        co_return base::fail(std::move(failure));
      }
      channel.consume(*used);
      if (parser_.done()) co_return parser_.take();
    }
    // The parser keeps what is incomplete, so the buffer is empty here and never fills up.
    auto got = co_await channel.fill(base::limits::reply_total);
    if (!got) co_return base::fail(failure_of(got.error()));
  }
}

asio::awaitable<MxResult<void>> SmtpWire::send(std::string_view octets, SteadyTime deadline) {
  channel.set_deadline(deadline);
  auto sent = co_await channel.write(octets);
  if (!sent) co_return base::fail(failure_of(sent.error()));
  co_return MxResult<void>();
}

asio::awaitable<std::optional<MxResult<smtp::Reply>>> SmtpWire::unasked(SteadyTime deadline) {
  if (std::exchange(looked_, false) || !channel.has_pending_input()) co_return std::nullopt;
  auto reply = co_await read_reply(deadline);
  if (!reply || reply->code == 421) co_return std::move(reply);
  MxFailure failure{MxFailure::Kind::garbled, "it answered before it was asked: " + reply->str(),
                    std::move(*reply), false};
  co_return MxResult<smtp::Reply>(base::fail(std::move(failure)));
}

asio::awaitable<MxResult<smtp::Reply>> SmtpWire::command(std::string_view line,
                                                         SteadyTime deadline) {
  auto early = co_await unasked(deadline);
  if (early) co_return std::move(*early);
  auto reply = co_await ask(line, deadline);
  co_return reply;
}

asio::awaitable<MxResult<smtp::Reply>> SmtpWire::ask(std::string_view line, SteadyTime deadline) {
  auto sent = co_await send(line, deadline);
  if (!sent) co_return base::fail(std::move(sent.error()));
  auto reply = co_await read_reply(deadline);
  co_return reply;
}

asio::awaitable<MxResult<std::unique_ptr<PlainMx>>> PlainMx::open(
    Executor executor, config::Tcp where, const config::Outbound& outbound,
    std::string hostname, MxTimes times, MxSlots::Slot slot) {
  auto connected = co_await connect(executor, where, outbound, times, slot);
  if (!connected) co_return base::fail(std::move(connected.error()));
  Channel::Socket socket = std::move(*connected);
  MxPeer peer;
  peer.ip = where.address;
  peer.port = where.port;
  peer.source = local_end(socket).address;
  auto wire = std::make_unique<SmtpWire>(std::move(socket));
  std::unique_ptr<PlainMx> mx(new PlainMx(std::move(wire), std::move(peer), std::move(slot)));

  auto greeting = co_await mx->wire_->read_reply(times.at_most(outbound.greeting_timeout));
  if (!greeting) {
    MxFailure failure = std::move(greeting.error());
    if (failure.kind == MxFailure::Kind::broken) {
      failure.kind = MxFailure::Kind::unreachable;
      failure.text = "no greeting: " + failure.text;
    }
    co_return base::fail(std::move(failure));
  }
  if (greeting->code != 220) {
    MxFailure failure{MxFailure::Kind::refused, "greeting " + greeting->str(),
                      std::move(*greeting), false};
    mx->quit();
    co_return base::fail(std::move(failure));
  }
  mx->peer_.helo = helo_name(*greeting);

  const std::string ehlo = "EHLO " + hostname + "\r\n";
  auto reply = co_await mx->wire_->command(ehlo, times.at_most(outbound.ehlo_timeout));
  if (!reply) co_return base::fail(std::move(reply.error()));
  if (reply->is_permanent()) {
    const std::string helo = "HELO " + hostname + "\r\n";
    reply = co_await mx->wire_->command(helo, times.at_most(outbound.ehlo_timeout));
    if (!reply) co_return base::fail(std::move(reply.error()));
    mx->helo_only_ = true;
  }
  if (!reply->is_positive()) {
    MxFailure failure{MxFailure::Kind::refused, "EHLO answered " + reply->str(),
                      std::move(*reply), false};
    mx->quit();
    co_return base::fail(std::move(failure));
  }
  if (!mx->helo_only_) mx->extensions_ = smtp::parse_extensions(*reply);
  const std::string announced = helo_name(*reply);
  if (!announced.empty()) mx->peer_.helo = announced;
  co_return mx;
}

asio::awaitable<MxResult<std::unique_ptr<MxSession>>> PlainMx::start_tls(SslPtr ssl,
                                                                         MxTimes times) && {
  const SteadyTime deadline = times.at_most(times.limits->tls_timeout);
  auto reply = co_await wire_->command("STARTTLS\r\n", deadline);
  if (!reply) co_return base::fail(std::move(reply.error()));
  if (reply->code == 421) {
    // RFC 5321 §4.2.3: it closes the connection; that says nothing about TLS.
    MxFailure failure{MxFailure::Kind::broken, "STARTTLS answered " + reply->str(),
                      std::move(*reply), false};
    co_return base::fail(std::move(failure));
  }
  if (reply->code != 220) {
    MxFailure failure{MxFailure::Kind::refused, "STARTTLS answered " + reply->str(),
                      std::move(*reply), false};
    quit();
    co_return base::fail(std::move(failure));
  }
  auto shaken = co_await wire_->channel.handshake(std::move(ssl), Channel::Next::write);
  if (!shaken) {
    const bool late = shaken.error().kind == IoError::Kind::timeout;
    MxFailure failure{MxFailure::Kind::tls,
                      late ? "the TLS handshake did not end in time"
                           : "TLS handshake: " + shaken.error().text,
                      std::nullopt, late};
    co_return base::fail(std::move(failure));
  }
  co_return std::make_unique<MxSession>(std::move(wire_), std::move(peer_), std::move(slot_));
}

std::unique_ptr<MxSession> PlainMx::stay_in_cleartext() && {
  auto session =
      std::make_unique<MxSession>(std::move(wire_), std::move(peer_), std::move(slot_));
  session->know(std::move(extensions_));
  return session;
}

void PlainMx::quit() {
  if (wire_) wire_->channel.say_and_close("QUIT\r\n");
}

MxSession::MxSession(std::unique_ptr<SmtpWire> wire, MxPeer peer, MxSlots::Slot slot)
    : slot_(std::move(slot)), wire_(std::move(wire)), peer_(std::move(peer)) {}

asio::awaitable<MxResult<void>> MxSession::ehlo(std::string hostname, MxTimes times) {
  const std::string line = "EHLO " + hostname + "\r\n";
  auto reply = co_await wire_->command(line, times.at_most(times.limits->ehlo_timeout));
  if (!reply) co_return base::fail(std::move(reply.error()));
  if (!reply->is_positive()) {
    MxFailure failure{MxFailure::Kind::refused, "EHLO under TLS answered " + reply->str(),
                      std::move(*reply), false};
    co_return base::fail(std::move(failure));
  }
  extensions_ = smtp::parse_extensions(*reply);
  const std::string announced = helo_name(*reply);
  if (!announced.empty()) peer_.helo = announced;
  co_return MxResult<void>();
}

std::string MxSession::mail_command(const smtp::Envelope& envelope) {
  std::string line = "MAIL FROM:<" + envelope.reverse_path + ">";
  const smtp::MailParameters& parameters = envelope.parameters;
  if (parameters.size && extensions_.size) {
    line += " SIZE=" + std::to_string(*parameters.size);
  }
  if (extensions_.eight_bit_mime && parameters.body != smtp::Body::unstated) {
    line += parameters.body == smtp::Body::seven_bit ? " BODY=7BIT" : " BODY=8BITMIME";
  }
  sent_smtputf8_ = parameters.smtputf8 && extensions_.smtputf8;
  if (sent_smtputf8_) line += " SMTPUTF8";
  return line + "\r\n";
}

asio::awaitable<MxResult<MxSession::Opened>> MxSession::mail_and_rcpt(
    const policy::Authorized& authorized, const smtp::Envelope& envelope,
    const smtp::Mailbox& first, bool data_next, MxTimes times) {
  (void)authorized;  // Its existence is the proof (policy/judge.h).
  const std::string mail = mail_command(envelope);
  if (extensions_.pipelining) {
    auto opened = co_await open_pipelined(mail, first, data_next, times);
    co_return opened;
  }
  Opened opened;
  auto to_mail = co_await wire_->command(mail, times.at_most(times.limits->mail_timeout));
  if (!to_mail) co_return base::fail(std::move(to_mail.error()));
  opened.mail = std::move(*to_mail);
  if (!opened.mail.is_positive()) co_return opened;
  auto to_rcpt = co_await rcpt(first, times);
  if (!to_rcpt) co_return base::fail(std::move(to_rcpt.error()));
  opened.rcpt = std::move(*to_rcpt);
  co_return opened;
}

asio::awaitable<MxResult<MxSession::Opened>> MxSession::open_pipelined(std::string commands,
                                                                       const smtp::Mailbox& first,
                                                                       bool data_next,
                                                                       MxTimes times) {
  const SteadyTime mail_end = times.at_most(times.limits->mail_timeout);
  commands.append("RCPT TO:<").append(first.address()).append(">\r\n");
  if (data_next) commands += data_line;  // RFC 2920 §3.1: the last of its group.
  Opened opened;
  auto early = co_await wire_->unasked(mail_end);
  if (early && !*early) co_return base::fail(std::move(early->error()));
  if (early) {
    opened.mail = std::move(**early);
    co_return opened;
  }
  auto sent = co_await wire_->send(commands, mail_end);
  if (!sent) co_return base::fail(std::move(sent.error()));
  auto to_mail = co_await wire_->read_reply(mail_end);
  if (!to_mail) co_return base::fail(std::move(to_mail.error()));
  auto to_rcpt = co_await wire_->read_reply(times.at_most(times.limits->rcpt_timeout));
  opened.mail = std::move(*to_mail);
  opened.data_sent = data_next && opened.mail.is_positive() && to_rcpt && to_rcpt->is_positive();
  // A reply that is still owed must not meet the next transaction.
  if (!to_rcpt) {
    abort();
  } else if (data_next && !opened.data_sent) {
    const auto refused = [](const smtp::Reply& reply) {
      return reply.code >= 400 && reply.code != 421;
    };
    // Where MAIL alone was refused a dot might be a message to somebody; behind 421 comes nothing.
    const bool to_nobody = refused(*to_rcpt) && opened.mail.code != 421;
    bool stands = false;
    if (to_nobody) {
      stands = co_await take_back_data(times);
    } else {
      abort();
    }
    opened.over = !stands;
  }
  // RFC 2920 §3.1: every status is looked at; a refused MAIL makes the RCPT's moot.
  if (!opened.mail.is_positive()) co_return opened;
  if (!to_rcpt) co_return base::fail(std::move(to_rcpt.error()));
  opened.rcpt = std::move(*to_rcpt);
  co_return opened;
}

// Behind a DATA that went out in vain, since nobody was accepted. Whether the transaction stands
// there: RFC 5321 §4.1.1.4 ends it with the dot, whatever is said to that.
asio::awaitable<bool> MxSession::take_back_data(MxTimes times) {
  const std::chrono::milliseconds wait = times.limits->rcpt_timeout;
  const SteadyTime end = times.at_most(std::min<std::chrono::milliseconds>(wait, take_back_wait));
  auto reply = co_await wire_->read_reply(end);
  if (reply && reply->code >= 400 && reply->code != 421) co_return true;
  // RFC 2920 §3.1: a single dot where it was accepted nevertheless.
  const bool taken = reply && reply->code == 354;
  if (taken) reply = co_await wire_->ask(".\r\n", end);
  const bool known = taken && reply && reply->code / 100 != 3 && reply->code != 421;
  if (!known) abort();
  co_return false;
}

asio::awaitable<MxResult<smtp::Reply>> MxSession::rcpt(const smtp::Mailbox& mailbox,
                                                       MxTimes times) {
  const std::string line = "RCPT TO:<" + mailbox.address() + ">\r\n";
  auto reply = co_await wire_->command(line, times.at_most(times.limits->rcpt_timeout));
  co_return reply;
}

void MxSession::quit() {
  if (!wire_ || !wire_->channel.is_open()) return;
  wire_->channel.say_and_close("QUIT\r\n");
}

void MxSession::abort() {
  if (wire_) wire_->channel.abort();
}

}  // namespace proxy
