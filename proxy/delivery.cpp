#include "proxy/delivery.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "audit/log.h"
#include "proxy/attempt_log.h"
#include "proxy/meters.h"
#include "proxy/walk.h"

namespace proxy {

namespace {

using smtp::EnhancedCode;
using smtp::make_reply;
using smtp::Reply;

constexpr std::chrono::seconds reset_wait{10};
constexpr std::size_t piece_octets = 16384;  // one TLS record
constexpr std::string_view end_of_data = ".\r\n";

audit::Verdict verdict_of(const Reply& reply) {
  if (reply.is_positive()) return audit::Verdict::delivered;
  return reply.is_permanent() ? audit::Verdict::rejected : audit::Verdict::deferred;
}

// RSET behind a transaction that was given up before DATA, then back into the pool.
asio::awaitable<void> reset_and_keep(Worker& worker, std::unique_ptr<MxLink> link,
                                     std::chrono::milliseconds keepalive) {
  const SteadyTime end = std::chrono::steady_clock::now() + reset_wait;
  auto reply = co_await link->session->wire().command("RSET\r\n", end);
  if (reply && reply->is_positive()) {
    worker.pool().give(std::move(link), keepalive);
  } else {
    link->session->quit();
  }
}

}  // namespace

struct Delivery::Impl : std::enable_shared_from_this<Delivery::Impl> {
  enum class State { open, data, ended };

  Impl(Worker& w, std::shared_ptr<const Snapshot> s, std::shared_ptr<const Transaction> t,
       std::variant<base::Domain, base::Ip> destination)
      : worker(w),
        snapshot(std::move(s)),
        limits(snapshot->config->outbound),
        transaction(std::move(t)),
        domain(std::holds_alternative<base::Domain>(destination)
                   ? std::optional(std::get<base::Domain>(destination))
                   : std::nullopt),
        walk(w, snapshot, transaction, std::move(destination)) {
    const std::string& sender = transaction->envelope.reverse_path;
    if (!sender.empty()) local_parts.push_back(sender.substr(0, sender.rfind('@')));
  }
  ~Impl() { tell_outcomes(); }

  asio::awaitable<Reply> recipient(smtp::Mailbox mailbox, bool data_next);
  asio::awaitable<std::optional<Reply>> begin_data();
  asio::awaitable<bool> write(std::string_view octets, bool more);
  asio::awaitable<bool> send(std::string_view octets);
  asio::awaitable<Reply> finish();
  void abandon(const std::string& why);

  asio::awaitable<Reply> first_recipient(smtp::Mailbox mailbox, bool data_next,
                                         SteadyTime budget);
  asio::awaitable<std::optional<Reply>> open_again(SteadyTime budget);
  asio::awaitable<MxResult<Reply>> say_data();

  Reply own(Reply reply) const {
    return reply.is_positive() ? reply : smtp::with_id(std::move(reply), transaction->id);
  }
  Reply own(int code, EnhancedCode enhanced, const std::string& text) const {
    return own(make_reply(code, enhanced, text));
  }
  Reply passed(const Reply& reply, smtp::Stage stage) const {
    Reply out = smtp::relayed(reply, stage, link && link->session->cleartext());
    const int digit = reply.code / 100;
    const bool its_own_words = digit == 4 || digit == 5 || out.code < 400;
    return its_own_words ? out : own(std::move(out));
  }
  std::string mx() const {
    if (!walk.current()) return "the MX";
    const std::string ip = link ? link->session->peer().ip.str() : std::string();
    return walk.current()->name() + (ip.empty() ? "" : " [" + ip + "]");
  }
  bool was_idle() const { return link->reused || link->opened_early; }
  Reply before_the_dot(const MxResult<Reply>& early) const;
  void give_back();
  void count(const Reply& reply, std::uint32_t recipients, std::string reason = {});
  audit::Record record_of(const Reply& reply, std::uint32_t recipients, audit::Verdict verdict,
                          const std::string& reason) const;
  void tell_outcomes();

  Worker& worker;
  std::shared_ptr<const Snapshot> snapshot;
  const config::Outbound& limits;
  std::shared_ptr<const Transaction> transaction;
  std::optional<base::Domain> domain;
  Walk walk;
  const SteadyTime begun = std::chrono::steady_clock::now();
  std::unique_ptr<MxLink> link;
  State state = State::open;
  std::vector<smtp::Mailbox> accepted;
  std::vector<std::string> local_parts;
  std::optional<Reply> failed;   // for the whole domain in this transaction
  std::optional<Reply> broken;   // while the body was sent
  bool busy = false;             // a coroutine of ours is using the connection
  bool abandoned = false;
  bool spent = false;            // the MX said 421: not to be used again
  bool walk_failed = false;      // `failed` is the relay's own word about the hosts
  bool in_transaction = false;   // MAIL was accepted and the dot not answered
  bool over_there = false;       // MAIL was accepted, and a DATA in vain ended that
  bool data_sent = false;        // DATA went out with RCPT, and its reply is still to be read
  std::uint64_t taken = 0;
  // What goes out with the octets behind it, at most a piece: with our Received field in front, and
  // the dot behind, a small message is one TLS record instead of four.
  std::string held;
  std::string dropped;
  audit::Reservation reservation;
  std::optional<audit::Record> delivered;  // for client_lost_reply
  struct Outcome {
    Reply reply;
    std::uint32_t recipients;
    std::string reason;
  };
  std::vector<Outcome> outcomes;
};

// ---- recipients ---------------------------------------------------------------------------------

asio::awaitable<Reply> Delivery::Impl::recipient(smtp::Mailbox mailbox, bool data_next) {
  const auto self = shared_from_this();
  local_parts.push_back(mailbox.local_part);
  if (failed) {
    count(*failed, 1);
    co_return *failed;
  }
  const SteadyTime budget = std::chrono::steady_clock::now() + limits.recipient_wait;
  if (!mailbox.is_ascii()) walk.require_smtputf8();
  if (link && std::exchange(over_there, false)) {
    give_back();
    walk.again(true);
  }
  busy = true;
  Reply reply;
  if (!link) {
    reply = co_await first_recipient(mailbox, data_next, budget);
  } else if (!mailbox.is_ascii() && !link->session->sent_smtputf8()) {
    reply = own(553, {5, 6, 7},
                "the address needs SMTPUTF8, which this session with " + mx() + " has not");
  } else {
    const MxTimes times{budget, &limits};
    auto answered = co_await link->session->rcpt(mailbox, times);
    if (answered) {
      reply = passed(*answered, smtp::Stage::rcpt);
    } else {
      reply = own(451, {4, 4, 2}, mx() + ": " + answered.error().text);
      link->session->abort();
      link.reset();
      // A later recipient must not open a connection that knows nothing of those accepted:
      // begin_data() opens one for all of them.
      failed = reply;
    }
  }
  busy = false;
  if (reply.is_positive()) {
    accepted.push_back(std::move(mailbox));
  } else {
    count(reply, 1);
  }
  if (abandoned) abandon("the client gave up");
  co_return reply;
}

asio::awaitable<Reply> Delivery::Impl::first_recipient(smtp::Mailbox mailbox, bool data_next,
                                                       SteadyTime budget) {
  const MxTimes times{budget, &limits};
  bool use_pool = limits.idle_keepalive.count() > 0;
  for (;;) {
    link = co_await walk.next(budget, use_pool);
    if (!link) {
      failed = own(walk.reply());
      walk_failed = true;
      co_return *failed;
    }
    auto opened = co_await link->session->mail_and_rcpt(link->authorized, transaction->envelope,
                                                        mailbox, data_next, times);
    if (!opened) {
      // An idle connection found dead is no news of the host: a fresh one takes its place.
      if (was_idle()) {
        walk.again(false);
        use_pool = false;
      } else {
        walk.lost(*link, opened.error());
      }
      link->session->abort();
      link.reset();
      continue;
    }
    if (opened->mail.code == 421 && was_idle()) {
      link->session->quit();
      link.reset();
      walk.again(false);
      use_pool = false;
      continue;
    }
    if (!opened->mail.is_positive()) {
      // The connection stays until the log has told what it was.
      failed = passed(opened->mail, smtp::Stage::mail);
      spent = opened->mail.code == 421;
      co_return *failed;
    }
    over_there = opened->over;
    in_transaction = !over_there;
    if (opened->rcpt->code == 421) {
      failed = passed(*opened->rcpt, smtp::Stage::rcpt);
      spent = true;
      co_return *failed;
    }
    data_sent = opened->data_sent;
    co_return passed(*opened->rcpt, smtp::Stage::rcpt);
  }
}

// ---- the data -----------------------------------------------------------------------------------

asio::awaitable<MxResult<Reply>> Delivery::Impl::say_data() {
  const SteadyTime end = std::chrono::steady_clock::now() + limits.data_wait;
  SmtpWire& wire = link->session->wire();
  if (std::exchange(data_sent, false)) {
    auto reply = co_await wire.read_reply(end);
    co_return reply;
  }
  auto reply = co_await wire.command(data_line, end);
  co_return reply;
}

// The connection was found dead between RCPT and DATA: a fresh one, with the same recipients, of
// which every one must be accepted again.
asio::awaitable<std::optional<Reply>> Delivery::Impl::open_again(SteadyTime budget) {
  const MxTimes times{budget, &limits};
  std::vector<smtp::Mailbox> again;
  again.swap(accepted);
  walk.again(true);
  const Reply first = co_await first_recipient(again.front(), false, budget);
  if (!first.is_positive()) co_return first;
  for (std::size_t i = 1; i < again.size(); ++i) {
    auto answered = co_await link->session->rcpt(again[i], times);
    if (!answered) {
      co_return own(451, {4, 4, 2}, mx() + ": " + answered.error().text);
    }
    if (!answered->is_positive()) {
      co_return own(451, {4, 4, 2},
                    mx() + " closed the connection, and did not take every recipient again: " +
                        answered->str());
    }
  }
  accepted.swap(again);
  co_return std::nullopt;
}

asio::awaitable<std::optional<Reply>> Delivery::Impl::begin_data() {
  const auto self = shared_from_this();
  const SteadyTime budget = std::chrono::steady_clock::now() + limits.data_wait;
  const auto recipients = static_cast<std::uint32_t>(accepted.size());
  std::optional<Reply> ended;
  busy = true;
  for (bool second = false;; second = true) {
    if (!link) {
      ended = co_await open_again(budget);
      if (ended) break;
      second = true;
    }
    auto reply = co_await say_data();
    if (!reply || (reply->code == 421 && link->reused)) {
      const std::string text = reply ? reply->str() : reply.error().text;
      const std::string where = mx();
      link->session->abort();
      link.reset();
      if (!second && std::chrono::steady_clock::now() < budget) continue;
      ended = own(451, {4, 4, 2}, where + ": " + text);
      break;
    }
    if (reply->code == 354) break;
    if (reply->is_positive() || reply->code < 400) {
      ended = own(451, {4, 4, 2}, mx() + " answered DATA with " + reply->str());
      link->session->abort();
      link.reset();
    } else {
      ended = passed(*reply, smtp::Stage::data);
      if (reply->code == 421) link->session->quit();
    }
    break;
  }
  busy = false;
  if (abandoned) {
    if (link) link->session->abort();
    link.reset();
  }
  if (ended) {
    count(*ended, recipients);
    state = State::ended;
    if (link) give_back();
    co_return ended;
  }
  state = State::data;
  held = transaction->received;
  co_return std::nullopt;
}

asio::awaitable<bool> Delivery::Impl::write(std::string_view octets, bool more) {
  if (broken || !link || abandoned) co_return false;
  const auto self = shared_from_this();
  if (held.size() + octets.size() <= piece_octets) {
    held.reserve(held.size() + octets.size() + end_of_data.size());
    held += octets;
    if (more) co_return true;
    octets = {};
  }
  if (!held.empty()) {
    const std::string first = std::exchange(held, {});
    const bool sent = co_await send(first);
    if (!sent) co_return false;
  }
  const bool sent = co_await send(octets);
  co_return sent;
}

asio::awaitable<bool> Delivery::Impl::send(std::string_view octets) {
  Channel& channel = link->session->channel();
  while (!octets.empty()) {
    const std::string_view piece = octets.substr(0, piece_octets);
    channel.set_deadline(std::chrono::steady_clock::now() + limits.stall);
    busy = true;
    auto written = co_await channel.write(piece);
    busy = false;
    if (!written || !dropped.empty()) {
      const bool stalled = written || written.error().kind == IoError::Kind::timeout;
      std::string why = dropped;
      if (why.empty()) why = stalled ? "it took no data in time" : written.error().text;
      broken = own(451, {4, 4, 2}, mx() + ": " + why + "; the message was not ended there");
      link->session->abort();
      co_return false;
    }
    taken += piece.size();
    octets.remove_prefix(piece.size());
  }
  co_return true;
}

asio::awaitable<Reply> Delivery::Impl::finish() {
  const auto self = shared_from_this();
  const auto recipients = static_cast<std::uint32_t>(accepted.size());
  state = State::ended;
  Reply reply;
  audit::Verdict verdict = audit::Verdict::deferred;
  std::string reason;
  bool sent = false;
  if (broken) {
    reply = *broken;
  } else if (auto promised = worker.shared().log->reserve(); !promised) {
    reply = own(451, {4, 3, 0},
                "the enforcement log cannot be written: " + promised.error().text);
    link->session->abort();
  } else {
    reservation = std::move(*promised);
    const SteadyTime end = std::chrono::steady_clock::now() + limits.final_wait;
    SmtpWire& wire = link->session->wire();
    std::optional<MxResult<Reply>> answer;
    busy = true;
    const auto early = co_await wire.unasked(end);
    if (!early) {
      held += end_of_data;
      auto answered = co_await wire.ask(held, end);
      answer.emplace(std::move(answered));
    }
    busy = false;
    sent = answer.has_value();
    if (!answer) {
      reply = before_the_dot(*early);
      link->session->abort();
    } else if (*answer) {
      in_transaction = false;
      reply = passed(**answer, smtp::Stage::dot);
      verdict = verdict_of(reply);
    } else {
      // RFC 5321 §4.5.4.1: no answer to the dot; the client keeps the message and tries again.
      reply = own(451, {4, 4, 2},
                  mx() + ": " + answer->error().text +
                      " after the end of the message; it may have it all the same");
      verdict = audit::Verdict::uncertain;
      link->session->abort();
    }
  }
  if (!sent) verdict = verdict_of(reply);
  audit::Record record = record_of(reply, recipients, verdict, reason);
  worker.shared().log->append(record, std::move(reservation));
  if (verdict == audit::Verdict::delivered) delivered = std::move(record);
  if (Meters* const meters = worker.shared().meters; meters && delivered) {
    meters->delivery.observe(std::chrono::steady_clock::now() - begun);
  }
  if (sent && link->session->channel().is_open()) give_back();
  link.reset();
  co_return reply;
}

// What the MX said before it had the end of the message: a refusal counts, nothing else does, and
// the message is not ended there.
Reply Delivery::Impl::before_the_dot(const MxResult<Reply>& early) const {
  const std::optional<Reply> said = early ? std::optional(*early) : early.error().reply;
  if (said && (said->code / 100 == 4 || said->code / 100 == 5)) {
    return passed(*said, smtp::Stage::dot);
  }
  return own(451, {4, 4, 2}, mx() + ": " + early.error().text +
                                 "; the message was not ended there");
}

void Delivery::Impl::give_back() {
  tell_outcomes();  // While it is known which connection they came from.
  std::unique_ptr<MxLink> used = std::move(link);
  ++used->session->transactions;
  const bool more = used->session->transactions < limits.max_transactions_per_connection;
  if (std::exchange(data_sent, false)) {
    used->session->abort();  // It would take whatever comes for the message.
    return;
  }
  if (spent || !more || worker.shared().draining) {
    used->session->quit();
    return;
  }
  if (!std::exchange(in_transaction, false)) {
    worker.pool().give(std::move(used), limits.idle_keepalive);
    return;
  }
  asio::co_spawn(worker.io(), reset_and_keep(worker, std::move(used), limits.idle_keepalive),
                 asio::detached);
}

void Delivery::Impl::abandon(const std::string& why) {
  abandoned = true;
  walk.stop();
  if (state == State::data) {
    // Cancelling ends a write under way; without the dot the MX drops what it has.
    state = State::ended;
    if (link) {
      if (busy) link->session->channel().cancel();
      link->session->abort();
    }
    const auto recipients = static_cast<std::uint32_t>(accepted.size());
    outcomes.push_back({Reply{}, recipients, why});
    return;
  }
  if (state == State::ended) return;
  if (busy) {
    // The coroutine sees `abandoned` when it is back, and waits for no reply any more.
    if (link) link->session->channel().cancel();
    return;
  }
  if (!accepted.empty()) {
    outcomes.push_back({Reply{}, static_cast<std::uint32_t>(accepted.size()), why});
    accepted.clear();
  }
  if (link) give_back();
  state = State::ended;
}

// ---- the log ------------------------------------------------------------------------------------

void Delivery::Impl::count(const Reply& reply, std::uint32_t recipients, std::string reason) {
  const auto same = std::ranges::find_if(
      outcomes, [&](const Outcome& outcome) { return outcome.reply == reply; });
  if (same != outcomes.end()) {
    same->recipients += recipients;
  } else {
    outcomes.push_back({reply, recipients, std::move(reason)});
  }
}

audit::Record Delivery::Impl::record_of(const Reply& reply, std::uint32_t recipients,
                                        audit::Verdict verdict, const std::string& reason) const {
  OutcomeNote note;
  note.domain = domain;
  note.report_mail = snapshot->report_mail();
  note.recipients = recipients;
  note.verdict = verdict;
  if (snapshot->settings.mode == policy::Mode::observe) {
    note.would_be = walk.observing() ? audit::Verdict::deferred : verdict;
  }
  note.plan = walk.plan();
  if (walk.current()) {
    note.host_plan = walk.current()->plan;
    note.host = walk.current()->name();
    note.mx_security = walk.current()->mx_security;
  }
  note.link = link.get();
  const bool from_walk = walk_failed && failed && reply == *failed;
  note.result = from_walk ? walk.result() : std::nullopt;
  note.reason = reason;
  // Why the relay itself says no, in the words of its reply.
  if (note.reason.empty() && from_walk) {
    for (const std::string& line : walk.reply().lines) {
      note.reason += (note.reason.empty() ? "" : " ") + line;
    }
  }
  if (reply.code != 0) note.reply = reply.str();
  // What the relay itself says of DNS, hosts and policies names nobody: to mask words that happen
  // to be local parts too would only make it unreadable.
  if (!(from_walk && walk.in_own_words())) note.local_parts = local_parts;
  return outcome_record(*transaction, note);
}

void Delivery::Impl::tell_outcomes() {
  if (!worker.shared().log) return;
  for (const Outcome& outcome : outcomes) {
    const audit::Verdict verdict =
        outcome.reply.code == 0 ? audit::Verdict::deferred : verdict_of(outcome.reply);
    worker.shared().log->append(
        record_of(outcome.reply, outcome.recipients, verdict, outcome.reason));
  }
  outcomes.clear();
}

// ---- the outside --------------------------------------------------------------------------------

Delivery::Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                   std::shared_ptr<const Transaction> transaction, base::Domain domain)
    : impl_(std::make_shared<Impl>(worker, std::move(snapshot), std::move(transaction),
                                   std::move(domain))) {}

Delivery::Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                   std::shared_ptr<const Transaction> transaction, base::Ip literal)
    : impl_(std::make_shared<Impl>(worker, std::move(snapshot), std::move(transaction),
                                   literal)) {}

Delivery::~Delivery() {
  if (impl_->state == Impl::State::ended) return;
  impl_->abandon("the transaction ended before the message");
}

asio::awaitable<Reply> Delivery::recipient(smtp::Mailbox mailbox, bool data_next) {
  return impl_->recipient(std::move(mailbox), data_next);
}
asio::awaitable<std::optional<Reply>> Delivery::begin_data() { return impl_->begin_data(); }
asio::awaitable<bool> Delivery::write(std::string_view octets, bool more) {
  return impl_->write(octets, more);
}
std::uint64_t Delivery::octets_taken() const { return impl_->taken; }

void Delivery::drop(std::string reason) {
  impl_->dropped = std::move(reason);
  if (impl_->link) impl_->link->session->channel().cancel();
}

bool Delivery::has_smtputf8() const {
  return impl_->link && impl_->link->session->sent_smtputf8();
}
asio::awaitable<Reply> Delivery::finish() { return impl_->finish(); }

void Delivery::client_lost_reply() {
  if (!impl_->delivered) return;
  audit::Record record = std::move(*impl_->delivered);
  impl_->delivered.reset();
  record.verdict = audit::Verdict::uncertain;
  record.reason = "the MX took the message, but the client was gone before it had the reply";
  impl_->worker.shared().log->append(record);
}

void Delivery::abandon(std::string why) { impl_->abandon(why); }

}  // namespace proxy
