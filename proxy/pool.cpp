#include "proxy/pool.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "base/limits.h"
#include "proxy/meters.h"

namespace proxy {

namespace {

// A busy connection is taken again before that; the memory of one is not asked for anew each time.
constexpr std::chrono::seconds rests_after{1};

}  // namespace

Pool::Pool(boost::asio::any_io_executor executor, MxSlots* slots, Meters* meters)
    : slots_(slots), meters_(meters), timer_(executor) {
  if (!slots_) return;
  slots_->add_pool(this, [this, executor, alive = alive_](const base::Ip& ip, bool any) {
    boost::asio::post(executor, [this, alive, ip, any] {
      // What has rested for long is closed for all who wait, else one for who has waited long.
      while (*alive && slots_->is_waited_for(ip) && make_place(ip, !any) && !any) {
      }
    });
  });
}

Pool::~Pool() {
  if (slots_) slots_->remove_pool(this);
  *alive_ = false;
  count(-static_cast<std::int64_t>(count_));
}

void Pool::count(std::int64_t change) {
  count_ += static_cast<std::size_t>(change);
  if (meters_ && change != 0) meters_->idle.add({}, change);
}

std::unique_ptr<MxLink> Pool::take(const std::string& terms) {
  const auto found = idle_.find(terms);
  if (found == idle_.end()) return nullptr;
  std::list<Idle>& waiting = found->second;
  std::unique_ptr<MxLink> link;
  while (!link && !waiting.empty()) {
    // The one used last: it is the likeliest to be alive.
    link = std::move(waiting.back().link);
    waiting.pop_back();
    count(-1);
    if (!revive(*link)) {
      link->session->quit();
      link.reset();
    }
  }
  if (waiting.empty()) idle_.erase(found);
  return link;
}

bool Pool::revive(MxLink& link) {
  link.session->slot().rests(false);
  link.reused = link.session->wire().is_silent();
  return link.reused;
}

void Pool::give(std::unique_ptr<MxLink> link, std::chrono::milliseconds keepalive) {
  if (keepalive.count() <= 0 || link->era != era_ ||
      !link->session->channel().is_open() || !link->session->channel().buffered().empty()) {
    link->session->quit();
    return;
  }
  MxSlots::Slot& slot = link->session->slot();
  slot.rests(true);
  const MxSlots::Heir heir = slot.heir(link->terms, era_, this);
  if (heir.waiter) {
    slot.rests(false);
    heir.waiter->hand(std::move(link));
    return;
  }
  if (heir.wanted || count_ >= base::limits::idle_connections) {
    link->session->quit();
    return;
  }
  const std::string terms = link->terms;
  const SteadyTime now = std::chrono::steady_clock::now();
  // By whole seconds, so that a thousand of them come to rest at once and not one after another.
  const SteadyTime rests = std::chrono::ceil<std::chrono::seconds>(now + rests_after);
  Idle idle{std::move(link), now + keepalive, rests};
  const SteadyTime first = std::min(idle.until, idle.rests);
  idle_[terms].push_back(std::move(idle));
  count(1);
  arm(first);
}

SteadyTime Pool::next() const {
  SteadyTime next = SteadyTime::max();
  for (const auto& [terms, waiting] : idle_) {
    for (const Idle& idle : waiting) {
      next = std::min(next, idle.rested ? idle.until : std::min(idle.until, idle.rests));
    }
  }
  return next;
}

void Pool::arm(SteadyTime at) {
  if (at >= rings_) return;
  timer_.expires_at(at);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    rings_ = SteadyTime::max();
    sweep();
    arm(next());
  });
  rings_ = at;
}

void Pool::sweep() {
  const SteadyTime now = std::chrono::steady_clock::now();
  for (auto it = idle_.begin(); it != idle_.end();) {
    std::list<Idle>& waiting = it->second;
    // Not in the order of their ends: each was given under its session's own configuration.
    std::erase_if(waiting, [this, now](Idle& idle) {
      if (idle.until > now) return false;
      idle.link->session->quit();
      count(-1);
      return true;
    });
    for (Idle& idle : waiting) {
      if (idle.rested || idle.rests > now) continue;
      idle.link->session->channel().release_buffer();
      idle.link->session->slot().has_rested();
      idle.rested = true;
    }
    it = waiting.empty() ? idle_.erase(it) : std::next(it);
  }
}

bool Pool::make_place(const base::Ip& ip, bool rested) {
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    std::list<Idle>& waiting = it->second;
    if (waiting.empty() || waiting.front().link->session->peer().ip != ip) continue;
    if (rested && !waiting.front().rested) continue;
    waiting.front().link->session->quit();
    waiting.pop_front();
    count(-1);
    if (waiting.empty()) idle_.erase(it);
    return true;
  }
  return false;
}

void Pool::close_all() {
  ++era_;
  for (auto& [terms, waiting] : idle_) {
    for (Idle& idle : waiting) idle.link->session->quit();
  }
  idle_.clear();
  count(-static_cast<std::int64_t>(count_));
}

}  // namespace proxy
