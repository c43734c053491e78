#include "proxy/probe.h"

#include "proxy/attempt_log.h"
#include "proxy/mx_connection.h"
#include "proxy/mx_slots.h"
#include "proxy/seen_hosts.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace {

constexpr std::chrono::seconds one_address{20};
constexpr std::size_t addresses_tried = 4;  // of one host
constexpr std::size_t hosts_tried = 10;

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

  // nullopt: no verdict was reached.
  asio::awaitable<std::optional<bool>> try_address(const policy::HostPlan& host,
                                                   const policy::Try& plan, base::Ip ip,
                                                   SteadyTime deadline) {
    std::optional<bool> none;
    if (base::is_private_destination(ip) &&
        !base::any_contains(config_.outbound.private_destinations, ip)) {
      co_return none;
    }
    auto slot = worker_.shared().slots->take(ip, config_.outbound.max_connections_per_mx);
    if (!slot) co_return none;
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
      co_return none;
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
        co_return none;
      } else if (secured.error().kind == MxFailure::Kind::refused) {
        evidence = policy::NoStartTls{secured.error().text};
      } else {
        evidence = policy::HandshakeFailed{secured.error().text};
      }
      tls_client_->forget(terms);
    }
    const policy::Verdict verdict = policy::judge(plan, domain_, host.host, evidence);
    attempt.evidence = &evidence;
    attempt.verdict = &verdict;
    log(attempt);
    if (worker_.shared().seen_hosts) {
      worker_.shared().seen_hosts->note(host.host, plan, verdict,
                                        std::chrono::steady_clock::now());
    }
    co_return std::holds_alternative<policy::Authorized>(verdict.outcome);
  }

 private:
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
    std::size_t addresses = 0;
    for (const base::Ip& ip : host.addresses) {
      if (++addresses > addresses_tried) break;
      if (std::chrono::steady_clock::now() >= deadline) co_return outcome;
      const auto met = co_await one.try_address(host, *decided, ip, deadline);
      if (met && *met) co_return Probed::fine;
      if (met) outcome = Probed::failing;
    }
  }
  co_return outcome;
}

}  // namespace proxy
