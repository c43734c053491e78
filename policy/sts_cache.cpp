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

void append_lines(std::string& text, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) text.append(line).push_back('\n');
}

// Up to the next LF, which is passed too.
std::string take_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string line(text.substr(0, end));
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace

std::string StsEntry::body() const {
  std::string text;
  append_lines(text, policy.lines);
  return text;
}

// ---- a policy in little room --------------------------------------------------------------------

StsCache::Slot StsCache::slot_of(const StsEntry& entry) {
  Slot slot;
  std::size_t size = entry.id.size() + 2;
  for (const std::string& pattern : entry.policy.mx) size += pattern.size() + 1;
  for (const std::string& line : entry.policy.lines) size += line.size() + 1;
  slot.text.reserve(size);
  slot.text.append(entry.id).push_back('\n');
  append_lines(slot.text, entry.policy.mx);
  slot.text.push_back('\n');
  append_lines(slot.text, entry.policy.lines);
  slot.mode = entry.policy.mode;
  slot.max_age = entry.policy.max_age;
  slot.fetched = entry.fetched;
  slot.expires = entry.expires;
  slot.txt_checked = entry.txt_checked;
  slot.refresh_due = entry.refresh_due;
  slot.refresh_failures = entry.refresh_failures;
  if (entry.refresh_failure) {
    slot.failures = std::make_unique<Failures>();
    slot.failures->refresh = entry.refresh_failure;
  }
  return slot;
}

StsEntry StsCache::entry_of(const Slot& slot) {
  StsEntry entry;
  std::string_view text = slot.text;
  entry.id = take_line(text);
  entry.policy.mode = slot.mode;
  entry.policy.max_age = slot.max_age;
  while (!text.starts_with('\n')) entry.policy.mx.push_back(take_line(text));
  text.remove_prefix(1);
  while (!text.empty()) entry.policy.lines.push_back(take_line(text));
  entry.fetched = slot.fetched;
  entry.expires = slot.expires;
  entry.txt_checked = slot.txt_checked;
  entry.refresh_due = slot.refresh_due;
  entry.refresh_failures = slot.refresh_failures;
  if (slot.failures) entry.refresh_failure = slot.failures->refresh;
  return entry;
}

StsActive StsCache::active_of(StsEntry entry, PolicySource source) {
  StsActive active;
  active.policy = std::move(entry.policy);
  active.id = std::move(entry.id);
  active.source = source;
  active.fetched = entry.fetched;
  active.expires = entry.expires;
  active.refresh_failure = std::move(entry.refresh_failure);
  return active;
}

// ---- looking up ---------------------------------------------------------------------------------

std::optional<StsCached> StsCache::lookup(const base::Domain& domain, base::WallTime now) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  // RFC 8461 §10.2: past its expiry a policy is gone, whatever a refresh did.
  if (found == slots_.end() || found->second.expires <= now) return std::nullopt;
  const Slot& slot = found->second;
  StsCached cached;
  cached.active = active_of(entry_of(slot), PolicySource::cached);
  if (slot.failures && !slot.failures->refresh) cached.active.refresh_failure = slot.failures->txt;
  cached.txt_due = slot.txt_next <= now;
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
  if (found == slots_.end() || found->second.expires <= now) return std::nullopt;
  return entry_of(found->second);
}

std::vector<std::pair<base::Domain, StsEntry>> StsCache::list(base::WallTime now) const {
  std::vector<std::pair<base::Domain, StsEntry>> all;
  {
    const std::shared_lock<std::shared_mutex> held(lock_);
    all.reserve(slots_.size());
    for (const auto& [domain, slot] : slots_) {
      if (slot.expires > now) all.emplace_back(domain, entry_of(slot));
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
    if (one.second.expires > now && one.first.str() > after) places.push_back(&one);
  }
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(std::min(most, places.size()));
  std::partial_sort(places.begin(), end, places.end(),
                    [](Place a, Place b) { return a->first.str() < b->first.str(); });
  std::vector<std::pair<base::Domain, StsEntry>> out;
  for (auto place = places.begin(); place != end; ++place) {
    out.emplace_back((*place)->first, entry_of((*place)->second));
  }
  return out;
}

StsSummary StsCache::summary(base::WallTime now) const {
  StsSummary sum;
  const std::shared_lock<std::shared_mutex> held(lock_);
  for (const auto& [domain, slot] : slots_) {
    if (slot.expires <= now) continue;
    switch (slot.mode) {
      case StsMode::enforce: ++sum.enforce; break;
      case StsMode::testing: ++sum.testing; break;
      case StsMode::none: ++sum.none; break;
    }
    if (slot.failures && slot.failures->refresh) ++sum.refresh_failing;
    if (!sum.oldest || slot.fetched < *sum.oldest) sum.oldest = slot.fetched;
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
base::WallTime StsCache::due_after_success(const base::Domain& domain, const Slot& slot) const {
  const std::chrono::milliseconds life = slot.expires - slot.fetched;
  const auto interval = std::min<std::chrono::milliseconds>(settings_.refresh_interval, life / 2);
  return slot.fetched + part_of(interval, 0.75 + 0.25 * spread(domain));
}

void StsCache::insert(const base::Domain& domain, Slot slot) {
  if (const auto older = slots_.find(domain); older != slots_.end()) erase(older);
  while (slots_.size() >= settings_.max_policies && !by_expiry_.empty()) {
    erase(slots_.find(*by_expiry_.begin()->second));
  }
  const auto added = slots_.emplace(domain, std::move(slot)).first;
  by_expiry_.emplace(added->second.expires, &added->first);
  by_due_.emplace(added->second.refresh_due, &added->first);
}

void StsCache::erase(Slots::iterator found) {
  by_expiry_.erase({found->second.expires, &found->first});
  by_due_.erase({found->second.refresh_due, &found->first});
  slots_.erase(found);
}

void StsCache::set_due(Slots::value_type& slot, base::WallTime due) {
  by_due_.erase({slot.second.refresh_due, &slot.first});
  slot.second.refresh_due = due;
  by_due_.emplace(due, &slot.first);
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
  StsEntry entry;
  entry.id = id;
  entry.fetched = now;
  entry.expires = now + policy.max_age;
  entry.txt_checked = now;
  entry.policy = std::move(policy);
  Slot slot = slot_of(entry);
  slot.refresh_due = due_after_success(domain, slot);
  StsActive active = active_of(std::move(entry), PolicySource::fetched);
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
  if (slot.expires > now) {
    insert(domain, std::move(slot));
  } else if (older != slots_.end()) {
    erase(older);
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
  if (found == slots_.end() || found->second.expires <= now) return false;
  Slot& slot = found->second;
  if (!slot.failures) slot.failures = std::make_unique<Failures>();
  slot.failures->refresh = failure;
  ++slot.refresh_failures;
  set_due(*found, std::max(wait.not_before, now + back_off(slot.refresh_failures)));
  return slot.mode != StsMode::none;
}

void StsCache::txt_seen(const base::Domain& domain, base::WallTime now, base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return;
  Slot& slot = found->second;
  slot.txt_checked = now;
  slot.txt_next = next;
  if (!slot.failures) return;
  slot.failures->txt.reset();
  if (!slot.failures->refresh) slot.failures.reset();
}

bool StsCache::txt_failed(const base::Domain& domain, const StsFailure& failure,
                          base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return false;
  Slot& slot = found->second;
  slot.txt_next = next;
  if (!slot.failures) slot.failures = std::make_unique<Failures>();
  slot.failures->txt = failure;
  return slot.mode != StsMode::none;
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
    const auto found = slots_.find(*by_due_.begin()->second);
    set_due(*found, now + first_back_off);
    due.push_back(found->first);
  }
  return due;
}

// ---- leaving ------------------------------------------------------------------------------------

std::vector<base::Domain> StsCache::expire(base::WallTime now) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  std::vector<base::Domain> gone;
  while (!by_expiry_.empty() && by_expiry_.begin()->first <= now) {
    const auto found = slots_.find(*by_expiry_.begin()->second);
    gone.push_back(found->first);
    erase(found);
  }
  return gone;
}

bool StsCache::purge(const base::Domain& domain) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  waits_.erase(domain);
  const auto found = slots_.find(domain);
  if (found == slots_.end()) return false;
  erase(found);
  return true;
}

bool StsCache::restore(const base::Domain& domain, StsEntry entry, base::WallTime now) {
  if (entry.fetched > now) {  // the clock was wrong then, or is now; never longer than max_age
    entry.fetched = now;
    entry.expires = std::min(entry.expires, now + entry.policy.max_age);
  }
  if (entry.expires <= now) return false;
  Slot slot = slot_of(entry);
  slot.refresh_due = due_after_success(domain, slot);
  if (slot.refresh_due <= now) {
    // Overdue since before the start: not all in the first second.
    const auto left = std::min<std::chrono::milliseconds>(10min, slot.expires - now);
    slot.refresh_due = now + part_of(left, 0.9 * spread(domain));
  }
  const std::unique_lock<std::shared_mutex> held(lock_);
  insert(domain, std::move(slot));
  return true;
}

}  // namespace policy
