#include "policy/sts_engine.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "dns/await.h"
#include "dns/decode.h"
#include "policy/sts_restore.h"

namespace policy {

namespace asio = boost::asio;
using namespace std::chrono_literals;

std::string_view to_string(StsEvent::Kind kind) {
  switch (kind) {
    case StsEvent::Kind::fetched: return "policy fetched";
    case StsEvent::Kind::fetch_failed: return "policy fetch failed";
    case StsEvent::Kind::refresh_failed: return "policy refresh failed";
    case StsEvent::Kind::record_gone: return "policy record gone";
    case StsEvent::Kind::record_unknown: return "policy record unknown";
    case StsEvent::Kind::expired: return "policy expired";
    case StsEvent::Kind::purged: return "policy purged";
    case StsEvent::Kind::restore_failed: return "policy not restored";
  }
  return "policy";
}

namespace {

// How insistently a fetch is asked for; a stronger wish takes over a weaker one's flight.
enum class Wish : std::uint8_t {
  ordinary,  // only a new id is fetched
  recheck,   // once in a while the same id too
  renew,     // the background's: whatever the record says
  demand,    // the operator's: back-off or not
};

StsFailure fetch_failure(std::string reason) {
  StsFailure failure;
  failure.reason = std::move(reason);
  return failure;
}

// What the first contact is told when its wait ends before the answer.
struct Progress {
  std::mutex lock;
  std::string id;  // of the record, once seen
};

using Tell = std::function<void(StsState)>;

struct Flight {
  Wish wish = Wish::ordinary;
  std::vector<Tell> waiting;
  std::vector<std::shared_ptr<Progress>> progress;
  bool renewal = false;  // begun by tick(), and counted there
};

struct Record {
  std::variant<std::string, StsNoRecord, dns::LookupError> what;
  std::chrono::seconds ttl{0};
};

Record read_record(dns::RawLookup raw) {
  auto answer = dns::decode_all<std::string>(std::move(raw), dns::decode_txt);
  Record record;
  if (!answer) {
    record.what = std::move(answer.error());
    return record;
  }
  record.ttl = answer->ttl;
  auto parsed = parse_sts_txt(answer->records);
  if (auto* id = std::get_if<std::string>(&parsed)) {
    record.what = std::move(*id);
  } else {
    record.what = std::move(std::get<StsNoRecord>(parsed));
  }
  return record;
}

std::string words(const std::vector<PolicyError>& errors) {
  std::string text = errors.front().str();
  if (errors.size() > 1) text += " (and " + std::to_string(errors.size() - 1) + " more)";
  return text;
}

}  // namespace

// Held by the engine and by every coroutine at work; all of its data but the cache belong to home.
class StsEngine::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Parts parts, StsEngineSettings settings)
      : parts_(std::move(parts)), settings_(settings), cache_(cache_settings(settings)) {}

  static StsCacheSettings cache_settings(const StsEngineSettings& settings) {
    StsCacheSettings cache;
    cache.refresh_interval = settings.refresh_interval;
    return cache;
  }

  base::Result<std::size_t, base::Error> load();
  bool restore(store::PolicyRow row);
  asio::awaitable<StsState> ask(base::Domain domain, Wish wish, std::chrono::milliseconds wait);
  std::optional<StsState> known(const base::Domain& domain);
  bool purge(const base::Domain& domain, std::string why);
  void post_tick();
  void run_ticks();
  const StsCache& cache() const { return cache_; }
  base::WallTime now() const { return parts_.clock->wall(); }
  const asio::any_io_executor& home() const { return parts_.home; }

 private:
  StsState unfinished(const base::Domain& domain, Progress& progress) const;
  void join(const base::Domain& domain, Wish wish, Tell tell, std::shared_ptr<Progress> progress);
  void tick();
  // Static, with an owner as parameter: the frame keeps the Core from before its first step.
  static asio::awaitable<void> ticks(std::shared_ptr<Core> self);
  static asio::awaitable<void> fly(std::shared_ptr<Core> self, base::Domain domain);
  asio::awaitable<StsState> find(const base::Domain& domain);
  asio::awaitable<StsState> fetch(const base::Domain& domain, std::string id);
  bool wants_fetch(const base::Domain& domain, const std::string& id,
                   const std::optional<StsCached>& cached);
  StsState as_cached(const base::Domain& domain, const StsCached& before) const;
  StsState without_record(const base::Domain& domain, const Record& record, std::string reason);
  StsState record_failed(const base::Domain& domain, const dns::LookupError& error);
  StsState fetch_failed(const base::Domain& domain, const std::string& id, StsFailure failure);
  StsState accept(const base::Domain& domain, const std::string& id, StsPolicy policy);
  void save(const base::Domain& domain);
  void land(const base::Domain& domain, const StsState& state);
  void event(StsEvent::Kind kind, const base::Domain& domain, std::string text,
             bool alert = false) const;

  Parts parts_;
  StsEngineSettings settings_;
  StsCache cache_;
  std::unordered_map<base::Domain, Flight> flights_;
  std::size_t renewals_ = 0;  // flights that tick() began
};

// ---- on any thread ------------------------------------------------------------------------------

void StsEngine::Core::event(StsEvent::Kind kind, const base::Domain& domain, std::string text,
                            bool alert) const {
  if (!parts_.on_event) return;
  StsEvent event;
  event.kind = kind;
  event.domain = domain.str();
  event.text = std::move(text);
  event.alert = alert;
  parts_.on_event(event);
}

base::Result<std::size_t, base::Error> StsEngine::Core::load() {
  if (parts_.store == nullptr) return std::size_t{0};
  std::size_t restored = 0;
  auto read = parts_.store->each_policy([this, &restored](store::PolicyRow row) {
    if (restore(std::move(row))) ++restored;
  });
  if (!read) return base::fail(std::move(read.error()));
  return restored;
}

bool StsEngine::Core::restore(store::PolicyRow row) {
  const auto domain = base::Domain::parse(row.domain);
  if (!domain) return false;
  const std::string name = row.domain;
  auto entry = entry_of(std::move(row));
  if (!entry) {
    event(StsEvent::Kind::restore_failed, *domain, entry.error().text, true);
    return false;
  }
  if (cache_.restore(*domain, std::move(*entry), now())) return true;
  parts_.store->erase_policy(name);
  return false;
}

std::optional<StsState> StsEngine::Core::known(const base::Domain& domain) {
  const base::WallTime moment = now();
  if (auto cached = cache_.lookup(domain, moment)) {
    if (cached->txt_due) {
      // Beside the delivery: whoever comes next has the new policy (RFC 8461 §5.1, step 1).
      asio::post(home(), [self = shared_from_this(), domain] {
        self->join(domain, Wish::ordinary, nullptr, nullptr);
      });
    }
    return StsState(std::move(cached->active));
  }
  return cache_.lookup_absent(domain, moment);
}

StsState StsEngine::Core::unfinished(const base::Domain& domain, Progress& progress) const {
  if (auto cached = cache_.lookup(domain, now())) return std::move(cached->active);
  const std::lock_guard<std::mutex> held(progress.lock);
  if (progress.id.empty()) {
    StsUnknown unknown;
    unknown.reason = "TXT _mta-sts." + domain.str() + ": no answer yet";
    unknown.pending = true;
    return unknown;
  }
  StsUnavailable unavailable;
  unavailable.id = progress.id;
  unavailable.failure = fetch_failure("the policy of " + domain.str() + " is not fetched yet");
  unavailable.pending = true;
  return unavailable;
}

asio::awaitable<StsState> StsEngine::Core::ask(base::Domain domain, Wish wish,
                                               std::chrono::milliseconds wait) {
  auto progress = std::make_shared<Progress>();
  std::function<void(Tell)> begin = [self = shared_from_this(), domain, wish,
                                     progress](Tell tell) {
    asio::post(self->home(), [self, domain, wish, progress, tell = std::move(tell)] {
      self->join(domain, wish, tell, progress);
    });
  };
  const auto deadline = std::chrono::steady_clock::now() + wait;
  auto told = dns::async_callback<StsState>(std::move(begin), deadline);
  std::optional<StsState> state = co_await std::move(told);
  if (state) co_return std::move(*state);
  co_return unfinished(domain, *progress);
}

bool StsEngine::Core::purge(const base::Domain& domain, std::string why) {
  const bool was = cache_.purge(domain);
  if (parts_.store != nullptr) parts_.store->erase_policy(domain.str());
  if (!was) return false;
  asio::post(home(), [self = shared_from_this(), domain, why = std::move(why)] {
    self->event(StsEvent::Kind::purged, domain, why);
  });
  return was;
}

void StsEngine::Core::post_tick() {
  asio::post(home(), [self = shared_from_this()] { self->tick(); });
}

// ---- on home: one flight a domain ---------------------------------------------------------------

void StsEngine::Core::join(const base::Domain& domain, Wish wish, Tell tell,
                           std::shared_ptr<Progress> progress) {
  const bool first = !flights_.contains(domain);
  Flight& flight = flights_[domain];
  flight.wish = std::max(flight.wish, wish);
  if (tell) flight.waiting.push_back(std::move(tell));
  if (progress) flight.progress.push_back(std::move(progress));
  if (first) asio::co_spawn(home(), fly(shared_from_this(), domain), asio::detached);
}

void StsEngine::Core::land(const base::Domain& domain, const StsState& state) {
  auto node = flights_.extract(domain);
  if (node.empty()) return;
  if (node.mapped().renewal) --renewals_;
  for (const Tell& tell : node.mapped().waiting) tell(state);
}

asio::awaitable<void> StsEngine::Core::fly(std::shared_ptr<Core> self, base::Domain domain) {
  StsState state;
  try {
    auto finding = self->find(domain);
    state = co_await std::move(finding);
  } catch (const std::exception& bug) {  // whoever waits is answered all the same
    StsUnknown unknown;
    unknown.reason = std::string("internal error: ") + bug.what();
    self->event(StsEvent::Kind::record_unknown, domain, unknown.reason, true);
    state = std::move(unknown);
  }
  self->land(domain, state);
}

asio::awaitable<StsState> StsEngine::Core::find(const base::Domain& domain) {
  auto asking = dns::async_lookup(*parts_.resolver, "_mta-sts." + domain.str(), dns::Type::TXT);
  dns::RawLookup raw = co_await std::move(asking);
  const Record record = read_record(std::move(raw));
  const auto cached = cache_.lookup(domain, now());
  std::string id;
  if (const auto* error = std::get_if<dns::LookupError>(&record.what)) {
    StsState state = record_failed(domain, *error);
    if (!cached || flights_.at(domain).wish < Wish::renew) co_return state;
  } else if (const auto* none = std::get_if<StsNoRecord>(&record.what)) {
    StsState state = without_record(domain, record, none->reason);
    if (!cached || flights_.at(domain).wish < Wish::renew) co_return state;
  } else {
    id = std::get<std::string>(record.what);
    const auto ttl = std::clamp<std::chrono::seconds>(record.ttl, 1s, 1h);
    cache_.txt_seen(domain, now(), now() + ttl);
    for (const auto& progress : flights_.at(domain).progress) {
      const std::lock_guard<std::mutex> held(progress->lock);
      progress->id = id;
    }
  }
  // RFC 8461 §10.2: a refresh of what is cached goes on without a record, under the id it had.
  if (id.empty()) id = cached->active.id;
  if (!wants_fetch(domain, id, cached)) co_return as_cached(domain, *cached);
  if (flights_.at(domain).wish != Wish::demand) {
    if (auto failure = cache_.backing_off(domain, id, now())) {
      if (auto kept = cache_.lookup(domain, now())) {
        kept->active.refresh_failure = std::move(failure);
        co_return StsState(std::move(kept->active));
      }
      StsUnavailable unavailable;
      unavailable.id = std::move(id);
      unavailable.failure = std::move(*failure);
      co_return StsState(std::move(unavailable));
    }
  }
  auto fetching = fetch(domain, std::move(id));
  StsState state = co_await std::move(fetching);
  co_return state;
}

bool StsEngine::Core::wants_fetch(const base::Domain& domain, const std::string& id,
                                  const std::optional<StsCached>& cached) {
  if (!cached || cached->active.id != id) return true;
  const Wish wish = flights_.at(domain).wish;
  if (wish == Wish::recheck) return cache_.may_refetch(domain, now());
  return wish != Wish::ordinary;
}

// The cached policy as it is now; as it was a moment ago, where it expired in between.
StsState StsEngine::Core::as_cached(const base::Domain& domain, const StsCached& before) const {
  if (auto cached = cache_.lookup(domain, now())) return std::move(cached->active);
  return before.active;
}

// RFC 8461 §3.1: as if it offered no policy; §3.3: but an unexpired one stays in force.
StsState StsEngine::Core::without_record(const base::Domain& domain, const Record& record,
                                         std::string reason) {
  const auto ttl = std::clamp<std::chrono::seconds>(record.ttl, 1min, 1h);
  if (auto cached = cache_.lookup(domain, now())) {
    event(StsEvent::Kind::record_gone, domain,
          reason + "; the cached policy stays in force until it expires",
          cached->active.policy.mode != StsMode::none);
    cache_.txt_seen(domain, now(), now() + ttl);
    return as_cached(domain, *cached);
  }
  StsAbsent absent;
  absent.reason = std::move(reason);
  cache_.remember_absent(domain, absent, now(), now() + ttl);
  return absent;
}

StsState StsEngine::Core::record_failed(const base::Domain& domain,
                                        const dns::LookupError& error) {
  if (const auto cached = cache_.lookup(domain, now())) {
    const bool alert = cache_.txt_failed(domain, fetch_failure(error.text), now() + 1min);
    event(StsEvent::Kind::record_unknown, domain,
          error.text + "; the cached policy stays in force", alert);
    return as_cached(domain, *cached);
  }
  event(StsEvent::Kind::record_unknown, domain, error.text);
  StsUnknown unknown;
  unknown.reason = error.text;
  // Short: the resolver's own memory of a dead server is what spares the look-ups.
  cache_.remember_absent(domain, unknown, now(), now() + 10s);
  return unknown;
}

asio::awaitable<StsState> StsEngine::Core::fetch(const base::Domain& domain, std::string id) {
  auto getting = parts_.fetcher->fetch(domain);
  StsBody body = co_await std::move(getting);
  if (!body) co_return fetch_failed(domain, id, std::move(body.error()));
  auto policy = parse_sts_policy(*body);
  if (policy) co_return accept(domain, id, std::move(*policy));
  StsFailure invalid;
  invalid.type = tlsrpt::ResultType::sts_policy_invalid;
  invalid.reason = "the policy of " + domain.str() + " is invalid: " + words(policy.error());
  co_return fetch_failed(domain, id, std::move(invalid));
}

StsState StsEngine::Core::fetch_failed(const base::Domain& domain, const std::string& id,
                                       StsFailure failure) {
  const bool alert = cache_.fetch_failed(domain, id, failure, now());
  if (auto cached = cache_.lookup(domain, now())) {
    event(StsEvent::Kind::refresh_failed, domain,
          "id " + id + ": " + failure.reason + "; the cached policy stays in force", alert);
    save(domain);
    cached->active.refresh_failure = std::move(failure);
    return StsState(std::move(cached->active));
  }
  event(StsEvent::Kind::fetch_failed, domain, "id " + id + ": " + failure.reason);
  StsUnavailable unavailable;
  unavailable.id = id;
  unavailable.failure = std::move(failure);
  return unavailable;
}

StsState StsEngine::Core::accept(const base::Domain& domain, const std::string& id,
                                 StsPolicy policy) {
  std::string text = "id " + id + ", mode " + std::string(to_string(policy.mode)) + ", max_age " +
                     std::to_string(policy.max_age.count());
  for (const std::string& leniency : policy.leniencies) text += "; tolerated: " + leniency;
  StsActive active = cache_.fetched(domain, id, std::move(policy), now());
  save(domain);
  event(StsEvent::Kind::fetched, domain, std::move(text));
  return active;
}

void StsEngine::Core::save(const base::Domain& domain) {
  if (parts_.store == nullptr) return;
  const auto entry = cache_.entry(domain, now());
  if (!entry) return parts_.store->erase_policy(domain.str());
  store::PolicyRow row;
  row.domain = domain.str();
  row.id = entry->id;
  row.body = entry->body();
  row.fetched = entry->fetched;
  row.expires = entry->expires;
  row.txt_checked = entry->txt_checked;
  row.refresh_failures = entry->refresh_failures;
  parts_.store->put_policy(std::move(row));
}

// ---- on home: the background --------------------------------------------------------------------

void StsEngine::Core::tick() {
  for (const base::Domain& domain : cache_.expire(now())) {
    if (parts_.store != nullptr) parts_.store->erase_policy(domain.str());
    event(StsEvent::Kind::expired, domain, "the policy expired without a refresh", true);
  }
  const std::size_t most = settings_.refreshes_at_once;
  const std::size_t free = most - std::min(renewals_, most);
  for (const base::Domain& domain : cache_.take_due(now(), free)) {
    if (flights_.contains(domain)) continue;  // whatever it finds out counts as well
    ++renewals_;
    join(domain, Wish::renew, nullptr, nullptr);
    flights_.at(domain).renewal = true;
  }
}

asio::awaitable<void> StsEngine::Core::ticks(std::shared_ptr<Core> self) {
  asio::steady_timer timer(self->home());
  const auto tick = std::max(self->settings_.tick, std::chrono::milliseconds(1));
  while (true) {
    self->tick();
    // Not all relays of a fleet in step.
    const auto quarter = static_cast<std::uint64_t>(tick.count()) / 4;
    const auto jitter =
        self->parts_.random == nullptr ? 0 : self->parts_.random->below(quarter + 1);
    timer.expires_after(tick + std::chrono::milliseconds(jitter));
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void StsEngine::Core::run_ticks() {
  asio::co_spawn(home(), ticks(shared_from_this()), asio::detached);
}

// ---- the engine ---------------------------------------------------------------------------------

StsEngine::StsEngine(Parts parts, StsEngineSettings settings)
    : core_(std::make_shared<Core>(std::move(parts), settings)) {}
StsEngine::~StsEngine() = default;

base::Result<std::size_t, base::Error> StsEngine::load() { return core_->load(); }
void StsEngine::start() { core_->run_ticks(); }
void StsEngine::tick() { core_->post_tick(); }

asio::awaitable<StsState> StsEngine::state_for(base::Domain domain,
                                               std::chrono::milliseconds wait) {
  const auto core = core_;
  if (auto known = core->known(domain)) co_return std::move(*known);
  auto asking = core->ask(std::move(domain), Wish::ordinary, wait);
  StsState state = co_await std::move(asking);
  co_return state;
}

asio::awaitable<StsState> StsEngine::recheck(base::Domain domain, std::chrono::milliseconds wait) {
  const auto core = core_;
  auto asking = core->ask(std::move(domain), Wish::recheck, wait);
  StsState state = co_await std::move(asking);
  co_return state;
}

asio::awaitable<StsState> StsEngine::refresh(base::Domain domain, std::chrono::milliseconds wait) {
  const auto core = core_;
  auto asking = core->ask(std::move(domain), Wish::demand, wait);
  StsState state = co_await std::move(asking);
  co_return state;
}

std::vector<StsListed> StsEngine::list() const {
  std::vector<StsListed> all;
  for (auto& [domain, entry] : core_->cache().list(core_->now())) {
    all.push_back({std::move(domain), std::move(entry)});
  }
  return all;
}

std::vector<StsListed> StsEngine::page(const std::string& after, std::size_t most) const {
  std::vector<StsListed> some;
  for (auto& [domain, entry] : core_->cache().page(core_->now(), after, most)) {
    some.push_back({std::move(domain), std::move(entry)});
  }
  return some;
}

StsSummary StsEngine::summary() const { return core_->cache().summary(core_->now()); }

std::optional<StsListed> StsEngine::show(const base::Domain& domain) const {
  auto entry = core_->cache().entry(domain, core_->now());
  if (!entry) return std::nullopt;
  return StsListed{domain, std::move(*entry)};
}

bool StsEngine::purge(const base::Domain& domain, std::string why) {
  return core_->purge(domain, std::move(why));
}
std::size_t StsEngine::size() const { return core_->cache().size(); }

}  // namespace policy
