#include "policy/sts_cache.h"

#include <algorithm>
#include <mutex>

namespace policy {

namespace {

using namespace std::chrono_literals;

constexpr auto first_back_off = 5min;  // RFC 8461 §3.3
constexpr auto last_back_off = 60min;
constexpr std::size_t ids_backing_off = 4;  // of one domain

// 0 … 1, always the same for one domain: spreads refreshes without moving them about.
double spread(const base::Domain& domain) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const char c : domain.view()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  return static_cast<double>(hash >> 11) / 9007199254740992.0;  // 2^53
}

std::chrono::milliseconds part_of(std::chrono::milliseconds whole, double part) {
  return std::chrono::milliseconds(
      static_cast<std::int64_t>(static_cast<double>(whole.count()) * part));
}

std::chrono::milliseconds back_off(unsigned failures) {
  std::chrono::milliseconds wait = first_back_off;
  for (unsigned i = 1; i < failures && wait < last_back_off; ++i) wait *= 2;
  return std::min<std::chrono::milliseconds>(wait, last_back_off);
}

StsActive active_of(const StsEntry& entry, PolicySource source) {
  StsActive active;
  active.policy = entry.policy;
  active.id = entry.id;
  active.source = source;
  active.fetched = entry.fetched;
  active.expires = entry.expires;
  active.refresh_failure = entry.refresh_failure;
  return active;
}

}  // namespace

std::string StsEntry::body() const {
  std::string text;
  for (const std::string& line : policy.lines) text.append(line).push_back('\n');
  return text;
}

// ---- looking up ---------------------------------------------------------------------------------

std::optional<StsCached> StsCache::lookup(const base::Domain& domain, base::WallTime now) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  // RFC 8461 §10.2: past its expiry a policy is gone, whatever a refresh did.
  if (found == slots_.end() || found->second.entry.expires <= now) return std::nullopt;
  StsCached cached;
  cached.active = active_of(found->second.entry, PolicySource::cached);
  if (!cached.active.refresh_failure) cached.active.refresh_failure = found->second.txt_failure;
  cached.txt_due = found->second.txt_next <= now;
  return cached;
}

std::optional<StsState> StsCache::lookup_absent(const base::Domain& domain,
                                                base::WallTime now) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  const auto found = absent_.find(domain);
  if (found == absent_.end() || found->second.until <= now) return std::nullopt;
  return found->second.state;
}

std::optional<StsEntry> StsCache::entry(const base::Domain& domain, base::WallTime now) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  if (found == slots_.end() || found->second.entry.expires <= now) return std::nullopt;
  return found->second.entry;
}

std::vector<std::pair<base::Domain, StsEntry>> StsCache::list(base::WallTime now) const {
  std::vector<std::pair<base::Domain, StsEntry>> all;
  {
    const std::shared_lock<std::shared_mutex> held(lock_);
    all.reserve(slots_.size());
    for (const auto& [domain, slot] : slots_) {
      if (slot.entry.expires > now) all.emplace_back(domain, slot.entry);
    }
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

std::vector<std::pair<base::Domain, StsEntry>> StsCache::page(base::WallTime now,
                                                              const std::string& after,
                                                              std::size_t most) const {
  using Place = const std::pair<const base::Domain, Slot>*;
  const std::shared_lock<std::shared_mutex> held(lock_);
  std::vector<Place> places;
  for (const auto& one : slots_) {
    if (one.second.entry.expires > now && one.first.str() > after) places.push_back(&one);
  }
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(std::min(most, places.size()));
  std::partial_sort(places.begin(), end, places.end(),
                    [](Place a, Place b) { return a->first.str() < b->first.str(); });
  std::vector<std::pair<base::Domain, StsEntry>> out;
  for (auto place = places.begin(); place != end; ++place) {
    out.emplace_back((*place)->first, (*place)->second.entry);
  }
  return out;
}

StsSummary StsCache::summary(base::WallTime now) const {
  StsSummary sum;
  const std::shared_lock<std::shared_mutex> held(lock_);
  for (const auto& [domain, slot] : slots_) {
    const StsEntry& entry = slot.entry;
    if (entry.expires <= now) continue;
    switch (entry.policy.mode) {
      case StsMode::enforce: ++sum.enforce; break;
      case StsMode::testing: ++sum.testing; break;
      case StsMode::none: ++sum.none; break;
    }
    if (entry.refresh_failure) ++sum.refresh_failing;
    if (!sum.oldest || entry.fetched < *sum.oldest) sum.oldest = entry.fetched;
  }
  return sum;
}

std::size_t StsCache::size() const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  return slots_.size();
}

// ---- with the lock held -------------------------------------------------------------------------

// RFC 8461 §3.3, §10.2: once a day, and well before a shorter life ends. Spread over the last
// quarter of the interval.
base::WallTime StsCache::due_after_success(const base::Domain& domain,
                                           const StsEntry& entry) const {
  const std::chrono::milliseconds life = entry.expires - entry.fetched;
  const auto interval = std::min<std::chrono::milliseconds>(settings_.refresh_interval, life / 2);
  return entry.fetched + part_of(interval, 0.75 + 0.25 * spread(domain));
}

void StsCache::insert(const base::Domain& domain, Slot slot) {
  erase(domain);
  while (slots_.size() >= settings_.max_policies && !by_expiry_.empty()) {
    const base::Domain first = by_expiry_.begin()->second;
    erase(first);
  }
  by_expiry_.emplace(slot.entry.expires, domain);
  by_due_.emplace(slot.entry.refresh_due, domain);
  slots_.emplace(domain, std::move(slot));
}

bool StsCache::erase(const base::Domain& domain) {
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return false;
  by_expiry_.erase({found->second.entry.expires, domain});
  by_due_.erase({found->second.entry.refresh_due, domain});
  slots_.erase(found);
  return true;
}

void StsCache::set_due(const base::Domain& domain, Slot& slot, base::WallTime due) {
  by_due_.erase({slot.entry.refresh_due, domain});
  slot.entry.refresh_due = due;
  by_due_.emplace(due, domain);
}

StsCache::Wait& StsCache::wait_for(const base::Domain& domain, const std::string& id,
                                   base::WallTime now) {
  bound_waits(now);
  std::vector<Wait>& waits = waits_[domain];
  for (Wait& wait : waits) {
    if (wait.id == id) return wait;
  }
  if (waits.size() >= ids_backing_off) {
    const auto oldest =
        std::min_element(waits.begin(), waits.end(), [](const Wait& a, const Wait& b) {
          return a.not_before < b.not_before;
        });
    waits.erase(oldest);
  }
  Wait wait;
  wait.id = id;
  waits.push_back(std::move(wait));
  return waits.back();
}

// Full: everything whose time is over goes; if that is not enough, any half of the rest.
void StsCache::bound_waits(base::WallTime now) {
  if (waits_.size() < settings_.max_back_off) return;
  std::erase_if(waits_, [now](const auto& one) {
    return std::all_of(one.second.begin(), one.second.end(),
                       [now](const Wait& wait) { return wait.not_before <= now; });
  });
  while (waits_.size() > settings_.max_back_off / 2) waits_.erase(waits_.begin());
}

// ---- what was found out -------------------------------------------------------------------------

StsActive StsCache::fetched(const base::Domain& domain, const std::string& id, StsPolicy policy,
                            base::WallTime now) {
  Slot slot;
  slot.entry.id = id;
  slot.entry.fetched = now;
  slot.entry.expires = now + policy.max_age;
  slot.entry.txt_checked = now;
  slot.entry.policy = std::move(policy);
  slot.entry.refresh_due = due_after_success(domain, slot.entry);
  StsActive active = active_of(slot.entry, PolicySource::fetched);
  const std::unique_lock<std::shared_mutex> held(lock_);
  waits_.erase(domain);
  absent_.erase(domain);
  const auto older = slots_.find(domain);
  if (older != slots_.end()) {
    slot.refetched = older->second.refetched;
    slot.txt_next = older->second.txt_next;
  }
  // RFC 8461 §3.2: max_age 0 serves the delivery at hand and is kept no longer; what it replaces
  // is gone all the same.
  if (slot.entry.expires > now) {
    insert(domain, std::move(slot));
  } else {
    erase(domain);
  }
  return active;
}

bool StsCache::fetch_failed(const base::Domain& domain, const std::string& id,
                            const StsFailure& failure, base::WallTime now) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  Wait& wait = wait_for(domain, id, now);
  if (wait.not_before + last_back_off < now) wait.failures = 0;  // a new bout
  wait.failure = failure;
  wait.not_before = now + back_off(++wait.failures);
  const auto found = slots_.find(domain);
  if (found == slots_.end() || found->second.entry.expires <= now) return false;
  StsEntry& entry = found->second.entry;
  entry.refresh_failure = failure;
  ++entry.refresh_failures;
  set_due(domain, found->second, std::max(wait.not_before, now + back_off(entry.refresh_failures)));
  return entry.policy.mode != StsMode::none;
}

void StsCache::txt_seen(const base::Domain& domain, base::WallTime now, base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return;
  found->second.entry.txt_checked = now;
  found->second.txt_next = next;
  found->second.txt_failure.reset();
}

bool StsCache::txt_failed(const base::Domain& domain, const StsFailure& failure,
                          base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return false;
  found->second.txt_next = next;
  found->second.txt_failure = failure;
  return found->second.entry.policy.mode != StsMode::none;
}

void StsCache::remember_absent(const base::Domain& domain, StsState state, base::WallTime now,
                               base::WallTime until) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  if (absent_.size() >= settings_.max_absent) {
    std::erase_if(absent_, [now](const auto& one) { return one.second.until <= now; });
    while (absent_.size() > settings_.max_absent / 2) absent_.erase(absent_.begin());
  }
  absent_.insert_or_assign(domain, Absence{std::move(state), until});
}

// ---- deciding whether to fetch ------------------------------------------------------------------

std::optional<StsFailure> StsCache::backing_off(const base::Domain& domain, const std::string& id,
                                                base::WallTime now) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  const auto found = waits_.find(domain);
  if (found == waits_.end()) return std::nullopt;
  std::size_t waiting = 0;
  for (const Wait& wait : found->second) {
    if (wait.not_before <= now) continue;
    if (wait.id == id) return wait.failure;
    ++waiting;
  }
  // RFC 8461 §3.3 allows limits beside that of the id: a publisher with ever new ids gets four.
  if (waiting >= ids_backing_off) return found->second.back().failure;
  return std::nullopt;
}

bool StsCache::may_refetch(const base::Domain& domain, base::WallTime now) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return true;
  if (found->second.refetched + first_back_off > now) return false;
  found->second.refetched = now;
  return true;
}

std::vector<base::Domain> StsCache::take_due(base::WallTime now, std::size_t limit) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  std::vector<base::Domain> due;
  while (due.size() < limit && !by_due_.empty() && by_due_.begin()->first <= now) {
    const base::Domain domain = by_due_.begin()->second;
    set_due(domain, slots_.at(domain), now + first_back_off);
    due.push_back(domain);
  }
  return due;
}

// ---- leaving ------------------------------------------------------------------------------------

std::vector<base::Domain> StsCache::expire(base::WallTime now) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  std::vector<base::Domain> gone;
  while (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
    gone.push_back(by_expiry_.begin()->second);
    erase(gone.back());
  }
  return gone;
}

bool StsCache::purge(const base::Domain& domain) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  waits_.erase(domain);
  return erase(domain);
}

bool StsCache::restore(const base::Domain& domain, StsEntry entry, base::WallTime now) {
  if (entry.fetched > now) {  // the clock was wrong then, or is now; never longer than max_age
    entry.fetched = now;
    entry.expires = std::min(entry.expires, now + entry.policy.max_age);
  }
  if (entry.expires <= now) return false;
  Slot slot;
  slot.entry = std::move(entry);
  slot.entry.refresh_due = due_after_success(domain, slot.entry);
  if (slot.entry.refresh_due <= now) {
    // Overdue since before the start: not all in the first second.
    const auto left = std::min<std::chrono::milliseconds>(10min, slot.entry.expires - now);
    slot.entry.refresh_due = now + part_of(left, 0.9 * spread(domain));
  }
  const std::unique_lock<std::shared_mutex> held(lock_);
  insert(domain, std::move(slot));
  return true;
}

}  // namespace policy
