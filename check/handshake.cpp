#include "check/handshake.h"

#include <array>

#include "dane/openssl.h"
#include "proxy/mx_slots.h"

namespace check {

namespace asio = boost::asio;
using proxy::MxFailure;

namespace {

// Past the relay's connect_timeout; hosts that make strangers wait for a greeting take seconds.
constexpr std::chrono::seconds one_address{60};

void keep_failure(SeenAddress& seen, MxFailure failure, proxy::SteadyTime end) {
  seen.cut_short = failure.timed_out && std::chrono::steady_clock::now() >= end;
  seen.failure = std::move(failure);
}

// As proxy/walk makes evidence of it; no evidence: it is no news of TLS.
void keep_tls_failure(SeenAddress& seen, MxFailure failure, proxy::SteadyTime end) {
  const bool broke_off = failure.reply && failure.kind == MxFailure::Kind::broken;
  const bool cut = failure.timed_out && std::chrono::steady_clock::now() >= end;
  if (broke_off || cut) return keep_failure(seen, std::move(failure), end);
  if (failure.kind == MxFailure::Kind::refused) {
    seen.evidence = policy::NoStartTls{failure.text};
  } else {
    seen.evidence = policy::HandshakeFailed{failure.text};
  }
}

void explain(proxy::Worker& worker, const policy::Try& plan, proxy::MxSession& session,
             SeenAddress& seen) {
  auto* const ssl = session.channel().ssl();
  proxy::TlsClient& client = *worker.tls_client();
  seen.evidence = client.collect(ssl, plan);
  const dane::PeerChain chain = dane::PeerChain::of(ssl);
  seen.certificate = dane::certificate_of(chain);
  seen.judged_at = worker.shared().clock->wall();
  seen.pkix = client.pkix_evidence(ssl, plan, false);
  seen.undated = client.pkix_evidence(ssl, plan, true);
  if (!plan.tlsa) return;
  const dane::VerifyTerms terms{*seen.judged_at};
  for (const dane::Tlsa& record : plan.tlsa->records) {
    const std::array<dane::Tlsa, 1> alone{record};
    const auto found = dane::evaluate_dane(chain, alone, plan.tlsa->reference_ids, terms);
    seen.matches.push_back({record, found.matched.has_value(), found.error});
  }
}

}  // namespace

asio::awaitable<void> handshake(proxy::Worker& worker, const config::Config& config,
                                const policy::Try& plan, proxy::SteadyTime deadline,
                                SeenAddress& seen, Only only) {
  auto slot = worker.shared().slots->take(seen.ip, config.outbound.max_connections_per_mx);
  if (!slot || std::chrono::steady_clock::now() >= deadline) co_return;
  seen.state = SeenAddress::State::tried;
  const auto end = std::min(deadline, std::chrono::steady_clock::now() + one_address);
  const proxy::MxTimes times{end, &config.outbound};
  const config::Tcp where{seen.ip, config.outbound.port};
  auto opened = co_await proxy::PlainMx::open(worker.io().get_executor(), where, config.outbound,
                                              config.server.hostname, times, std::move(*slot));
  if (!opened) {
    keep_failure(seen, std::move(opened.error()), end);
    co_return;
  }
  std::unique_ptr<proxy::PlainMx> plain = std::move(*opened);
  seen.helo = plain->peer().helo;
  if (!plain->offers_starttls()) {
    seen.evidence = policy::NoStartTls{plain->helo_only() ? "EHLO is refused"
                                                          : "STARTTLS is not offered"};
    plain->quit();
    co_return;
  }
  // A resumed session would show the certificate of before.
  const std::string terms = "check|" + (plan.sni ? plan.sni->str() : "") + "|" + seen.ip.str();
  worker.tls_client()->forget(terms);
  proxy::SslPtr ssl = worker.tls_client()->prepare(plan, terms);
  if (only.key) proxy::TlsClient::accept_only(ssl.get(), *only.key);
  if (only.old_versions) proxy::TlsClient::accept_only_old_versions(ssl.get());
  auto secured = co_await std::move(*plain).start_tls(std::move(ssl), times);
  if (!secured) {
    keep_tls_failure(seen, std::move(secured.error()), end);
    co_return;
  }
  explain(worker, plan, **secured, seen);
  auto greeted = co_await (*secured)->ehlo(config.server.hostname, times);
  if (greeted) {
    (*secured)->quit();
  } else {
    keep_failure(seen, std::move(greeted.error()), end);
  }
}

}  // namespace check
