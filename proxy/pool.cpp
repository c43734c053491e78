#include "proxy/pool.h"

#include <algorithm>

#include "base/limits.h"
#include "proxy/meters.h"

namespace proxy {

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
  link->session->channel().release_buffer();
  const std::string terms = link->terms;
  Idle idle{std::move(link), std::chrono::steady_clock::now() + keepalive};
  idle_[terms].push_back(std::move(idle));
  count(1);
  arm();
}

void Pool::arm() {
  if (armed_ || count_ == 0) return;
  SteadyTime next = SteadyTime::max();
  for (const auto& [terms, waiting] : idle_) next = std::min(next, waiting.front().until);
  armed_ = true;
  timer_.expires_at(next);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    armed_ = false;
    sweep();
    arm();
  });
}

void Pool::sweep() {
  const SteadyTime now = std::chrono::steady_clock::now();
  for (auto it = idle_.begin(); it != idle_.end();) {
    std::list<Idle>& waiting = it->second;
    while (!waiting.empty() && waiting.front().until <= now) {
      waiting.front().link->session->quit();
      waiting.pop_front();
      count(-1);
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
