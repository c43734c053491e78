// Walk: one address of a host. A connection that is open, or a turn in line and a new one; what its
// session proved, by judge(); and whether the mail fits through it.
#include <array>

#include "proxy/dialled.h"
#include "proxy/host_memory.h"
#include "proxy/meters.h"
#include "proxy/near_histories.h"
#include "proxy/seen_hosts.h"
#include "proxy/tls_client.h"
#include "proxy/walk.h"

namespace proxy {

namespace {

using smtp::EnhancedCode;
using smtp::make_reply;

constexpr EnhancedCode no_answer{4, 4, 1}, all_in_use{4, 4, 5};
constexpr std::chrono::seconds slot_wait{30};

}  // namespace

asio::awaitable<std::unique_ptr<MxLink>> Walk::try_address(base::Ip ip, SteadyTime budget,
                                                           bool use_pool) {
  if (!current_) current_ = current_host();
  if (base::is_private_destination(ip) &&
      !base::any_contains(config_.outbound.private_destinations, ip)) {
    note(private_address(place(ip)));
    co_return nullptr;
  }
  // The connection that the client waited for comes first, so that the MX sees one.
  const bool opened_early = to_dialled(ip) && transaction_->dialled->has_connection();
  if (use_pool && !opened_early) {
    auto link = take_idle(ip);
    if (link) co_return fit(std::move(link));
  }
  HostMemory& memory = *worker_.shared().host_memory;
  const SteadyTime now = std::chrono::steady_clock::now();
  const std::string terms = tls_key() + "|" + address_key(ip);
  std::array<std::string, 2> keys{"a|" + address_key(ip), mark_key(terms)};
  // A mark that stands comes first, so that nobody is the probe of one and stopped by the other.
  if (memory.is_marked(keys[1], now)) std::swap(keys[0], keys[1]);
  for (const std::string& key : keys) {
    const auto look = memory.look(key, now, config_.outbound.host_memory);
    const bool tls = key.front() == 't';
    if (!look.marked || (opened_early && !tls)) continue;
    by_policy_ |= tls;
    by_sts_ |= tls && current_->plan->pkix_by_sts;
    note(tls ? Rank::policy : Rank::reach,
         make_reply(451, tls ? EnhancedCode{4, 7, 5} : no_answer,
                    look.reason + " (seen within the last " +
                        std::to_string(config_.outbound.host_memory.count() / 1000) +
                        " s and not tried again before)"),
         tls ? std::optional(tlsrpt::ResultType::validation_failure) : std::nullopt);
    co_return nullptr;
  }
  bool in_cleartext = false;
  auto link = co_await connect(ip, budget, use_pool, false, in_cleartext);
  if (!link && in_cleartext && !stopped_) {
    bool ignored = false;
    link = co_await connect(ip, budget, false, true, ignored);
  }
  if (!link) co_return nullptr;
  memory.clear("a|" + address_key(ip));
  if (current_->host) memory.clear("h|" + current_->host->str());
  memory.clear(mark_key(terms));
  auto fitting = fit(std::move(link));
  co_return fitting;
}

// One that is open and may carry this mail.
std::unique_ptr<MxLink> Walk::take_idle(base::Ip ip) {
  if (worker_.pool().era() != era_) return nullptr;
  auto link = worker_.pool().take(tls_key() + "|" + address_key(ip));
  if (!link) return nullptr;
  if (!may_use(*link)) {
    link->session->quit();
    return nullptr;
  }
  return link;
}

bool Walk::may_use(MxLink& link) const {
  if (link.era != era_ || !judge_again(link)) return false;
  if (worker_.shared().meters) worker_.shared().meters->reused.add();
  return true;
}

asio::awaitable<Place> Walk::take_place(base::Ip ip, SteadyTime budget, bool use_pool) {
  MxSlots& slots = *worker_.shared().slots;
  Pool& pool = worker_.pool();
  const std::uint32_t limit = config_.outbound.max_connections_per_mx;
  Place place;
  if (stopped_) co_return place;
  place.slot = slots.take(ip, limit);
  // One that has rested under other terms, which this mail must not go over, makes place.
  if (!place.slot && pool.make_place(ip, true)) place.slot = slots.take(ip, limit);
  if (place.slot) co_return place;
  // Over LMTP before the session gives up on this domain (outbound.lmtp_wait), so that the reply
  // says what was waited for.
  const auto patience = transaction_->lmtp
                            ? std::min<std::chrono::milliseconds>(
                                  slot_wait, config_.outbound.lmtp_wait * 2 / 3)
                            : std::chrono::milliseconds(slot_wait);
  const SteadyTime now = std::chrono::steady_clock::now();
  const SteadyTime since = turn_ && turn_->first == ip ? turn_->second : now;
  turn_.reset();
  const SteadyTime end = std::min(budget, since + patience);
  MxSlots::Waiter::Wish wish{ip, limit, {}, era_, &pool, since};
  wish.patience = std::min(wish.patience, (end - now) / 2);
  if (use_pool) wish.terms = tls_key() + "|" + address_key(ip);
  waiter_ = std::make_shared<PlaceWaiter>(worker_.io().get_executor(), std::move(wish));
  place = co_await PlaceWaiter::wait(waiter_, slots, end);
  waiter_.reset();
  if (stopped_) {
    if (place.link) pool.give(std::move(place.link), config_.outbound.idle_keepalive);
    co_return Place();
  }
  if (place.link && (!Pool::revive(*place.link) || !may_use(*place.link))) {
    place.slot = place.link->session->slot().anew();
    place.link->session->quit();
    place.link.reset();
  }
  if (place.link) turn_.emplace(ip, since);
  co_return place;
}

void Walk::note_no_place(const base::Ip& ip) {
  const std::string all = "all " + std::to_string(config_.outbound.max_connections_per_mx) +
                          " connections to " + place(ip);
  note(Rank::reach, make_reply(451, all_in_use,
                               stopped_ ? "the session ended before its turn came; " + all +
                                              " were in use"
                                        : all + " are in use"));
}

// A connection that served another domain: what its peer proved is worth what this one's plan makes
// of it.
bool Walk::judge_again(MxLink& link) const {
  if (host_plan_ && link.judged_by == host_plan_ && link.judged_under == current_->plan) {
    return true;  // the same verdict on the same evidence
  }
  policy::Evidence evidence = policy::NoStartTls{"STARTTLS is not offered"};
  if (link.tls) evidence = *link.tls;
  const policy::Verdict verdict = judge(evidence, true, link.past ? &*link.past : nullptr);
  const auto* authorized = std::get_if<policy::Authorized>(&verdict.outcome);
  if (!authorized) return false;
  link.authorized = *authorized;
  link.judged_by = host_plan_;
  link.judged_under = current_->plan;
  return true;
}

// What the host showed before; nullopt where nobody remembers, or must not: report mail of our own
// goes out whatever TLS does, and an address that is no host's has no past.
asio::awaitable<std::optional<policy::Past>> Walk::past_of_host(base::Ip ip) {
  NearHistories* const histories = worker_.histories();
  if (!histories || !current_->host || snapshot_->report_mail()) co_return std::nullopt;
  auto history = co_await histories->look(*current_->host);
  if (!history) co_return std::nullopt;
  policy::Past past{std::move(*history), ip, worker_.shared().clock->wall()};
  co_return past;
}

policy::Verdict Walk::judge(const policy::Evidence& evidence, bool cleartext_retry,
                            const policy::Past* past) const {
  if (literal_) {
    return policy::judge(*current_->plan, *literal_, evidence, cleartext_retry);
  }
  if (!current_->host) {
    return policy::judge(*current_->plan, *domain_, *address_, evidence, cleartext_retry);
  }
  return policy::judge(*current_->plan, *domain_, *current_->host, evidence, cleartext_retry,
                       past);
}

asio::awaitable<std::unique_ptr<MxLink>> Walk::connect(base::Ip ip, SteadyTime budget,
                                                       bool use_pool, bool cleartext_retry,
                                                       bool& retry_in_cleartext) {
  std::unique_ptr<PlainMx> plain = take_early(ip);
  const bool early = plain != nullptr;
  Place found;
  if (!early) found = co_await take_place(ip, budget, use_pool);
  if (found.link) co_return std::move(found.link);
  if (!early && !found.slot) {
    note_no_place(ip);
    co_return nullptr;
  }
  const MxTimes times{budget, &config_.outbound};
  began_ = std::chrono::steady_clock::now();
  const policy::Try& plan = *current_->plan;
  const std::string terms = tls_key() + "|" + address_key(ip);
  AttemptNote attempt;
  attempt.host = current_->name();
  attempt.ip = ip;
  attempt.mx_security = current_->mx_security;
  attempt.plan = &plan;
  if (!early) {
    auto opened = co_await PlainMx::open(worker_.io().get_executor(), endpoint(ip),
                                         config_.outbound, config_.server.hostname, times,
                                         std::move(*found.slot));
    if (!opened) {
      attempt.failure = opened.error().text;
      log_attempt(logged(), domain_, plan_, attempt);
      note_mx(ip, opened.error());
      co_return nullptr;
    }
    plain = std::move(*opened);
  }
  attempt.peer = plain->peer();
  policy::Evidence evidence = policy::NoStartTls{};
  std::unique_ptr<MxSession> session;
  if (cleartext_retry) {
    evidence = policy::NoStartTls{"TLS failed before on this address"};
  } else if (!plain->offers_starttls()) {
    evidence = policy::NoStartTls{plain->helo_only() ? "EHLO is refused"
                                                     : "STARTTLS is not offered"};
  } else {
    SslPtr ssl = tls_client_->prepare(plan, terms);
    PlainMx& mx = *plain;
    auto secured = co_await std::move(mx).start_tls(std::move(ssl), times);
    plain.reset();
    if (secured) {
      session = std::move(*secured);
      evidence = tls_client_->collect(session->channel().ssl(), plan);
    } else if (early && secured.error().kind == MxFailure::Kind::broken &&
               !secured.error().timed_out) {
      // It died while the client took its time: no news of the host, a fresh one takes its place.
      auto fresh = co_await connect(ip, budget, use_pool, cleartext_retry, retry_in_cleartext);
      co_return fresh;
    } else if ((secured.error().reply && secured.error().kind == MxFailure::Kind::broken) ||
               (secured.error().timed_out && was_cut_short())) {
      attempt.failure = secured.error().text;
      log_attempt(logged(), domain_, plan_, attempt);
      note_mx(ip, secured.error());
      co_return nullptr;
    } else if (secured.error().kind == MxFailure::Kind::refused) {
      evidence = policy::NoStartTls{secured.error().text, true};
    } else {
      evidence = policy::HandshakeFailed{secured.error().text};
    }
  }
  // The second connection of a host whose TLS failed was judged with the first.
  if (!cleartext_retry) past_ = co_await past_of_host(ip);
  const policy::Past* const past = cleartext_retry || !past_ ? nullptr : &*past_;
  const policy::Verdict verdict = judge(evidence, cleartext_retry, past);
  attempt.evidence = &evidence;
  attempt.verdict = &verdict;
  // The second walk of observe mode tries hosts that the first one has counted.
  attempt.counted = !cleartext_retry && !literal_ && !observing_;
  log_attempt(logged(), domain_, plan_, attempt);
  if (verdict.downgrade && !observing_) {
    log_downgrade(logged(), domain_, plan_, attempt);
  }
  if (verdict.history) worker_.histories()->put(*current_->host, *verdict.history);

  if (current_->host && worker_.shared().seen_hosts) {
    worker_.shared().seen_hosts->note(*current_->host, plan, verdict,
                                      std::chrono::steady_clock::now());
  }
  const auto* authorized = std::get_if<policy::Authorized>(&verdict.outcome);
  if (const auto* denied = std::get_if<policy::Denied>(&verdict.outcome)) {
    if (session) session->quit();
    if (plain) plain->quit();
    tls_client_->forget(terms);
    by_policy_ = true;
    by_sts_ |= denied->by == policy::PolicyKind::sts;
    note(Rank::policy, denied->reply, verdict.result);
    const SteadyTime now = std::chrono::steady_clock::now();
    HostMemory& memory = *worker_.shared().host_memory;
    // Other mail under the same terms may have an exception from policy.on_downgrade: where that
    // alone denied the host, whose reason is then the downgrade's, no mark stands in its way.
    const bool by_its_past = verdict.downgrade && verdict.reason == verdict.downgrade->reason;
    if (!by_its_past) {
      memory.mark(mark_key(terms), denied->reply.lines.front(), now, config_.outbound.host_memory);
    }
    if (current_->host) {
      memory.mark("h|" + current_->host->str(), verdict.reason, now, config_.outbound.host_memory);
    }
    co_return nullptr;
  }
  if (!authorized || (!session && !plain)) {
    // Nothing forbids cleartext, but this connection is used up: once more without STARTTLS.
    if (plain) plain->quit();
    retry_in_cleartext = true;
    co_return nullptr;
  }
  if (!session) session = std::move(*plain).stay_in_cleartext();
  if (!session->cleartext()) {
    auto greeted = co_await session->ehlo(config_.server.hostname, times);
    if (!greeted) {
      note_mx(ip, greeted.error());
      co_return nullptr;
    }
  }
  if (Meters* const meters = worker_.shared().meters; meters && !early) {
    meters->connect.observe(std::chrono::steady_clock::now() - began_);
  }
  std::optional<policy::TlsSession> tls;
  if (auto* facts = std::get_if<policy::TlsSession>(&evidence)) tls = std::move(*facts);
  MxLink link{std::move(session), *authorized, terms, std::move(tls), false, early, past_};
  link.era = era_;
  co_return std::make_unique<MxLink>(std::move(link));
}

// What the message needs of the MX: SIZE, SMTPUTF8, 8BITMIME. Another MX first; then 8-bit data and
// ASCII envelopes go as they are (converting would break signatures).
std::unique_ptr<MxLink> Walk::fit(std::unique_ptr<MxLink> link) {
  const smtp::Extensions& offered = link->session->extensions();
  const smtp::Envelope& envelope = transaction_->envelope;
  const std::string where = place(link->session->peer().ip);
  const auto back = [&] {
    turn_.reset();
    worker_.pool().give(std::move(link), config_.outbound.idle_keepalive);
  };
  const auto& size = envelope.parameters.size;
  if (size && offered.size_limit > 0 && *size > offered.size_limit) {
    note(Rank::feature,
         make_reply(552, {5, 3, 4},
                    "the message has " + std::to_string(*size) + " octets, " + where +
                        " takes " + std::to_string(offered.size_limit)));
    back();
    return nullptr;
  }
  if (!offered.smtputf8 && (needs_smtputf8_ || !envelope.reverse_path_is_ascii())) {
    note(Rank::feature, make_reply(553, {5, 6, 7},
                                   "the addresses need SMTPUTF8, which " + where +
                                       " does not offer"));
    back();
    return nullptr;
  }
  const bool lacks =
      (!offered.smtputf8 && envelope.parameters.smtputf8) ||
      (!offered.eight_bit_mime && envelope.parameters.body == smtp::Body::eight_bit_mime);
  if (lacks && !accept_lacking_) {
    lacking_.insert(link->terms);
    back();
    return nullptr;
  }
  return link;
}

}  // namespace proxy
