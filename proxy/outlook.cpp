#include "proxy/outlook.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "policy/sts_engine.h"
#include "proxy/seen_hosts.h"
#include "proxy/survey.h"

namespace proxy {

namespace {

constexpr std::chrono::seconds gather_wait{15};
constexpr std::chrono::seconds probe_wait{60};
constexpr std::chrono::seconds recheck_wait{10};
// Behind these a job that has not begun is dropped; a message waits no longer for its rules.
constexpr std::chrono::seconds rule_job_most{20};
constexpr std::chrono::seconds job_most{60};
constexpr std::size_t probes_at_once = 16;
constexpr std::size_t probes_waiting = 1000;
constexpr std::size_t renewals_kept = 20000;

// How long a question rests after a handshake; asking is what starts the next one.
SteadyTime::duration rest_after(Probed outcome) {
  switch (outcome) {
    case Probed::fine: return std::chrono::minutes(1);
    case Probed::failing: return std::chrono::seconds(30);
    case Probed::not_reached: break;
  }
  return std::chrono::minutes(3);
}

void log_thrown(const std::exception_ptr& error) {
  if (!error) return;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    base::log_error("", std::string("internal error in an outlook: ") + thrown.what());
  }
}

}  // namespace

void Forecaster::answer(const OutlookQuestion& question) {
  asio::co_spawn(worker_.io(), find_out(question), log_thrown);
}

void Forecaster::clear() {
  waiting_.clear();
  renewals_.clear();
}

asio::awaitable<base::Result<std::shared_ptr<const Forecaster::Surveyed>, base::Error>>
Forecaster::survey(OutlookQuestion question) {
  using Outcome = base::Result<std::shared_ptr<const Surveyed>, base::Error>;
  auto surveyed = std::make_shared<Surveyed>();
  surveyed->snapshot = worker_.snapshot();
  const SteadyTime deadline = std::chrono::steady_clock::now() + gather_wait;
  const auto facts = co_await gather_all(worker_, surveyed->snapshot, question.domain, deadline);
  if (!facts) {
    Outcome failed = base::fail(facts.error());
    co_return failed;
  }
  surveyed->op =
      operator_today(*worker_.shared().clock, surveyed->snapshot->settings, question.domain);
  if (question.require) {
    surveyed->rule = policy::rule_for(*question.require, surveyed->op);
    surveyed->op.rule = &surveyed->rule;
    surveyed->op.exception = nullptr;
  }
  surveyed->survey = policy::plan_all(surveyed->snapshot->settings, surveyed->op, *facts);
  Outcome whole(std::shared_ptr<const Surveyed>(std::move(surveyed)));
  co_return whole;
}

asio::awaitable<void> Forecaster::find_out(OutlookQuestion question) {
  const auto surveyed = co_await survey(question);
  if (!surveyed) {
    board_.put(question, policy::unknown_outlook(surveyed.error().text), false);
    co_return;
  }
  policy::Outlook outlook = outlook_of(question, **surveyed);
  const bool renews = outlook.stale || may_change_policy(**surveyed, outlook);
  const bool awaited = renews && begin_renewal(question, *surveyed);
  board_.put(question, std::move(outlook), awaited);
}

bool Forecaster::may_change_policy(const Surveyed& surveyed, const policy::Outlook& outlook) const {
  return outlook.prospect == policy::Prospect::bad && outlook.kind == policy::PolicyKind::sts &&
         surveyed.snapshot->config->mta_sts.enabled && worker_.shared().sts;
}

policy::Outlook Forecaster::outlook_of(const OutlookQuestion& question,
                                       const Surveyed& surveyed) const {
  const SteadyTime now = std::chrono::steady_clock::now();
  const SeenHosts* const seen = worker_.shared().seen_hosts;
  const auto sightings = [&](const base::Domain& host,
                             const policy::Try& plan) -> std::optional<policy::Sighting> {
    const auto found = seen ? seen->look(host, plan, now) : std::nullopt;
    if (!found) return std::nullopt;
    const auto ago = std::chrono::duration_cast<std::chrono::seconds>(now - found->when);
    return policy::Sighting{found->fine, found->no_starttls, found->reason, ago};
  };
  return policy::outlook_of(surveyed.snapshot->settings, question.domain, surveyed.survey,
                            sightings);
}

bool Forecaster::begin_renewal(const OutlookQuestion& question,
                               std::shared_ptr<const Surveyed> surveyed) {
  if (renewals_.size() >= renewals_kept) {
    std::erase_if(renewals_, [](const auto& one) { return !one.second.under_way; });
  }
  Renewal& renewal = renewals_[question.key()];
  if (renewal.under_way) return true;
  if (std::chrono::steady_clock::now() < renewal.due) return false;
  if (waiting_.size() >= probes_waiting) {
    // No message waits for the last of those that no rule asks.
    if (!question.require || waiting_.back().question.require) return false;
    const Job last = std::move(waiting_.back());
    waiting_.pop_back();
    drop(last);
  }
  renewal.under_way = true;
  Job job{question, std::move(surveyed), std::chrono::steady_clock::now()};
  // A message waits for what its rule demands; the rest serves the next one.
  if (question.require) {
    waiting_.push_front(std::move(job));
  } else {
    waiting_.push_back(std::move(job));
  }
  start_next();
  return true;
}

void Forecaster::start_next() {
  while (running_ < probes_at_once && !waiting_.empty()) {
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    const auto most = job.question.require ? rule_job_most : job_most;
    if (std::chrono::steady_clock::now() - job.since >= most) {
      drop(job);
      continue;
    }
    ++running_;
    asio::co_spawn(worker_.io(), renew(std::move(job)), [this](const std::exception_ptr& error) {
      log_thrown(error);
      --running_;
      start_next();
    });
  }
}

void Forecaster::drop(const Job& job) {
  const auto found = renewals_.find(job.question.key());
  if (found != renewals_.end()) found->second.under_way = false;
  board_.put(job.question, outlook_of(job.question, *job.surveyed), false);
}

asio::awaitable<void> Forecaster::renew(Job job) {
  Probed outcome = Probed::not_reached;
  try {
    outcome = co_await look_again(job);
  } catch (const std::exception& error) {
    base::log_error("", std::string("internal error in a handshake: ") + error.what());
  }
  const auto found = renewals_.find(job.question.key());
  if (found != renewals_.end()) {
    found->second.under_way = false;
    found->second.due = std::chrono::steady_clock::now() + rest_after(outcome);
  }
  board_.put(job.question, outlook_of(job.question, *job.surveyed), false);
}

// At the policy first, where it is one that refuses, then at the hosts.
asio::awaitable<Probed> Forecaster::look_again(Job& job) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + probe_wait;
  const bool by_sts = may_change_policy(*job.surveyed, outlook_of(job.question, *job.surveyed));
  if (by_sts) {
    co_await worker_.shared().sts->recheck(job.question.domain, recheck_wait);
    const auto again = co_await survey(job.question);
    if (again) job.surveyed = *again;
  }
  // Lives as long as what it refers to.
  std::shared_ptr<const policy::Survey> plans(job.surveyed, &job.surveyed->survey);
  const Probed outcome = co_await probe(worker_, job.surveyed->snapshot, job.question.domain,
                                        plans, deadline);
  // A policy that rules every host out leaves nothing to probe, and may be corrected any time.
  if (by_sts && outcome == Probed::not_reached) co_return Probed::failing;
  co_return outcome;
}

}  // namespace proxy
