#include "proxy/mx_slots.h"

#include <algorithm>

#include "base/log.h"
#include "proxy/pool.h"

namespace proxy {

namespace {

// A connection goes to who waits for one like it, so that no handshake is needed, unless another
// has waited so much longer: a thread, or terms, that have no connection get one then.
constexpr std::chrono::seconds out_of_turn{3};
constexpr int looked_at = 64;  // in a line, for one with the same terms

}  // namespace

MxSlots::Address& MxSlots::at(const base::Ip& ip) {
  const auto [place, fresh] = addresses_.try_emplace(ip);
  if (fresh) place->second.ip = ip;  // From then on it is read without the lock.
  return place->second;
}

std::optional<MxSlots::Slot> MxSlots::take(const base::Ip& ip, std::uint32_t limit) {
  const std::lock_guard lock(mutex_);
  Address& address = at(ip);
  if (address.open >= limit) return std::nullopt;
  ++address.open;
  return Slot(this, &address);
}

std::optional<MxSlots::Slot> MxSlots::take_or_wait(const WaiterPtr& waiter) {
  const Waiter::Wish& wish = waiter->wish();
  const std::lock_guard lock(mutex_);
  Address& address = at(wish.ip);
  if (address.open < wish.limit) {
    ++address.open;
    return Slot(this, &address);
  }
  // Who had stood in line before goes back to where it was.
  const auto behind = [&wish](const WaiterPtr& other) { return other->wish().since > wish.since; };
  auto place = address.line.end();
  while (place != address.line.begin() && behind(*std::prev(place))) --place;
  waiter->place_ = address.line.insert(place, waiter);
  ++address.waiting;
  if (address.rested > 0) ask(address, false);
  return std::nullopt;
}

void MxSlots::ask(const Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(waiter.wish().ip);
  if (found != addresses_.end() && found->second.resting > 0) ask(found->second, true);
}

void MxSlots::ask(const Address& address, bool any) {
  for (const auto& [pool, asked] : pools_) asked(address.ip, any);
}

MxSlots::WaiterPtr MxSlots::step_out(Address& address, std::list<WaiterPtr>::iterator place) {
  WaiterPtr waiter = std::move(*place);
  waiter->place_.reset();
  address.line.erase(place);
  --address.waiting;
  return waiter;
}

void MxSlots::forget_unused(const base::Ip& ip) {
  const auto found = addresses_.find(ip);
  if (found == addresses_.end()) return;
  if (found->second.open == 0 && found->second.line.empty()) addresses_.erase(found);
}

void MxSlots::leave(const Waiter& waiter) {
  WaiterPtr left;  // outlives the lock
  const std::lock_guard lock(mutex_);
  if (!waiter.place_) return;
  left = step_out(addresses_.find(waiter.wish().ip)->second, *waiter.place_);
  forget_unused(waiter.wish().ip);
}

// Where the limit was lowered, one connection less helps nobody yet whose limit is far below.
const MxSlots::Waiter* MxSlots::oldest_helped(const Address& address) const {
  const auto helped = [&address](const WaiterPtr& one) {
    return address.open <= one->wish().limit;
  };
  const auto found = std::ranges::find_if(address.line, helped);
  return found == address.line.end() ? nullptr : found->get();
}

bool MxSlots::is_waited_for(const base::Ip& ip) const {
  const std::lock_guard lock(mutex_);
  const auto found = addresses_.find(ip);
  return found != addresses_.end() && oldest_helped(found->second) != nullptr;
}

MxSlots::Heir MxSlots::heir(Address& address, const std::string& terms, std::uint64_t era,
                            const void* pool) {
  const std::lock_guard lock(mutex_);
  const Waiter* const oldest = oldest_helped(address);
  int looks = looked_at;
  for (auto it = address.line.begin(); it != address.line.end() && looks > 0; ++it, --looks) {
    const Waiter::Wish& wish = (*it)->wish();
    if (oldest && wish.since > oldest->wish().since + out_of_turn) break;
    if (wish.pool != pool || wish.era != era || wish.terms != terms) continue;
    return {true, step_out(address, it)};
  }
  if (!oldest) return {};
  const auto waited = std::chrono::steady_clock::now() - oldest->wish().since;
  return {waited >= oldest->wish().patience, nullptr};
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

void MxSlots::end(const Ends& ends) {
  const std::lock_guard lock(mutex_);
  const auto known = open_.find(ends);
  if (known != open_.end()) open_.erase(known);
}

void MxSlots::give_back(Address& address, const std::optional<Ends>& ends) {
  if (ends) end(*ends);
  WaiterPtr next;
  {
    const std::lock_guard lock(mutex_);
    --address.open;
    // Not all of them have the same limit where the configuration has changed.
    const auto may = [&address](const WaiterPtr& one) {
      return address.open < one->wish().limit;
    };
    const auto first = std::ranges::find_if(address.line, may);
    if (first != address.line.end()) {
      next = step_out(address, first);
      ++address.open;
    } else {
      forget_unused(base::Ip(address.ip));
    }
  }
  if (!next) return;
  try {
    next->offer(Slot(this, &address));
  } catch (const std::exception&) {
    // The place went on to the next in line. This one waits to its end; its mail is tried again.
    base::log_error("", "no memory to tell a session of a free place");
  }
}

}  // namespace proxy
