#include "report/feed.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "dns/await.h"
#include "dns/decode.h"
#include "report/counter.h"
#include "tlsrpt/record.h"

namespace report {

namespace {

constexpr std::size_t sessions_waiting = 20000;
constexpr std::size_t asked_at_once = 64;
constexpr std::chrono::seconds shortest_life{60};
constexpr std::chrono::seconds longest_life{3600};

CollectedPolicy collected(const audit::CountedSession& session, const audit::PolicyResult& result,
                          const PolicyStrings& strings) {
  CollectedPolicy out;
  auto policy = strings(result.policy_digest);
  if (policy) {
    out.policy = std::move(*policy);
  } else {
    out.policy.type = result.policy_type;
    out.policy.domain = result.policy_domain;
  }
  const bool applied = !out.policy.strings.empty();
  out.success = result.result_types.empty() || (only_fetch_failed(result) && applied);
  const std::vector<std::string> reasons = audit::reasons_of(result);
  for (std::size_t i = 0; i < result.result_types.size(); ++i) {
    const auto type = tlsrpt::result_type(result.result_types[i]);
    if (!type) continue;
    CollectedFailure failure;
    failure.type = *type;
    if (!is_fetch_failure(result.result_types[i])) {
      failure.sending_mta_ip = session.source_ip;
      failure.receiving_mx_hostname = session.mx;
      failure.receiving_mx_helo = session.helo;
      failure.receiving_ip = session.ip;
    }
    failure.failure_reason_code = reasons[i];
    out.failures.push_back(std::move(failure));
  }
  return out;
}

}  // namespace

void Feed::take(std::vector<audit::CountedSession> sessions) {
  const auto now = std::chrono::steady_clock::now();
  make_room();
  for (audit::CountedSession& session : sessions) {
    Domain& domain = domains_[session.domain];
    if (domain.known && domain.expires > now) {
      hand_over(domain, session);
      continue;
    }
    if (waiting_ >= sessions_waiting) {
      ++lost_;
      continue;
    }
    ++waiting_;
    const std::string name = session.domain;
    domain.waiting.push_back(std::move(session));
    if (!std::exchange(domain.asked, true)) to_ask_.push_back(name);
  }
  look_up_some();
}

// The oldest records go when there are too many; who waits stays.
void Feed::make_room() {
  if (domains_.size() < base::limits::domain_facts) return;
  std::erase_if(domains_, [](const auto& one) { return !one.second.asked; });
}

void Feed::look_up_some() {
  while (asking_ < asked_at_once && !to_ask_.empty()) {
    ++asking_;
    boost::asio::co_spawn(executor_, look_up(this, std::move(to_ask_.front())),
                          boost::asio::detached);
    to_ask_.pop_front();
  }
}

boost::asio::awaitable<void> Feed::look_up(Feed* self, std::string domain) {
  std::string record;
  std::chrono::seconds life = shortest_life;
  const std::string name = "_smtp._tls." + domain;
  if (name.size() <= 253) {
    auto raw = co_await dns::async_lookup(self->resolver_, name, dns::Type::TXT);
    auto answer = dns::decode_all<std::string>(std::move(raw), dns::decode_txt);
    if (answer) {
      life = std::clamp(answer->ttl, shortest_life, longest_life);
      auto chosen = tlsrpt::choose_record(answer->records);
      if (chosen && *chosen) record = (*chosen)->text;
    }
  }
  Domain& known = self->domains_[domain];
  known.record = std::move(record);
  known.known = true;
  known.asked = false;
  known.expires = std::chrono::steady_clock::now() + life;
  const std::deque<audit::CountedSession> waiting = std::exchange(known.waiting, {});
  self->waiting_ -= waiting.size();
  --self->asking_;
  for (const audit::CountedSession& session : waiting) self->hand_over(known, session);
  self->look_up_some();
}

// The strings of a policy that cannot be read now cost this session alone.
void Feed::hand_over(Domain& domain, const audit::CountedSession& session) {
  if (domain.record.empty()) return;
  try {
    std::vector<CollectedPolicy> policies;
    for (const audit::PolicyResult& result : session.results) {
      policies.push_back(collected(session, result, strings_));
    }
    (void)collector_.send(collector_datagram(session.domain, domain.record, policies));
  } catch (const std::exception& error) {
    ++lost_;
    base::log_warn("", "TLS reports: a session with " + session.domain +
                           " did not go to the collector: " + error.what());
  }
}

}  // namespace report
