#include "proxy/pool.h"

#include <algorithm>

#include "base/limits.h"
#include "proxy/meters.h"

namespace proxy {

namespace {

// A busy connection is taken again before that; the memory of one is not asked for anew each time.
constexpr std::chrono::seconds rests_after{1};

}  // namespace

Pool::~Pool() {
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
    if (!link->session->wire().is_silent()) {
      link->session->quit();
      link.reset();
    }
  }
  if (waiting.empty()) idle_.erase(found);
  if (link) link->reused = true;
  return link;
}

void Pool::give(std::unique_ptr<MxLink> link, std::chrono::milliseconds keepalive) {
  if (keepalive.count() <= 0 || link->era != era_ || count_ >= base::limits::idle_connections ||
      !link->session->channel().is_open() || !link->session->channel().buffered().empty()) {
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
  rings_ = at;
  timer_.expires_at(at);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    rings_ = SteadyTime::max();
    sweep();
    arm(next());
  });
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
      idle.rested = true;
    }
    it = waiting.empty() ? idle_.erase(it) : std::next(it);
  }
}

bool Pool::make_place(const base::Ip& ip) {
  for (auto it = idle_.begin(); it != idle_.end(); ++it) {
    std::list<Idle>& waiting = it->second;
    if (waiting.front().link->session->peer().ip != ip) continue;
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
