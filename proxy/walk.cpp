#include "proxy/walk.h"

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/overloaded.h"
#include "policy/sts_engine.h"
#include "proxy/dialled.h"
#include "proxy/host_histories.h"
#include "proxy/host_memory.h"
#include "proxy/meters.h"
#include "proxy/seen_hosts.h"
#include "proxy/survey.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace {

using smtp::EnhancedCode;
using smtp::make_reply;

constexpr EnhancedCode no_answer{4, 4, 1}, all_in_use{4, 4, 5};
constexpr std::chrono::seconds slot_wait{30};
constexpr std::size_t hosts_prefetched = 8;

bool same_policy(const policy::StsState& a, const policy::StsState& b) {
  const auto* left = std::get_if<policy::StsActive>(&a);
  const auto* right = std::get_if<policy::StsActive>(&b);
  if (!left || !right) return a.index() == b.index();
  return left->id == right->id && left->policy.lines == right->policy.lines;
}

}  // namespace

Walk::Walk(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const Transaction> transaction,
           std::variant<base::Domain, base::Ip> destination)
    : worker_(worker),
      snapshot_(std::move(snapshot)),
      config_(*snapshot_->config),
      transaction_(std::move(transaction)),
      tls_client_(worker.tls_client()),
      era_(worker.pool().era()) {
  if (auto* domain = std::get_if<base::Domain>(&destination)) {
    domain_ = std::move(*domain);
    operator_ = operator_today(*worker_.shared().clock, snapshot_->settings, *domain_);
  } else {
    literal_ = std::get<base::Ip>(destination);
  }
}

// ---- planning -----------------------------------------------------------------------------------

asio::awaitable<bool> Walk::make_plan(SteadyTime budget) {
  planned_ = true;
  if (literal_) {
    auto decision = policy::plan_literal(snapshot_->settings, *literal_);
    if (auto* excluded = std::get_if<policy::Excluded>(&decision)) {
      by_policy_ = excluded->by_policy;
      note(Rank::policy, excluded->reply, excluded->result);
      co_return false;
    }
    address_plan_ = std::move(std::get<policy::Try>(decision));
    address_ = *literal_;
    if (transaction_->dialled) {
      const base::Ip& dialled = transaction_->dialled->where().address;
      address_ = policy::route_dialled_literal(*address_plan_, *literal_, dialled);
    }
    co_return true;
  }
  Shared& shared = worker_.shared();
  if (config_.dane.enabled && shared.validation == Validation::broken) {
    note(resolver_broken(*domain_));
    co_return false;
  }
  const bool ignore_dnssec = ignores_dnssec();
  worker_.gather().prefetch_mx(*domain_, ignore_dnssec);
  policy::StsState sts = policy::StsAbsent{"MTA-STS is disabled here"};
  if (config_.mta_sts.enabled && shared.sts) {
    // RFC 8461 §5.1 lets the first message go while the policy is fetched; it waits a while here.
    sts = co_await shared.sts->state_for(*domain_, config_.mta_sts.first_contact_wait);
  }
  const auto mx = co_await worker_.gather().mx(*domain_, ignore_dnssec, budget);
  if (!mx) {
    note(mx_not_in_time(*domain_));
    co_return false;
  }
  if (transaction_->dialled) {
    policy::DomainFacts facts{*domain_, mx->mx, mx->security, mx->expanded, std::move(sts)};
    planned_domain_ = std::make_shared<Plans::Planned>();
    planned_domain_->outcome = policy::plan_dialled_domain(snapshot_->settings, operator_, facts);
  } else {
    planned_domain_ = worker_.plans().domain(snapshot_, operator_, *domain_, mx, std::move(sts));
  }
  if (const auto* refused = std::get_if<policy::Refused>(&planned_domain_->outcome)) {
    by_policy_ = refused->by_policy;
    by_sts_ = refused->kind == policy::PolicyKind::sts;
    log_refused(logged(), *domain_, *refused);
    note(failure_of(*refused));
    co_return false;
  }
  plan_ = &std::get<policy::DomainPlan>(planned_domain_->outcome);
  if (plan_->exception) log_exception(logged(), *domain_, *plan_->exception);
  order_hosts();
  if (transaction_->dialled) co_await find_route(budget);
  co_return true;
}

void Walk::order_hosts() {
  hosts_ = plan_->hosts;
  leave_out_own([this](const policy::MxHost& host) {
    return host.host.str() == config_.server.hostname;
  });
  policy::shuffle_equal_preferences(hosts_, [this](std::size_t n) {
    return static_cast<std::size_t>(worker_.random().below(n));
  });
  const SteadyTime now = std::chrono::steady_clock::now();
  const HostMemory& memory = *worker_.shared().host_memory;
  for (auto from = hosts_.begin(); from != hosts_.end();) {
    const auto to = std::find_if(from, hosts_.end(), [&](const policy::MxHost& other) {
      return other.preference != from->preference;
    });
    std::stable_partition(from, to, [&](const policy::MxHost& host) {
      return !memory.is_marked("h|" + host.host.str(), now);
    });
    from = to;
  }
  if (hosts_.size() == 1) return;  // it is asked for next anyway
  for (std::size_t i = 0; i < std::min(hosts_.size(), hosts_prefetched); ++i) {
    worker_.gather().prefetch(query_for(hosts_[i].host));
  }
}

Gather::HostQuery Walk::query_for(const base::Domain& host) const {
  dane::HostOrigin origin{*domain_, plan_->expanded, plan_->by_mx, plan_->mx_security};
  return host_query(config_, std::move(origin), host, ignores_dnssec());
}

bool Walk::ignores_dnssec() const {
  return snapshot_->report_mail() ||
         (operator_.exception && operator_.exception->ignore_dnssec);
}

LoggedMail Walk::logged() const {
  return LoggedMail{worker_, *transaction_, snapshot_->report_mail()};
}

// RFC 8461 §5.1: before giving up for an enforce policy, look whether it was changed.
asio::awaitable<bool> Walk::plan_again(SteadyTime budget) {
  rechecked_ = true;
  const policy::StsState before = plan_ ? plan_->sts : policy::StsState(policy::StsAbsent{""});
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      budget - std::chrono::steady_clock::now());
  const auto wait = std::clamp<std::chrono::milliseconds>(left, std::chrono::milliseconds(0),
                                                          config_.mta_sts.first_contact_wait);
  const auto now_known = co_await worker_.shared().sts->recheck(*domain_, wait);
  if (same_policy(before, now_known)) co_return false;
  failure_.reset();
  by_policy_ = by_sts_ = beside_own_ = false;
  next_host_ = next_address_ = without_address_ = 0;
  addresses_.clear();
  current_.reset();  // it points into what goes now
  host_plan_.reset();
  address_plan_.reset();
  unprotected_route_.reset();
  plan_ = nullptr;
  planned_domain_.reset();
  hosts_.clear();  // of a plan that is no more: the new one may be a refusal
  const bool planned = co_await make_plan(budget);
  co_return planned;
}

// ---- walking ------------------------------------------------------------------------------------

asio::awaitable<std::unique_ptr<MxLink>> Walk::next(SteadyTime budget, bool use_pool) {
  current_.reset();
  budget_ = budget;
  Meters* const meters = worker_.shared().meters;
  if (!planned_) {
    const SteadyTime begun = std::chrono::steady_clock::now();
    const bool planned = co_await make_plan(budget);
    if (meters) meters->plan.observe(std::chrono::steady_clock::now() - begun);
    if (!planned && !(by_sts_ && !rechecked_)) co_return nullptr;
  }
  for (;;) {
    if (stopped_) co_return nullptr;
    if (std::chrono::steady_clock::now() >= budget) {
      note(Rank::reach, make_reply(451, no_answer,
                                   "the time for one recipient (outbound.recipient_wait) ended "
                                   "before a host of the domain was ready; the next attempt goes "
                                   "on with the hosts not yet tried"));
      co_return nullptr;
    }
    if (next_address_ < addresses_.size()) {
      const base::Ip ip = addresses_[next_address_++];
      auto link = co_await try_address(ip, budget, use_pool);
      if (link) co_return link;
      continue;
    }
    if (next_host_ < (address_plan_ ? 1 : hosts_.size())) {
      co_await enter_host(budget);
      continue;
    }
    if (by_sts_ && !rechecked_ && !literal_ && config_.mta_sts.enabled) {
      const bool changed = co_await plan_again(budget);
      if (changed) continue;
    }
    if (!leave_hosts()) co_return nullptr;
  }
}

// Every host was tried. Another round: those that lack an extension, as they are; or, in observe
// mode, all of them as if nothing were published.
bool Walk::leave_hosts() {
  if (!lacking_.empty() && !accept_lacking_) {
    accept_lacking_ = true;
  } else if (by_policy_ && !observing_ && snapshot_->settings.mode == policy::Mode::observe) {
    observing_ = true;
    if (unprotected_route_) take_route(*std::exchange(unprotected_route_, std::nullopt));
  } else {
    return false;
  }
  next_host_ = next_address_ = without_address_ = 0;
  addresses_.clear();
  return true;
}

asio::awaitable<bool> Walk::enter_host(SteadyTime budget) {
  addresses_.clear();
  next_address_ = 0;
  if (address_plan_) {
    ++next_host_;
    addresses_.push_back(*address_);
    co_return true;
  }
  co_await find_own(budget);
  if (next_host_ >= hosts_.size()) co_return false;
  const base::Domain host = hosts_[next_host_++].host;
  const auto facts = co_await worker_.gather().host(query_for(host), budget);
  if (!facts) {
    note(host_not_in_time(host));
    co_return false;
  }
  current_.reset();  // it points into the plan of the host before
  host_plan_ = Plans::host(*snapshot_, *planned_domain_, facts);
  const policy::HostPlan& plan = host_plan_->plan;
  if (const auto* excluded = std::get_if<policy::Excluded>(&plan.decision)) {
    if (excluded->no_address) ++without_address_;
    if (!observing_ || !excluded->by_policy) {
      if (!observing_ && !accept_lacking_) {
        log_excluded(logged(), *plan_, plan, *excluded);
      }
      by_policy_ |= excluded->by_policy;
      by_sts_ |= excluded->by_policy && excluded->kind == policy::PolicyKind::sts;
      note(failure_of(*excluded));
      co_return false;
    }
  }
  current_ = current_host();
  addresses_ = plan.addresses;
  if (host_address_) addresses_.assign(1, *host_address_);
  co_return true;
}

Walk::Current Walk::current_host() const {
  if (address_plan_) return Current{std::nullopt, &*address_plan_, dns::Security::insecure};
  const policy::HostPlan& plan = host_plan_->plan;
  const auto* decided = std::get_if<policy::Try>(&plan.decision);
  return Current{plan.host, observing_ ? &plan.unprotected : decided, plan.mx_security};
}

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

void Walk::stop() {
  stopped_ = true;
  if (waiter_) waiter_->cancel();
}

asio::awaitable<Place> Walk::take_place(base::Ip ip, SteadyTime budget, bool use_pool) {
  MxSlots& slots = *worker_.shared().slots;
  Pool& pool = worker_.pool();
  const std::uint32_t limit = config_.outbound.max_connections_per_mx;
  Place place;
  place.slot = slots.take(ip, limit);
  // One that has rested under other terms, which this mail must not go over, makes place.
  if (!place.slot && pool.make_place(ip, true)) place.slot = slots.take(ip, limit);
  if (place.slot || stopped_) co_return place;
  // Over LMTP before the session gives up on this domain (outbound.lmtp_wait), so that the reply
  // says what was waited for.
  const auto patience = transaction_->lmtp
                            ? std::min<std::chrono::milliseconds>(
                                  slot_wait, config_.outbound.lmtp_wait * 2 / 3)
                            : std::chrono::milliseconds(slot_wait);
  const SteadyTime now = std::chrono::steady_clock::now();
  // A connection that was its turn and proved dead has not used the turn up.
  if (!line_ || line_->first != ip) line_.emplace(ip, now);
  MxSlots::Waiter::Wish wish{ip, limit, {}, era_, &pool, line_->second};
  if (use_pool) wish.terms = tls_key() + "|" + address_key(ip);
  waiter_ = std::make_shared<PlaceWaiter>(worker_.io().get_executor(), std::move(wish));
  place = co_await PlaceWaiter::wait(waiter_, slots, std::min(budget, now + patience));
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
  co_return place;
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
  HostHistories* const histories = worker_.shared().host_histories;
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
    note(Rank::reach,
         make_reply(451, all_in_use,
                    "all " + std::to_string(config_.outbound.max_connections_per_mx) +
                        " connections to " + place(ip) + " are in use"));
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
  if (verdict.history) worker_.shared().host_histories->put(*current_->host, *verdict.history);

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
  const auto back = [&] { worker_.pool().give(std::move(link), config_.outbound.idle_keepalive); };
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

// ---- reasons ------------------------------------------------------------------------------------

void Walk::lost(const MxLink& link, const MxFailure& failure) {
  note_mx(link.session->peer().ip, failure);
}

// Whether the budget ended this attempt before it had its fair share: others before it used it up,
// and a host that got a moment's wait must not be taken for dead by everybody's mail.
bool Walk::was_cut_short() const {
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto share = std::min<std::chrono::milliseconds>(config_.outbound.connect_timeout,
                                                         config_.outbound.recipient_wait / 4);
  return now >= budget_ && now - began_ < share;
}

void Walk::again() {
  if (next_address_ > 0) --next_address_;
}

void Walk::note(Rank rank, smtp::Reply reply, std::optional<tlsrpt::ResultType> result) {
  note(WalkFailure{rank, std::move(reply), result});
}

void Walk::note_mx(const base::Ip& ip, const MxFailure& failure) {
  note(failure_of(failure, place(ip)));
  const bool unreachable = failure.kind == MxFailure::Kind::unreachable;
  if (failure.kind == MxFailure::Kind::refused || (!unreachable && !failure.timed_out)) return;
  if (was_cut_short()) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  HostMemory& memory = *worker_.shared().host_memory;
  const std::string text = place(ip) + ": " + failure.text;
  memory.mark("a|" + address_key(ip), text, now, config_.outbound.host_memory);
  if (current_ && current_->host) {
    memory.mark("h|" + current_->host->str(), text, now, config_.outbound.host_memory);
  }
}

smtp::Reply Walk::reply() const {
  // Not where this machine is one of the hosts: that one has an address.
  if (!literal_ && plan_ && !beside_own_ && without_address_ > 0 &&
      without_address_ == hosts_.size()) {
    return policy::no_address_reply(*domain_);
  }
  return last_word(failure_);
}

bool Walk::in_own_words() const {
  return failure_ && failure_->rank != Rank::reach && failure_->rank != Rank::refused;
}

std::optional<tlsrpt::ResultType> Walk::result() const {
  return failure_ ? failure_->result : std::nullopt;
}

std::string Walk::place(const base::Ip& ip) const {
  return place_of(current_ ? current_->host : std::nullopt, ip);
}

std::string Walk::address_key(const base::Ip& ip) const {
  return ip.str() + "|" + std::to_string(endpoint(ip).port);
}

std::string Walk::mark_key(const std::string& terms) const {
  return mark_of_tls(*current_->plan, terms, domain_ ? &*domain_ : nullptr);
}

std::string Walk::tls_key() const {
  const policy::Try* const plan = current_->plan;
  if (host_plan_ && plan == std::get_if<policy::Try>(&host_plan_->plan.decision)) {
    return host_plan_->terms;
  }
  if (host_plan_ && plan == &host_plan_->plan.unprotected) return host_plan_->unprotected_terms;
  return tls_terms(*plan);
}

}  // namespace proxy
