#include "proxy/session.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/original_dst.h"
#include "smtp/proxy_header.h"

namespace proxy {

namespace asio = boost::asio;
namespace limits = base::limits;

namespace {

constexpr std::size_t input_limit = limits::body_chunk;  // octets read ahead of their command
constexpr std::size_t command_room = 1024;            // for those of one transaction, as a rule
constexpr std::size_t output_limit = 16384;             // of replies kept for one write
constexpr std::chrono::seconds proxy_header_wait{10};
constexpr std::chrono::minutes reply_wait{5};  // for the client to take a reply
constexpr unsigned times_whose_asked = 50;     // a millisecond apart

}  // namespace

Session::Session(Worker& worker, std::shared_ptr<const ListenTerms> terms,
                 Channel::Socket socket, Peer peer)
    : worker_(worker),
      terms_(std::move(terms)),
      snapshot_(worker.snapshot()),
      channel_(std::move(socket)),
      peer_(peer),
      client_(peer),
      id_(worker.random().id()),
      lmtp_(terms_->lmtp()) {}

Session::~Session() = default;

SteadyTime Session::now() const { return worker_.shared().clock->steady(); }
bool Session::draining() const { return worker_.shared().draining.load(); }
const std::string& Session::id() const { return transfer_ ? transfer_->id() : id_; }

asio::awaitable<void> Session::run() {
  std::string failure;
  try {
    co_await converse();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  if (!failure.empty()) {
    base::log_error(id(), "internal error in a session: " + failure);
    hang_up("Internal error", smtp::EnhancedCode{4, 3, 0});
  }
  end_transfer("the client's session ended");
  if (dialled_) dialled_->close();
  try {
    co_await flush();
  } catch (const std::exception& error) {
    base::log_error(id_, std::string("internal error in a session: ") + error.what());
  }
  channel_.close();
}

asio::awaitable<void> Session::converse() {
  const bool goes_on = co_await read_proxy_header();
  if (!goes_on) co_return;
  base::log_debug(id_, "session from " + client_.str());
  const bool reached = co_await reach_dialled();
  if (!reached) co_return;
  greet();
  while (!over_) {
    auto line = co_await next_line();
    if (!line) break;
    co_await obey(std::move(*line));
    // A client that pipelines and does not read is not obeyed any further.
    if (out_.size() >= output_limit) co_await flush();
  }
}

// ── who is there ────────────────────────────────────────────────────────────────────────────────

asio::awaitable<bool> Session::read_proxy_header() {
  const auto& listen = terms_->listen;
  const auto allowed = [&](const base::Ip& ip) { return base::any_contains(listen.clients, ip); };
  if (!peer_.ip) {
    // Mode and group of the Unix socket say who may connect.
    may_relay_ = true;
    co_return true;
  }
  if (!base::any_contains(listen.proxy_clients, *peer_.ip)) {
    may_relay_ = allowed(*peer_.ip);
    co_return true;
  }
  channel_.set_deadline(now() + proxy_header_wait);
  smtp::ProxyHeaderParser parser;
  for (;;) {
    const auto taken = parser.feed(channel_.buffered());
    if (!taken) {
      base::log_warn(id_, peer_.str() + " must send a PROXY header: " + taken.error().text);
      co_return false;
    }
    channel_.consume(*taken);
    if (parser.done()) break;
    auto got = co_await channel_.fill(input_limit);
    if (got) continue;
    if (got.error().kind == IoError::Kind::timeout) {
      base::log_warn(id_, peer_.str() + " must send a PROXY header and did not");
    }
    co_return false;
  }
  const auto& source = parser.header().source;
  if (source) {
    client_.ip = source->ip.unmapped();
    client_.port = source->port;
    may_relay_ = allowed(source->ip);
  }  // Otherwise LOCAL or UNKNOWN, which relay nothing.
  co_return true;
}

// Of a transparent listener: where the client was going, and whether it is there. False: the client
// was told.
asio::awaitable<bool> Session::reach_dialled() {
  if (!terms_->transparent() || draining()) co_return true;
  const auto where = co_await find_dialled();
  if (!where) {
    base::log_warn(id_, "misdirected connection from " + client_.str() + ": " +
                            where.error().text);
    hang_up(where.error().text, smtp::EnhancedCode{4, 3, 5});
    co_return false;
  }
  if (!may_relay_) co_return true;  // Every RCPT is refused: nothing is asked for its sake.
  dialled_ = std::make_shared<Dialled>(worker_, snapshot_, *where);
  dialled_->begin();
  co_await await_dialled();
  if (over_) co_return false;
  if (const auto& failure = dialled_->failure()) {
    base::log_info(id_, "421 to " + client_.str() + ", which dialled " + *failure);
    hang_up("The address that was dialled does not take mail: " + *failure,
            smtp::EnhancedCode{4, 4, 1});
    co_return false;
  }
  co_return true;
}

asio::awaitable<base::Result<config::Tcp, base::Error>> Session::find_dialled() {
  auto where = original_destination(channel_.socket().native_handle());
  if (!where || !peer_.ip) co_return where;
  const MxSlots& slots = *worker_.shared().slots;
  asio::steady_timer pause(channel_.socket().get_executor());
  for (unsigned asked = 0; asked < times_whose_asked; ++asked) {
    const MxSlots::Whose whose = slots.whose(*peer_.ip, peer_.port, where->address);
    if (whose == MxSlots::Whose::another) break;
    if (whose == MxSlots::Whose::ours) {
      co_return base::fail("the firewall redirects this relay's own connection to " +
                           where->address.literal() +
                           " back to it: the redirect rule must exempt the relay's user");
    }
    pause.expires_after(std::chrono::milliseconds(1));
    boost::system::error_code ignored;
    auto paused = asio::redirect_error(asio::use_awaitable, ignored);
    co_await pause.async_wait(std::move(paused));
  }
  co_return where;
}

// Reads on meanwhile, so that a client that goes away, or a drain, ends the wait.
asio::awaitable<void> Session::await_dialled() {
  using namespace asio::experimental::awaitable_operators;
  while (!dialled_->is_known() && !over_) {
    if (channel_.buffered().size() >= input_limit) {
      co_await dialled_->known();
      co_return;
    }
    channel_.set_deadline(SteadyTime::max());
    reading_ = true;
    auto first = co_await (channel_.fill(input_limit) || dialled_->known());
    reading_ = false;
    if (first.index() != 0) co_return;
    const auto& got = std::get<0>(first);
    if (got) continue;
    if (channel_.buffered().empty() || got.error().kind == IoError::Kind::timeout) {
      input_error(got.error());
      co_return;
    }
    input_closed_ = true;  // What it sent before it went is still obeyed.
    co_await dialled_->known();
  }
}

void Session::greet() {
  const std::string& host = snapshot_->config->server.hostname;
  if (draining()) {
    hang_up("The relay is ending", smtp::EnhancedCode{4, 3, 2});
    return;
  }
  say(smtp::make_reply(220, host + (lmtp_ ? " LMTP" : " ESMTP")));
}

// ── replies ─────────────────────────────────────────────────────────────────────────────────────

void Session::say(const smtp::Reply& reply) { out_ += smtp::to_wire(reply); }

smtp::Reply Session::own(int code, smtp::EnhancedCode enhanced, std::string_view text) const {
  smtp::Reply reply = smtp::make_reply(code, enhanced, text);
  if (reply.is_positive()) return reply;
  return smtp::with_id(std::move(reply), id());
}

void Session::say_own(int code, smtp::EnhancedCode enhanced, std::string_view text) {
  say(own(code, enhanced, text));
}

void Session::hang_up(std::string_view text, smtp::EnhancedCode enhanced) {
  say_own(421, enhanced, snapshot_->config->server.hostname + " " + std::string(text));
  over_ = true;
}

asio::awaitable<void> Session::flush() {
  while (!out_.empty()) {
    const std::string octets = std::move(out_);  // More may be said while this is written.
    out_ = std::string();
    if (output_lost_) continue;
    channel_.set_deadline(now() + reply_wait);
    auto written = co_await channel_.write(octets);
    if (written) continue;
    output_lost_ = true;
    input_closed_ = true;
    if (phase_ != Phase::final) over_ = true;
  }
}

// The RCPT replies that are known, in order.
void Session::tell_known() {
  if (!transfer_) return;
  while (auto reply = transfer_->next_reply()) say(*reply);
}

// Waits until every RCPT was answered; false: the session is over. The client has sent another
// command already: the replies go together (RFC 2920 §3.2).
asio::awaitable<bool> Session::settle() {
  std::optional<Patience::Ticket> patience;  // with all of the waits together
  for (;;) {
    tell_known();
    if (over_) co_return false;
    if (!transfer_ || transfer_->all_answered()) co_return true;
    // A client that went away while an MX is being asked wants no answer any more; what it sent
    // before it went is still obeyed.
    if (client_gone()) {
      over_ = true;
      co_return false;
    }
    if (!patience || impatient_) patience = be_patient();
    co_await await_transfer(SteadyTime::max());
  }
}

// ── input ───────────────────────────────────────────────────────────────────────────────────────

// Until the transfer changed or, as long as there is room, the client sent something or went away.
asio::awaitable<void> Session::await_change(SteadyTime deadline) {
  const Patience::Ticket patience = be_patient();
  co_await await_transfer(deadline);
}

asio::awaitable<void> Session::await_transfer(SteadyTime deadline) {
  const auto wants_more = [this] {
    return !input_closed_ && channel_.buffered().size() < input_limit;
  };
  if (wants_more() && (readable_ || channel_.holds_input()) && read_now()) co_return;
  co_await transfer_->changed(deadline);
  if (wants_more() && readable_) read_now();
}

// A wait for an MX. If it lasts, the client gets the replies that were to go with the next one, and
// is watched.
Patience::Ticket Session::be_patient() {
  impatient_ = false;
  return worker_.patience().begin([this] {
    impatient_ = true;
    if (!out_.empty() && !output_lost_) {
      const auto sent = channel_.write_now(out_);
      if (sent) out_.erase(0, *sent);  // what fails now will with flush()
    }
    if (!input_closed_ && channel_.buffered().size() < input_limit) watch_client();
  });
}

// What it sends, or that it goes, counts as a change, also of a later wait.
void Session::watch_client() {
  channel_.when_readable([this] {
    readable_ = true;
    if (transfer_) transfer_->notify();
  });
}

// Takes what has come from the client; false: nothing.
bool Session::read_now() {
  readable_ = false;
  const auto got = channel_.fill_now(input_limit);
  if (!got && got.error().kind != IoError::Kind::limit) input_closed_ = true;
  return !got || *got > 0;
}

void Session::input_error(const IoError& error) {
  input_closed_ = true;
  if (draining() && error.kind == IoError::Kind::timeout) {
    hang_up("The relay is ending", smtp::EnhancedCode{4, 3, 2});
  } else if (error.kind == IoError::Kind::timeout) {
    hang_up("Nothing came for too long", smtp::EnhancedCode{4, 4, 2});
  }
  over_ = true;
}

// Waits for the next octets with nothing else to wait for; an idle session holds a small buffer, or
// under TLS none.
asio::awaitable<void> Session::idle_read() {
  co_await flush();
  if (over_) co_return;
  if (draining() && !transfer_) {
    hang_up("The relay is ending", smtp::EnhancedCode{4, 3, 2});
    co_return;
  }
  channel_.set_deadline(now() + limits::command_wait);
  reading_ = true;
  if (channel_.buffered().empty()) {
    channel_.release_buffer(command_room);
    if (channel_.is_tls() && !channel_.has_pending_input()) {
      channel_.release_buffer();
      co_await channel_.wait_readable();
    }
  }
  auto got = co_await channel_.fill(input_limit, command_room);
  reading_ = false;
  readable_ = false;
  if (!got) input_error(got.error());
}

// One whole line out of what has come, without its end.
std::optional<std::string> Session::take_line() {
  const std::string_view have = channel_.buffered();
  const std::size_t end = have.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const bool crlf = end > 0 && have[end - 1] == '\r';
  std::string line(have.substr(0, crlf ? end - 1 : end));
  channel_.consume(end + 1);
  // RFC 5321 §2.3.8: CRLF alone ends a line; a bare LF stays in it, and no command holds one.
  if (!crlf) line += '\n';
  return line;
}

// A line without an end in sight: reads on to its end and keeps nothing of it.
asio::awaitable<void> Session::skip_long_line() {
  while (!over_) {
    const std::string_view have = channel_.buffered();
    const std::size_t end = have.find('\n');
    channel_.consume(end == std::string_view::npos ? have.size() : end + 1);
    if (end != std::string_view::npos) break;
    co_await idle_read();
  }
  const auto code = smtp::EnhancedCode{5, 5, 2};
  if (!over_) bad_command(own(500, code, "Line too long"));
}

asio::awaitable<std::optional<std::string>> Session::next_line() {
  for (;;) {
    tell_known();
    if (over_) co_return std::nullopt;
    auto line = take_line();
    if (line) co_return line;
    if (channel_.buffered().size() > limits::command_line) {
      const bool settled = co_await settle();
      if (settled) co_await skip_long_line();
      continue;
    }
    if (input_closed_) co_return std::nullopt;
    if (transfer_ && !transfer_->all_answered()) {
      co_await flush();
      if (over_) co_return std::nullopt;
      co_await await_change(SteadyTime::max());
    } else {
      co_await idle_read();
    }
  }
}

// ── the end of the daemon ───────────────────────────────────────────────────────────────────────

void Session::drain() {
  // Between commands without a transaction: the wait for the next one ends now.
  if (reading_ && phase_ == Phase::idle) channel_.set_deadline(now());
}

void Session::end_before_dot() {
  if (phase_ == Phase::final || over_) return;
  if (transfer_) transfer_->abandon("the relay is ending");
  if (!reading_) hang_up("The relay is ending", smtp::EnhancedCode{4, 3, 2});
  channel_.set_deadline(now());
}

}  // namespace proxy
