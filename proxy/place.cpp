#include "proxy/place.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace proxy {

asio::awaitable<Place> PlaceWaiter::wait(std::shared_ptr<PlaceWaiter> waiter, MxSlots& slots,
                                         SteadyTime end) {
  asio::steady_timer timer(waiter->executor_);
  // Also where the frame is destroyed while it waits.
  struct Leaving {
    PlaceWaiter& waiter;
    MxSlots& slots;
    ~Leaving() {
      waiter.timer_ = nullptr;
      waiter.over_ = true;
      slots.leave(waiter);
    }
  };
  {
    const Leaving leaving{*waiter, slots};
    Place at_once{slots.take_or_wait(waiter), nullptr};
    if (at_once.slot) co_return at_once;
    waiter->timer_ = &timer;
    SteadyTime now = std::chrono::steady_clock::now();
    while (now < end && !waiter->over_) {
      // Nothing can have come before this thread is back in its loop.
      timer.expires_at(std::min(end, now + waiter->wish().patience));
      boost::system::error_code ignored;
      auto token = asio::redirect_error(asio::use_awaitable, ignored);
      co_await timer.async_wait(std::move(token));
      now = std::chrono::steady_clock::now();
      if (!waiter->over_ && now < end) slots.ask(*waiter);
    }
  }
  co_return std::move(waiter->place_);
}

void PlaceWaiter::cancel() {
  over_ = true;
  if (timer_) timer_->cancel();
}

void PlaceWaiter::offer(MxSlots::Slot slot) {
  auto arrive = [waiter = shared_from_this(), slot = std::move(slot)]() mutable {
    if (waiter->over_) return;  // The place goes on to the next in line.
    waiter->place_.slot = std::move(slot);
    waiter->cancel();
  };
  // Later, also on this thread: whoever gives back a place is in the middle of something.
  asio::post(executor_, std::move(arrive));
}

void PlaceWaiter::hand(std::unique_ptr<MxLink> link) {
  place_.link = std::move(link);
  cancel();
}

}  // namespace proxy
