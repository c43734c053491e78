#include "proxy/outlook.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "proxy/seen_hosts.h"
#include "proxy/survey.h"

namespace proxy {

namespace {

constexpr std::chrono::seconds gather_wait{15};
constexpr std::chrono::seconds probe_wait{60};
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

asio::awaitable<void> Forecaster::find_out(OutlookQuestion question) {
  auto surveyed = std::make_shared<Surveyed>();
  surveyed->snapshot = worker_.snapshot();
  const SteadyTime deadline = std::chrono::steady_clock::now() + gather_wait;
  const auto facts = co_await gather_all(worker_, surveyed->snapshot, question.domain, deadline);
  if (!facts) {
    board_.put(question, policy::unknown_outlook(facts.error().text), false);
    co_return;
  }
  surveyed->op =
      operator_today(*worker_.shared().clock, surveyed->snapshot->settings, question.domain);
  if (question.require) {
    surveyed->rule = policy::rule_for(*question.require, surveyed->op);
    surveyed->op.rule = &surveyed->rule;
    surveyed->op.exception = nullptr;
  }
  surveyed->survey = policy::plan_all(surveyed->snapshot->settings, surveyed->op, *facts);
  policy::Outlook outlook = outlook_of(question, *surveyed);
  const bool awaited = outlook.stale && begin_renewal(question, surveyed);
  board_.put(question, std::move(outlook), awaited);
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
  if (waiting_.size() >= probes_waiting) return false;
  renewal.under_way = true;
  waiting_.push_back(Job{question, std::move(surveyed)});
  start_next();
  return true;
}

void Forecaster::start_next() {
  while (running_ < probes_at_once && !waiting_.empty()) {
    Job job = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    asio::co_spawn(worker_.io(), renew(std::move(job)), [this](const std::exception_ptr& error) {
      log_thrown(error);
      --running_;
      start_next();
    });
  }
}

asio::awaitable<void> Forecaster::renew(Job job) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + probe_wait;
  // Lives as long as what it refers to.
  std::shared_ptr<const policy::Survey> survey(job.surveyed, &job.surveyed->survey);
  Probed outcome = Probed::not_reached;
  try {
    outcome = co_await probe(worker_, job.surveyed->snapshot, job.question.domain, survey,
                             deadline);
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

}  // namespace proxy
