// Session: what each command does (RFC 5321 §4.1, RFC 2033 §4, RFC 3207).
#include <ctime>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/session.h"
#include "smtp/received.h"

namespace proxy {

namespace limits = base::limits;
using smtp::EnhancedCode;

namespace {

constexpr std::string_view extensions_always[] = {
    "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
    "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"};

}  // namespace

asio::awaitable<void> Session::obey(std::string line) {
  const bool smtputf8 =
      transfer_ && transfer_->transaction()->envelope.parameters.smtputf8;
  auto command = smtp::parse_command(line, smtputf8);
  // LMTP: the recipients of other domains need not wait for each other. Over SMTP the domain of
  // the transaction depends on the answer to the recipient before.
  const bool overlaps = lmtp_ && command && std::holds_alternative<smtp::Rcpt>(*command);
  if (!overlaps) {
    const bool settled = co_await settle();
    if (!settled) co_return;
  }
  if (!command) {
    bad_command(smtp::with_id(std::move(command.error()), id()));
    co_return;
  }
  co_await act(std::move(*command));
}

asio::awaitable<void> Session::act(smtp::Command command) {
  if (auto* rcpt = std::get_if<smtp::Rcpt>(&command)) {
    on_rcpt(std::move(*rcpt));
  } else if (auto* mail = std::get_if<smtp::Mail>(&command)) {
    on_mail(std::move(*mail));
  } else if (std::holds_alternative<smtp::Data>(command)) {
    co_await on_data();
  } else if (auto* xforward = std::get_if<smtp::Xforward>(&command)) {
    on_xforward(*xforward);
  } else if (auto* ehlo = std::get_if<smtp::Ehlo>(&command)) {
    on_hello(lmtp_ ? std::string() : std::move(ehlo->name), true);
  } else if (auto* lhlo = std::get_if<smtp::Lhlo>(&command)) {
    on_hello(lmtp_ ? std::move(lhlo->name) : std::string(), true);
  } else if (auto* helo = std::get_if<smtp::Helo>(&command)) {
    on_hello(lmtp_ ? std::string() : std::move(helo->name), false);
  } else if (std::holds_alternative<smtp::Rset>(command)) {
    end_transfer("the client sent RSET");
    say_own(250, EnhancedCode{2, 0, 0}, "Ok");
  } else if (std::holds_alternative<smtp::Noop>(command)) {
    say_own(250, EnhancedCode{2, 0, 0}, "Ok");
  } else if (std::holds_alternative<smtp::Vrfy>(command)) {
    say_own(252, EnhancedCode{2, 0, 0}, "Only the recipient's MX knows");
  } else if (std::holds_alternative<smtp::Help>(command)) {
    say_own(214, EnhancedCode{2, 0, 0}, "RFC 5321 and RFC 2033");
  } else if (std::holds_alternative<smtp::Quit>(command)) {
    end_transfer("the client sent QUIT");
    say_own(221, EnhancedCode{2, 0, 0}, "Bye");
    over_ = true;
  } else if (std::holds_alternative<smtp::Starttls>(command)) {
    co_await on_starttls();
  }
}

void Session::bad_command(const smtp::Reply& reply) {
  if (++bad_commands_ >= limits::bad_commands) {
    hang_up("Too many bad commands", EnhancedCode{4, 7, 0});
    return;
  }
  say(reply);
}

// ── greeting ────────────────────────────────────────────────────────────────────────────────────

// `name` is empty where the command does not belong to the protocol (RFC 2033 §4.1).
void Session::on_hello(std::string name, bool extended) {
  if (name.empty()) {
    const char* const text = lmtp_ ? "LMTP begins with LHLO" : "No LHLO in SMTP";
    bad_command(own(500, EnhancedCode{5, 5, 1}, text));
    return;
  }
  end_transfer("the client greeted again");  // RFC 5321 §4.1.4: as RSET.
  helo_ = std::move(name);
  extended_ = extended;
  if (extended) {
    say_extensions();
  } else {
    say(smtp::make_reply(250, snapshot_->config->server.hostname));
  }
}

void Session::say_extensions() {
  smtp::Reply reply;
  reply.code = 250;
  reply.lines.push_back(snapshot_->config->server.hostname);
  reply.lines.insert(reply.lines.end(), std::begin(extensions_always),
                     std::end(extensions_always));
  reply.lines.push_back("SIZE " + std::to_string(snapshot_->config->outbound.max_message_size));
  if (!lmtp_) reply.lines.push_back("LIMITS RCPTDOMAINMAX=1");  // RFC 9422 §4
  if (terms_->tls && !channel_.is_tls()) reply.lines.push_back("STARTTLS");
  say(reply);
}

asio::awaitable<void> Session::on_starttls() {
  if (!terms_->tls) {
    bad_command(own(502, EnhancedCode{5, 5, 1}, "STARTTLS is not offered"));
    co_return;
  }
  if (channel_.is_tls()) {
    bad_command(own(503, EnhancedCode{5, 5, 1}, "The session is under TLS already"));
    co_return;
  }
  // RFC 3207 §4.2, CVE-2011-0411: what comes in cleartext behind STARTTLS must not be obeyed.
  if (!channel_.buffered().empty()) {
    base::log_warn(id_, client_.str() + " sent octets in cleartext behind STARTTLS: aborted");
    hang_up("Octets in cleartext behind STARTTLS", EnhancedCode{4, 7, 0});
    co_return;
  }
  SslPtr ssl = terms_->tls->accept();
  if (!ssl) {
    say_own(454, EnhancedCode{4, 7, 0}, "TLS is not available for the moment");
    co_return;
  }
  end_transfer("the client sent STARTTLS");
  say_own(220, EnhancedCode{2, 0, 0}, "Ready to start TLS");
  co_await flush();
  if (over_) co_return;
  channel_.set_deadline(now() + limits::command_wait);
  auto done = co_await channel_.handshake(std::move(ssl));
  if (!done) {
    base::log_info(id_, "TLS with " + client_.str() + " failed: " + done.error().text);
    output_lost_ = true;
    over_ = true;
    co_return;
  }
  // RFC 3207 §4.2: what was learnt before TLS is gone.
  helo_.clear();
  ident_.clear();
  extended_ = false;
}

void Session::on_xforward(const smtp::Xforward& xforward) {
  if (transfer_) {
    bad_command(own(503, EnhancedCode{5, 5, 1}, "XFORWARD comes before MAIL"));
    return;
  }
  for (const auto& attribute : xforward.attributes) {
    if (attribute.name == smtp::Xforward::Name::ident) ident_ = attribute.value.value_or("");
  }
  say_own(250, EnhancedCode{2, 0, 0}, "Ok");
}

// ── the transaction ─────────────────────────────────────────────────────────────────────────────

std::string Session::received_field() const {
  const auto& config = *snapshot_->config;
  if (!config.outbound.add_received) return {};
  const auto when = worker_.shared().clock->wall();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  smtp::TraceFacts facts;
  facts.helo = helo_;
  facts.peer = client_.ip;
  facts.hostname = config.server.hostname;
  facts.lmtp = lmtp_;
  facts.extended = extended_;
  facts.tls = channel_.is_tls();
  facts.smtputf8 = transfer_->transaction()->envelope.parameters.smtputf8;
  facts.id = transfer_->id();
  facts.only_recipient = transfer_->only_recipient();
  facts.when = std::chrono::floor<std::chrono::seconds>(when);
  facts.zone = std::chrono::minutes(local.tm_gmtoff / 60);
  return smtp::received_field(facts);
}

void Session::on_mail(smtp::Mail mail) {
  if (helo_.empty()) {
    bad_command(own(503, EnhancedCode{5, 5, 1}, lmtp_ ? "LHLO comes first" : "EHLO comes first"));
    return;
  }
  if (transfer_) {
    bad_command(own(503, EnhancedCode{5, 5, 1}, "A transaction is open already"));
    return;
  }
  if (draining()) {
    hang_up("The relay is ending", EnhancedCode{4, 3, 2});
    return;
  }
  // RFC 1870 §6.1.
  if (mail.parameters.size.value_or(0) > snapshot_->config->outbound.max_message_size) {
    say_own(552, EnhancedCode{5, 3, 4}, "The message is larger than max_message_size");
    return;
  }
  auto transaction = std::make_shared<Transaction>();
  transaction->id = worker_.random().id();
  transaction->queue_id = ident_;
  transaction->envelope.reverse_path = std::move(mail.reverse_path);
  transaction->envelope.parameters = mail.parameters;
  transaction->lmtp = lmtp_;
  transaction->dialled = dialled_;
  transfer_ = std::make_shared<Transfer>(worker_, snapshot_, transaction);
  phase_ = Phase::open;
  say_own(250, EnhancedCode{2, 1, 0}, "Ok");
}

// Why this client may relay nothing at all.
std::optional<smtp::Reply> Session::recipient_refusal() {
  std::string reason;
  if (!may_relay_) {
    reason = client_.str() + " may not relay here (clients of the listener)";
  } else if (terms_->tls && !terms_->listen.client_ca.empty()) {
    const auto problem = TlsServer::certificate_problem(channel_.ssl());
    if (problem) reason = "A client certificate is demanded: " + *problem;
  }
  if (reason.empty()) return std::nullopt;
  if (!told_no_relay_) base::log_warn(id(), "refused " + client_.str() + ": " + reason);
  told_no_relay_ = true;
  // Passing: a typing error in the configuration must not bounce mail.
  return own(451, EnhancedCode{4, 7, 1}, reason);
}

void Session::on_rcpt(smtp::Rcpt rcpt) {
  if (!transfer_) {
    // RFC 2920 §3.1: many of them may stand behind a MAIL that was refused.
    say_own(503, EnhancedCode{5, 5, 1}, "MAIL comes first");
    return;
  }
  if (transfer_->recipients() >= limits::recipients) {
    transfer_->answer(own(452, EnhancedCode{4, 5, 3}, "Too many recipients"));
  } else if (auto refusal = recipient_refusal()) {
    transfer_->answer(std::move(*refusal));
  } else {
    transfer_->recipient(std::move(rcpt.recipient), smtp::is_data_line(channel_.buffered()));
  }
}

void Session::end_transfer(const std::string& why) {
  if (!transfer_) return;
  transfer_->abandon(why);
  transfer_.reset();
  ident_.clear();
  phase_ = Phase::idle;
}

}  // namespace proxy
