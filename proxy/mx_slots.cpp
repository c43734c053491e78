#include "proxy/mx_slots.h"

#include <algorithm>

#include "base/log.h"
#include "proxy/pool.h"

namespace proxy {

namespace {

// A connection goes to who waits for one like it, so that no handshake is needed, unless another has
// waited so much longer: a thread, or terms, that have no connection get one then.
constexpr std::chrono::seconds out_of_turn{3};
constexpr int looked_at = 64;  // in a line, for one with the same terms

}  // namespace

std::optional<MxSlots::Slot> MxSlots::take(const base::Ip& ip, std::uint32_t limit) {
  const std::lock_guard lock(mutex_);
  Address& address = addresses_[ip];
  if (address.open >= limit) return std::nullopt;
  address.ip = ip;
  ++address.open;
  return Slot(this, &address);
}

std::optional<MxSlots::Slot> MxSlots::take_or_wait(const WaiterPtr& waiter) {
  const Waiter::Wish& wish = waiter->wish();
  const std::lock_guard lock(mutex_);
  Address& address = addresses_[wish.ip];
  address.ip = wish.ip;
  if (address.open < wish.limit) {
    ++address.open;
    return Slot(this, &address);
  }
  // Who had stood in line before goes back to where it was.
  const auto behind = [&wish](const WaiterPtr& other) { return other->wish().since > wish.since; };
  auto place = address.line.end();
  while (place != address.line.begin() && behind(*std::prev(place))) --place;
  const bool first = address.line.empty();
  address.line.insert(place, waiter);
  ++address.waiting;
  if (first) ask(address, false);
  return std::nullopt;
}

void MxSlots::ask(const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(waiter.wish().ip);
  if (found != addresses_.end()) ask(found->second, true);
}

void MxSlots::ask(const Address& address, bool any) {
  if (address.resting == 0) return;
  for (const auto& [pool, asked] : pools_) asked(address.ip, any);
}

void MxSlots::step_out(Address& address, std::list<WaiterPtr>::iterator place) {
  address.line.erase(place);
  --address.waiting;
}

void MxSlots::forget_unused(const base::Ip& ip) {
  const auto found = addresses_.find(ip);
  if (found == addresses_.end()) return;
  if (found->second.open == 0 && found->second.line.empty()) addresses_.erase(found);
}

void MxSlots::leave(const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(waiter.wish().ip);
  if (found == addresses_.end()) return;
  std::list<WaiterPtr>& line = found->second.line;
  const auto place = std::ranges::find(line, &waiter, &WaiterPtr::get);
  if (place == line.end()) return;
  step_out(found->second, place);
  forget_unused(waiter.wish().ip);
}

bool MxSlots::is_waited_for(const base::Ip& ip) const {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(ip);
  return found != addresses_.end() && !found->second.line.empty();
}

MxSlots::Heir MxSlots::heir(Address& address, const std::string& terms, const void* pool) {
  const std::lock_guard lock(mutex_);
  if (address.line.empty()) return {};
  const auto latest = address.line.front()->wish().since + out_of_turn;
  int looks = looked_at;
  for (auto it = address.line.begin(); it != address.line.end() && looks > 0; ++it, --looks) {
    const Waiter::Wish& wish = (*it)->wish();
    if (wish.since > latest) break;
    if (wish.pool != pool || wish.terms != terms) continue;
    WaiterPtr waiter = *it;
    step_out(address, it);
    return {true, std::move(waiter)};
  }
  const auto waited = std::chrono::steady_clock::now() - address.line.front()->wish().since;
  return {waited >= patience, nullptr};
}

void MxSlots::add_pool(const void* pool, Asked asked) {
  const std::lock_guard lock(mutex_);
  pools_.emplace_back(pool, std::move(asked));
}

void MxSlots::remove_pool(const void* pool) {
  const std::lock_guard lock(mutex_);
  std::erase_if(pools_, [pool](const auto& entry) { return entry.first == pool; });
}

std::size_t MxSlots::open() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [ip, address] : addresses_) sum += address.open;
  return sum;
}

MxSlots::Whose MxSlots::whose(const base::Ip& source, std::uint16_t port,
                              const base::Ip& ip) const {
  const bool leaving = leaving_ > 0;  // read first: what leaves is in `open_` before it ends
  const std::lock_guard lock(mutex_);
  if (open_.contains(Ends(source, port, ip))) return Whose::ours;
  return leaving ? Whose::unknown : Whose::another;
}

void MxSlots::begin(const Ends& ends) {
  const std::lock_guard lock(mutex_);
  open_.insert(ends);
}

void MxSlots::give_back(Address& address, const std::optional<Ends>& ends) {
  WaiterPtr next;
  {
    const std::lock_guard lock(mutex_);
    if (ends) {
      const auto known = open_.find(*ends);
      if (known != open_.end()) open_.erase(known);
    }
    --address.open;
    if (!address.line.empty() && address.open < address.line.front()->wish().limit) {
      next = address.line.front();
      step_out(address, address.line.begin());
      ++address.open;
    } else {
      forget_unused(base::Ip(address.ip));
    }
  }
  if (!next) return;
  try {
    next->offer(Slot(this, &address));
  } catch (const std::exception& error) {
    // The place went on to the next in line. This one waits to its end, and its mail is tried again.
    base::log_error("", std::string("cannot tell a session of a free place: ") + error.what());
  }
}

}  // namespace proxy
