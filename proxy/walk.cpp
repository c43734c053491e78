#include "proxy/walk.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "policy/sts_engine.h"
#include "proxy/dialled.h"
#include "proxy/host_memory.h"
#include "proxy/meters.h"
#include "proxy/survey.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace {

using smtp::EnhancedCode;
using smtp::make_reply;

constexpr EnhancedCode no_answer{4, 4, 1};
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
  auto mx = worker_.gather().known_mx(*domain_, ignore_dnssec);
  if (!mx) worker_.gather().prefetch_mx(*domain_, ignore_dnssec);
  policy::StsState sts = policy::StsAbsent{"MTA-STS is disabled here"};
  if (config_.mta_sts.enabled && shared.sts) {
    // RFC 8461 §5.1 lets the first message go while the policy is fetched; it waits a while here.
    sts = co_await shared.sts->state_for(*domain_, config_.mta_sts.first_contact_wait);
  }
  if (!mx) mx = co_await worker_.gather().mx(*domain_, ignore_dnssec, budget);
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
      if (link && !stopped_) co_return link;
      if (link) worker_.pool().give(std::move(link), config_.outbound.idle_keepalive);
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
  auto facts = Plans::known_facts(*planned_domain_, host);
  if (!facts) facts = co_await worker_.gather().host(query_for(host), budget);
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

void Walk::stop() {
  stopped_ = true;
  if (waiter_) waiter_->cancel();
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

void Walk::again(bool used) {
  if (used) turn_.reset();
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
