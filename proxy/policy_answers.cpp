#include "proxy/policy_answers.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/attempt_log.h"
#include "proxy/survey.h"
#include "smtp/netstring.h"

namespace proxy {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds answer_stands = 5min;  // and no longer than a TTL, but for
constexpr std::chrono::seconds least_stands = 30s;
constexpr std::chrono::seconds failure_stands = 5s;
constexpr std::chrono::seconds unfinished_stands = 1s;
constexpr std::chrono::seconds renewal_grace = 6s;
constexpr std::chrono::seconds renewed_again = 1s;  // after a renewal in vain
// Sendmail's FEATURE(`sts') waits for five seconds. Postfix waits for 100, in a process of its own:
// long enough for a look-up that gets no answer to end as a failure, which is known to be one.
constexpr std::chrono::seconds sendmail_budget = 4s;
constexpr std::chrono::milliseconds least_postfix_budget = 20s;
constexpr std::chrono::milliseconds most_postfix_budget = 60s;

std::chrono::milliseconds budget_of(policy::MapDialect dialect, const config::Config& config) {
  if (dialect == policy::MapDialect::sendmail) return sendmail_budget;
  // MTA-STS has three quarters of it (proxy/survey): more than one look-up takes.
  const std::chrono::milliseconds look_up = config.dns.timeout;
  return std::clamp(look_up * 5 / 3, least_postfix_budget, most_postfix_budget);
}

std::string netstring_of(const policy::MapAnswer& answer) {
  std::string out;
  smtp::append_netstring(out, policy::payload_of(answer));
  return out;
}

}  // namespace

std::string_view PolicyAnswers::known(policy::MapDialect dialect, std::string_view domain,
                                      SteadyTime now) {
  auto& index = cache(dialect).index;
  const auto found = index.find(domain);
  if (found == index.end() || now >= found->second.expires) return {};
  if (now >= found->second.renews) renew(dialect, found->second, now);
  const std::string_view name = found->first;
  return {name.data() + name.size(), found->second.reply_size};
}

void PolicyAnswers::renew(policy::MapDialect dialect, Place& place, SteadyTime now) {
  if (renewals_ >= base::limits::map_renewals) return;
  auto domain = base::Domain::parse(place.entry->domain());
  if (!domain) return;
  auto search = std::make_shared<Search>();
  search->deadline = now + budget_of(dialect, *worker_.snapshot()->config);
  // Not from here, where the reply that stands is about to be sent.
  asio::post(worker_.io(), [this, dialect, domain = std::move(*domain), search] {
    asio::co_spawn(worker_.io(), find(dialect, domain, search, renewals_), asio::detached);
  });
  ++renewals_;
  place.renews = SteadyTime::max();
  place.entry->search = std::move(search);
}

std::shared_ptr<PolicyAnswers::Search> PolicyAnswers::search(policy::MapDialect dialect,
                                                             const base::Domain& domain,
                                                             SteadyTime now) {
  Cache& in = cache(dialect);
  if (const auto found = in.index.find(domain.view()); found != in.index.end()) {
    const std::shared_ptr<Search>& running = found->second.entry->search;
    if (running && running->reply.empty()) return running;
    erase(in, found->second.entry);
  }
  auto search = std::make_shared<Search>();
  search->deadline = now + budget_of(dialect, *worker_.snapshot()->config);
  if (searches_ >= base::limits::map_searches) {
    search->reply = netstring_of(policy::temporary("too many domains are asked about at once"));
    return search;
  }
  Entry entry{domain.str(), domain.view().size(), search};
  const auto place = in.entries.insert(in.entries.end(), std::move(entry));
  in.index.emplace(place->domain(), Place{place});
  ++searches_;
  asio::co_spawn(worker_.io(), find(dialect, domain, search, searches_), asio::detached);
  return search;
}

asio::awaitable<void> PolicyAnswers::await(std::shared_ptr<Search> search) {
  // The survey keeps to its own deadline; a second more, should it ever not.
  const SteadyTime end = search->deadline + 1s;
  while (search->reply.empty() && std::chrono::steady_clock::now() < end) {
    co_await search->ready.wait(end);
  }
  if (!search->reply.empty()) co_return;
  search->reply = netstring_of(policy::temporary("nothing could be found out in time"));
}

asio::awaitable<void> PolicyAnswers::find(policy::MapDialect dialect, base::Domain domain,
                                          std::shared_ptr<Search> search,
                                          std::size_t& running) {
  Finding finding;
  try {
    const std::shared_ptr<const Snapshot> snapshot = worker_.snapshot();
    const auto facts = co_await gather_all(worker_, snapshot, domain, search->deadline);
    if (facts) {
      finding = judge(dialect, *snapshot, *facts);
    } else {
      finding.answer = policy::temporary(facts.error().text);
      finding.stands = unfinished_stands;
    }
  } catch (const std::exception& error) {
    base::log_error("", "policy map: " + domain.str() + ": internal error: " + error.what());
    finding.answer = policy::temporary("an internal error of the policy server");
    finding.stands = unfinished_stands;
  }
  bool told = false;
  try {
    search->reply = netstring_of(finding.answer);
    told = store(dialect, domain, search, finding);
  } catch (const std::exception& error) {
    // What is not kept is looked for again: search() joins nothing that has ended.
    base::log_error("", "policy map: " + domain.str() + ": internal error: " + error.what());
  }
  --running;
  search->ready.notify_all();
  if (told && finding.answer.kind == policy::MapAnswer::Kind::temporary) {
    base::log_info("", "policy map: mail for " + domain.str() + " waits: " + finding.answer.text);
  }
}

PolicyAnswers::Finding PolicyAnswers::judge(policy::MapDialect dialect, const Snapshot& snapshot,
                                            const policy::GatheredFacts& facts) {
  const base::Domain& domain = facts.domain.domain;
  const policy::Settings& settings = snapshot.settings;
  const policy::Operator op = operator_today(*worker_.shared().clock, settings, domain);
  const policy::Survey survey = policy::plan_all(settings, op, facts);
  Finding finding;
  finding.answer = policy::tls_policy(dialect, settings, survey);
  const bool waits = finding.answer.kind == policy::MapAnswer::Kind::temporary;
  // Up: made anew at its end it is to be made of other facts.
  const auto known_for = std::chrono::ceil<std::chrono::seconds>(
      facts.expires - std::chrono::steady_clock::now());
  finding.stands = waits ? failure_stands : std::clamp(known_for, least_stands, answer_stands);
  if (policy::awaits_policy(survey)) finding.stands = unfinished_stands;
  if (finding.stands >= least_stands) finding.grace = renewal_grace;
  if (const auto* active = std::get_if<policy::StsActive>(&facts.domain.sts)) {
    // RFC 8461 §3.2: nothing is demanded past its max_age, which may be 0.
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(
        active->expires - worker_.shared().clock->wall());
    finding.stands = std::clamp(left, unfinished_stands, finding.stands);
    finding.grace = std::clamp(left - finding.stands, 0s, finding.grace);
  }
  if (op.exception) {
    finding.stands = std::min(finding.stands, least_stands);  // it has a last day
    finding.grace = 0s;
    const Transaction nobody;
    const LoggedMail mail{worker_, nobody, false};
    log_exception(mail, domain, *op.exception);
  }
  return finding;
}

bool PolicyAnswers::store(policy::MapDialect dialect, const base::Domain& domain,
                          const std::shared_ptr<Search>& search, const Finding& finding) {
  Cache& in = cache(dialect);
  const auto found = in.index.find(domain.view());
  // Forgotten in the meantime: whoever waits has it, nobody after.
  if (found == in.index.end() || found->second.entry->search != search) return true;
  const Entries::iterator place = found->second.entry;
  Entry& entry = *place;
  const SteadyTime now = std::chrono::steady_clock::now();
  const bool waits = finding.answer.kind == policy::MapAnswer::Kind::temporary;
  if (waits && now < found->second.expires) {
    // A look-up that failed behind a reply that stands takes nothing from it before its end.
    entry.search.reset();
    found->second.renews = now + renewed_again;
    return false;
  }
  std::string text;
  text.reserve(entry.domain_size + search->reply.size());
  text.append(entry.domain()).append(search->reply);
  entry.search.reset();
  in.octets -= entry.reply().size();
  in.index.erase(found);
  entry.text = std::move(text);
  Place made{place, now + finding.stands + finding.grace};
  if (finding.grace > 0s) made.renews = now + finding.stands;
  made.reply_size = entry.reply().size();
  in.octets += made.reply_size;
  in.index.emplace(entry.domain(), made);
  in.entries.splice(in.entries.end(), in.entries, place);
  bound(in);
  return true;
}

void PolicyAnswers::erase(Cache& cache, Entries::iterator entry) {
  cache.octets -= entry->reply().size();
  cache.index.erase(entry->domain());
  cache.entries.erase(entry);
}

void PolicyAnswers::bound(Cache& cache) {
  while (cache.entries.size() > base::limits::domain_facts ||
         cache.octets > base::limits::map_octets) {
    erase(cache, cache.entries.begin());
  }
}

void PolicyAnswers::forget(const base::Domain& domain) {
  for (Cache& one : caches_) {
    const auto found = one.index.find(domain.view());
    if (found != one.index.end()) erase(one, found->second.entry);
  }
}

void PolicyAnswers::clear() {
  for (Cache& one : caches_) {
    one.index.clear();
    one.entries.clear();
    one.octets = 0;
  }
}

}  // namespace proxy
