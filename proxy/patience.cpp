#include "proxy/patience.h"

#include <utility>

namespace proxy {

using Clock = std::chrono::steady_clock;

struct Patience::State {
  State(boost::asio::any_io_executor executor, std::chrono::milliseconds time)
      : timer(std::move(executor)), length(time) {}
  boost::asio::steady_timer timer;
  std::chrono::milliseconds length;
  std::list<Wait> waits;  // the oldest first
  std::list<Wait> called;  // whose ticket still holds on to its place
  bool armed = false;
  bool ended = false;
};

Patience::Ticket& Patience::Ticket::operator=(Ticket&& other) noexcept {
  if (this == &other) return *this;
  drop();
  state_ = std::exchange(other.state_, nullptr);
  place_ = other.place_;
  return *this;
}

void Patience::Ticket::drop() {
  if (!state_) return;
  const auto state = std::exchange(state_, nullptr);
  // In whichever list it is: splice() keeps the place.
  state->called.splice(state->called.end(), place_->then ? state->waits : state->called, place_);
  state->called.erase(place_);
}

Patience::Patience(boost::asio::any_io_executor executor, std::chrono::milliseconds length)
    : state_(std::make_shared<State>(std::move(executor), length)) {}

Patience::~Patience() {
  state_->ended = true;
  state_->timer.cancel();
}

Patience::Ticket Patience::begin(std::function<void()> then) {
  Ticket ticket;
  ticket.state_ = state_;
  ticket.place_ = state_->waits.insert(state_->waits.end(),
                                       Wait{Clock::now() + state_->length, std::move(then)});
  arm(state_);
  return ticket;
}

std::size_t Patience::size() const { return state_->waits.size(); }

// The timer rings for the oldest wait of the moment when it was set; by then that is mostly over,
// and it is set anew for the oldest one then.
void Patience::arm(const std::shared_ptr<State>& state) {
  if (state->armed || state->ended || state->waits.empty()) return;
  state->armed = true;
  state->timer.expires_at(state->waits.front().until);
  state->timer.async_wait([state](const boost::system::error_code& error) {
    state->armed = false;
    if (error || state->ended) return;
    const auto now = Clock::now();
    while (!state->waits.empty() && state->waits.front().until <= now) {
      Wait& due = state->waits.front();
      const std::function<void()> then = std::exchange(due.then, nullptr);
      state->called.splice(state->called.end(), state->waits, state->waits.begin());
      then();
    }
    arm(state);
  });
}

}  // namespace proxy
