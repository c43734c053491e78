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
double spread(std::string_view name) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a
  for (const char c : name) {
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

std::size_t StsCache::NameHash::operator()(std::string_view name) const {
  return std::hash<std::string_view>()(name);
}

base::Domain StsCache::Slot::domain() const { return *base::Domain::parse(name()); }

StsCache::Rare& StsCache::Slot::rarely() {
  if (!rare) rare = std::make_unique<Rare>();
  return *rare;
}

std::unique_ptr<StsCache::Slot> StsCache::slot_of(const base::Domain& domain,
                                                  const StsEntry& entry) {
  auto slot = std::make_unique<Slot>();
  std::size_t size = domain.view().size() + entry.id.size() + 2;
  for (const std::string& pattern : entry.policy.mx) size += pattern.size() + 1;
  for (const std::string& line : entry.policy.lines) size += line.size() + 1;
  slot->text.reserve(size);
  slot->text.append(domain.view()).append(entry.id).push_back('\n');
  append_lines(slot->text, entry.policy.mx);
  slot->text.push_back('\n');
  append_lines(slot->text, entry.policy.lines);
  slot->name_size = static_cast<std::uint8_t>(domain.view().size());
  slot->mode = entry.policy.mode;
  slot->max_age = static_cast<std::uint32_t>(entry.policy.max_age.count());
  slot->fetched = entry.fetched;
  slot->expires = entry.expires;
  slot->txt_checked = entry.txt_checked;
  slot->refresh_due = entry.refresh_due;
  slot->refresh_failures = entry.refresh_failures;
  if (entry.refresh_failure) slot->rarely().refresh = entry.refresh_failure;
  return slot;
}

StsEntry StsCache::entry_of(const Slot& slot) {
  StsEntry entry;
  std::string_view text = slot.text;
  text.remove_prefix(slot.name_size);
  entry.id = take_line(text);
  entry.policy.mode = slot.mode;
  entry.policy.max_age = std::chrono::seconds(slot.max_age);
  while (!text.starts_with('\n')) entry.policy.mx.push_back(take_line(text));
  text.remove_prefix(1);
  while (!text.empty()) entry.policy.lines.push_back(take_line(text));
  entry.fetched = slot.fetched;
  entry.expires = slot.expires;
  entry.txt_checked = slot.txt_checked;
  entry.refresh_due = slot.refresh_due;
  entry.refresh_failures = slot.refresh_failures;
  if (slot.rare) entry.refresh_failure = slot.rare->refresh;
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
  const Slot* const slot = unexpired(domain, now);
  if (slot == nullptr) return std::nullopt;
  StsCached cached;
  cached.active = active_of(entry_of(*slot), PolicySource::cached);
  if (slot->rare && !slot->rare->refresh) cached.active.refresh_failure = slot->rare->txt;
  cached.txt_due = slot->txt_next <= now;
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
  const Slot* const slot = unexpired(domain, now);
  if (slot == nullptr) return std::nullopt;
  return entry_of(*slot);
}

std::vector<std::pair<base::Domain, StsEntry>> StsCache::list(base::WallTime now) const {
  std::vector<std::pair<base::Domain, StsEntry>> all;
  {
    const std::shared_lock<std::shared_mutex> held(lock_);
    all.reserve(slots_.size());
    for (const auto& slot : slots_) {
      if (slot->expires > now) all.emplace_back(slot->domain(), entry_of(*slot));
    }
  }
  std::sort(all.begin(), all.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

std::vector<std::pair<base::Domain, StsEntry>> StsCache::page(base::WallTime now,
                                                              const std::string& after,
                                                              std::size_t most) const {
  const std::shared_lock<std::shared_mutex> held(lock_);
  std::vector<const Slot*> places;
  for (const auto& slot : slots_) {
    if (slot->expires > now && slot->name() > after) places.push_back(slot.get());
  }
  const auto end = places.begin() + static_cast<std::ptrdiff_t>(std::min(most, places.size()));
  std::partial_sort(places.begin(), end, places.end(),
                    [](const Slot* a, const Slot* b) { return a->name() < b->name(); });
  std::vector<std::pair<base::Domain, StsEntry>> out;
  for (auto place = places.begin(); place != end; ++place) {
    out.emplace_back((*place)->domain(), entry_of(**place));
  }
  return out;
}

StsSummary StsCache::summary(base::WallTime now) const {
  StsSummary sum;
  const std::shared_lock<std::shared_mutex> held(lock_);
  for (const auto& slot : slots_) {
    if (slot->expires <= now) continue;
    switch (slot->mode) {
      case StsMode::enforce: ++sum.enforce; break;
      case StsMode::testing: ++sum.testing; break;
      case StsMode::none: ++sum.none; break;
    }
    if (slot->rare && slot->rare->refresh) ++sum.refresh_failing;
    if (!sum.oldest || slot->fetched < *sum.oldest) sum.oldest = slot->fetched;
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
base::WallTime StsCache::due_after_success(const Slot& slot) const {
  const std::chrono::milliseconds life = slot.expires - slot.fetched;
  const auto interval = std::min<std::chrono::milliseconds>(settings_.refresh_interval, life / 2);
  return slot.fetched + part_of(interval, 0.75 + 0.25 * spread(slot.name()));
}

StsCache::Slot* StsCache::find(const base::Domain& domain) const {
  const auto found = slots_.find(domain.view());
  return found != slots_.end() ? found->get() : nullptr;
}

StsCache::Slot* StsCache::unexpired(const base::Domain& domain, base::WallTime now) const {
  Slot* const slot = find(domain);
  // RFC 8461 §10.2: past its expiry a policy is gone, whatever a refresh did.
  return slot != nullptr && slot->expires > now ? slot : nullptr;
}

void StsCache::insert(std::unique_ptr<Slot> slot) {
  if (const auto older = slots_.find(slot->name()); older != slots_.end()) erase(**older);
  while (slots_.size() >= settings_.max_policies && !by_expiry_.empty()) {
    erase(by_expiry_.first());
  }
  Slot& added = *slot;
  slots_.insert(std::move(slot));
  by_expiry_.add(added);
  by_due_.add(added);
}

void StsCache::erase(Slot& slot) {
  by_expiry_.remove(slot);
  by_due_.remove(slot);
  slots_.erase(slots_.find(slot.name()));
}

void StsCache::set_due(Slot& slot, base::WallTime due) {
  slot.refresh_due = due;
  by_due_.moved(slot);
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
  std::unique_ptr<Slot> slot = slot_of(domain, entry);
  slot->refresh_due = due_after_success(*slot);
  StsActive active = active_of(std::move(entry), PolicySource::fetched);
  const std::unique_lock<std::shared_mutex> held(lock_);
  waits_.erase(domain);
  absent_.erase(domain);
  Slot* const older = find(domain);
  if (older != nullptr) {
    if (older->rare && older->rare->refetched != base::WallTime{}) {
      slot->rarely().refetched = older->rare->refetched;
    }
    slot->txt_next = older->txt_next;
  }
  // RFC 8461 §3.2: max_age 0 serves the delivery at hand and is kept no longer; what it replaces
  // is gone all the same.
  if (slot->expires > now) {
    insert(std::move(slot));
  } else if (older != nullptr) {
    erase(*older);
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
  Slot* const slot = unexpired(domain, now);
  if (slot == nullptr) return false;
  slot->rarely().refresh = failure;
  ++slot->refresh_failures;
  set_due(*slot, std::max(wait.not_before, now + back_off(slot->refresh_failures)));
  return slot->mode != StsMode::none;
}

void StsCache::txt_seen(const base::Domain& domain, base::WallTime now, base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  Slot* const slot = find(domain);
  if (slot == nullptr) return;
  slot->txt_checked = now;
  slot->txt_next = next;
  if (!slot->rare) return;
  slot->rare->txt.reset();
  if (slot->rare->nothing()) slot->rare.reset();
}

bool StsCache::txt_failed(const base::Domain& domain, const StsFailure& failure,
                          base::WallTime next) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  Slot* const slot = find(domain);
  if (slot == nullptr) return false;
  slot->txt_next = next;
  slot->rarely().txt = failure;
  return slot->mode != StsMode::none;
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
  Slot* const slot = find(domain);
  if (slot == nullptr) return true;
  if (slot->rare && slot->rare->refetched + first_back_off > now) return false;
  slot->rarely().refetched = now;
  return true;
}

std::vector<base::Domain> StsCache::take_due(base::WallTime now, std::size_t limit) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  std::vector<base::Domain> due;
  while (due.size() < limit && !by_due_.empty() && by_due_.first().refresh_due <= now) {
    Slot& slot = by_due_.first();
    set_due(slot, now + first_back_off);
    due.push_back(slot.domain());
  }
  return due;
}

// ---- leaving ------------------------------------------------------------------------------------

std::vector<base::Domain> StsCache::expire(base::WallTime now) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  std::vector<base::Domain> gone;
  while (!by_expiry_.empty() && by_expiry_.first().expires <= now) {
    Slot& slot = by_expiry_.first();
    gone.push_back(slot.domain());
    erase(slot);
  }
  return gone;
}

bool StsCache::purge(const base::Domain& domain) {
  const std::unique_lock<std::shared_mutex> held(lock_);
  absent_.erase(domain);
  waits_.erase(domain);
  Slot* const slot = find(domain);
  if (slot == nullptr) return false;
  erase(*slot);
  return true;
}

bool StsCache::restore(const base::Domain& domain, StsEntry entry, base::WallTime now) {
  if (entry.fetched > now) {  // the clock was wrong then, or is now; never longer than max_age
    entry.fetched = now;
    entry.expires = std::min(entry.expires, now + entry.policy.max_age);
  }
  if (entry.expires <= now) return false;
  std::unique_ptr<Slot> slot = slot_of(domain, entry);
  slot->refresh_due = due_after_success(*slot);
  if (slot->refresh_due <= now) {
    // Overdue since before the start: not all in the first second.
    const auto left = std::min<std::chrono::milliseconds>(10min, slot->expires - now);
    slot->refresh_due = now + part_of(left, 0.9 * spread(slot->name()));
  }
  const std::unique_lock<std::shared_mutex> held(lock_);
  insert(std::move(slot));
  return true;
}

}  // namespace policy
