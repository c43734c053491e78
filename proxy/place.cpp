#include "proxy/place.h"

#include <algorithm>
#include <boost/asio/dispatch.hpp>
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
  Place place;
  {
    const Leaving leaving{*waiter, slots};
    place.slot = slots.take_or_wait(waiter);
    if (place.slot) co_return place;
    waiter->timer_ = &timer;
    SteadyTime now = std::chrono::steady_clock::now();
    SteadyTime::duration pause = std::min<SteadyTime::duration>(MxSlots::patience, (end - now) / 2);
    for (; now < end && !waiter->over_; pause *= 2) {
      const SteadyTime look = std::min(end, now + pause);
      // Nothing can have come before this thread is back in its loop.
      timer.expires_at(look);
      boost::system::error_code ignored;
      auto token = asio::redirect_error(asio::use_awaitable, ignored);
      co_await timer.async_wait(std::move(token));
      if (!waiter->over_) slots.ask(*waiter);
      now = std::chrono::steady_clock::now();
    }
  }
  place = std::move(waiter->place_);
  if (place.link) place.link = Pool::revive(std::move(place.link));
  co_return place;
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
  asio::dispatch(executor_, std::move(arrive));
}

void PlaceWaiter::hand(std::unique_ptr<MxLink> link) {
  place_.link = std::move(link);
  cancel();
}

}  // namespace proxy
