#include "proxy/probe.h"

#include "proxy/attempt_log.h"
#include "proxy/host_memory.h"
#include "proxy/mx_connection.h"
#include "proxy/mx_slots.h"
#include "proxy/seen_hosts.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace {

constexpr std::chrono::seconds one_address{20};
constexpr std::size_t hosts_tried = 10;
constexpr std::size_t connections_most = 20;  // of one probe

class Probe {
 public:
  Probe(Worker& worker, std::shared_ptr<const Snapshot> snapshot, base::Domain domain,
        const policy::DomainPlan& plan)
      : worker_(worker),
        snapshot_(std::move(snapshot)),
        config_(*snapshot_->config),
        domain_(std::move(domain)),
        plan_(plan),
        tls_client_(worker.tls_client()) {
    transaction_.id = worker.random().id();
  }

  // Tries a host's addresses until one meets its plan. That it fails is noted only when every
  // address a delivery would try was: one left out may be the one that works.
  asio::awaitable<Probed> try_host(const policy::HostPlan& host, const policy::Try& plan,
                                   SteadyTime deadline) {
    std::optional<policy::Verdict> failed;
    bool all = true;
    Probed outcome = Probed::not_reached;
    for (const base::Ip& ip : host.addresses) {
      if (is_out_of_reach(ip)) continue;
      const Mark mark = mark_of(plan, ip);
      if (mark == Mark::tls) outcome = Probed::failing;  // a delivery does not try it now, either
      if (mark != Mark::none) continue;
      if (std::chrono::steady_clock::now() >= deadline || connections_ >= connections_most) {
        all = false;
        break;
      }
      const Attempt attempt = co_await try_address(host, plan, ip, deadline);
      all = all && attempt.made;
      if (!attempt.verdict) continue;
      if (std::holds_alternative<policy::Authorized>(attempt.verdict->outcome)) {
        note(host, plan, *attempt.verdict);
        co_return Probed::fine;
      }
      outcome = Probed::failing;
      if (!failed) failed = attempt.verdict;
    }
    if (failed && all) note(host, plan, *failed);
    co_return outcome;
  }

 private:
  enum class Mark { none, address, tls };
  struct Attempt {
    bool made = false;                       // false: no connection was free
    std::optional<policy::Verdict> verdict;  // where one was reached
  };

  bool is_out_of_reach(const base::Ip& ip) const {
    return base::is_private_destination(ip) &&
           !base::any_contains(config_.outbound.private_destinations, ip);
  }

  // The keys are those of a delivery (proxy/walk_address.cpp).
  Mark mark_of(const policy::Try& plan, const base::Ip& ip) const {
    const HostMemory* const memory = worker_.shared().host_memory;
    if (memory == nullptr) return Mark::none;
    const SteadyTime now = std::chrono::steady_clock::now();
    const std::string address = ip.str() + "|" + std::to_string(config_.outbound.port);
    const std::string terms = tls_terms(plan) + "|" + address;
    if (memory->is_marked(mark_of_tls(plan, terms, &domain_), now)) return Mark::tls;
    return memory->is_marked("a|" + address, now) ? Mark::address : Mark::none;
  }

  asio::awaitable<Attempt> try_address(const policy::HostPlan& host, const policy::Try& plan,
                                       base::Ip ip, SteadyTime deadline) {
    Attempt out;
    auto slot = worker_.shared().slots->take(ip, config_.outbound.max_connections_per_mx);
    if (!slot) co_return out;
    out.made = true;
    ++connections_;
    const auto now = std::chrono::steady_clock::now();
    const MxTimes times{std::min(deadline, now + one_address), &config_.outbound};
    AttemptNote attempt;
    attempt.host = host.host.str();
    attempt.ip = ip;
    attempt.mx_security = host.mx_security;
    attempt.plan = &plan;
    attempt.without_mail = true;
    const config::Tcp where{ip, config_.outbound.port};
    auto opened = co_await PlainMx::open(worker_.io().get_executor(), where, config_.outbound,
                                         config_.server.hostname, times, std::move(*slot));
    if (!opened) {
      attempt.failure = opened.error().text;
      log(attempt);
      co_return out;
    }
    std::unique_ptr<PlainMx> plain = std::move(*opened);
    attempt.peer = plain->peer();
    policy::Evidence evidence = policy::NoStartTls{};
    if (!plain->offers_starttls()) {
      evidence = policy::NoStartTls{plain->helo_only() ? "EHLO is refused"
                                                       : "STARTTLS is not offered"};
      plain->quit();
    } else {
      // A resumed session would show the certificate of before.
      const std::string terms = "probe|" + host.host.str() + "|" + ip.str();
      tls_client_->forget(terms);
      SslPtr ssl = tls_client_->prepare(plan, terms);
      auto secured = co_await std::move(*plain).start_tls(std::move(ssl), times);
      if (secured) {
        evidence = tls_client_->collect((*secured)->channel().ssl(), plan);
        (*secured)->quit();
      } else if (secured.error().timed_out ||
                 (secured.error().reply && secured.error().kind == MxFailure::Kind::broken)) {
        attempt.failure = secured.error().text;
        log(attempt);
        co_return out;
      } else if (secured.error().kind == MxFailure::Kind::refused) {
        evidence = policy::NoStartTls{secured.error().text};
      } else {
        evidence = policy::HandshakeFailed{secured.error().text};
      }
      tls_client_->forget(terms);
    }
    out.verdict = policy::judge(plan, domain_, host.host, evidence);
    attempt.evidence = &evidence;
    attempt.verdict = &*out.verdict;
    log(attempt);
    co_return out;
  }

  void note(const policy::HostPlan& host, const policy::Try& plan,
            const policy::Verdict& verdict) {
    if (!worker_.shared().seen_hosts) return;
    worker_.shared().seen_hosts->note(host.host, plan, verdict, std::chrono::steady_clock::now());
  }

  void log(const AttemptNote& attempt) {
    log_attempt(LoggedMail{worker_, transaction_, false}, domain_, &plan_, attempt);
  }

  Worker& worker_;
  std::shared_ptr<const Snapshot> snapshot_;
  const config::Config& config_;
  base::Domain domain_;
  const policy::DomainPlan& plan_;
  std::shared_ptr<TlsClient> tls_client_;
  Transaction transaction_;
  std::size_t connections_ = 0;
};

}  // namespace

asio::awaitable<Probed> probe(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                              base::Domain domain, std::shared_ptr<const policy::Survey> survey,
                              SteadyTime deadline) {
  Probed outcome = Probed::not_reached;
  const policy::DomainPlan* const plan = survey->plan();
  if (!plan) co_return outcome;
  Probe one(worker, std::move(snapshot), std::move(domain), *plan);
  std::size_t hosts = 0;
  for (const policy::HostPlan& host : survey->hosts) {
    const auto* decided = std::get_if<policy::Try>(&host.decision);
    if (!decided || !policy::demands_tls(decided->requirement)) continue;
    if (++hosts > hosts_tried) break;
    const Probed met = co_await one.try_host(host, *decided, deadline);
    if (met == Probed::fine) co_return met;
    if (met == Probed::failing) outcome = met;
  }
  co_return outcome;
}

}  // namespace proxy
