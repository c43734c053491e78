// PlaceWaiter: a walk that found all connections to an MX address in use waits for its turn, and
// gets a place for a new one, or a connection under its terms that has served its mail. Made anew
// for each wait; lives on the walk's thread. Used by proxy/walk.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "proxy/channel.h"
#include "proxy/mx_slots.h"
#include "proxy/pool.h"

namespace proxy {

// A place for a new connection, or a connection; or neither.
struct Place {
  std::optional<MxSlots::Slot> slot;
  std::unique_ptr<MxLink> link;
};

class PlaceWaiter final : public MxSlots::Waiter,
                          public std::enable_shared_from_this<PlaceWaiter> {
 public:
  PlaceWaiter(asio::any_io_executor executor, Wish wish)
      : Waiter(std::move(wish)), executor_(std::move(executor)) {}

  // Ends at `end`, when its turn has come, or at cancel(). What it got is the caller's; a
  // connection may have died since it was handed over.
  static asio::awaitable<Place> wait(std::shared_ptr<PlaceWaiter> waiter, MxSlots& slots,
                                     SteadyTime end);
  void cancel();  // at any time

  void offer(MxSlots::Slot slot) override;
  void hand(std::unique_ptr<MxLink> link) override;

 private:
  asio::any_io_executor executor_;
  // In the frame of wait(), so that nobody else ends it; null before and behind.
  asio::steady_timer* timer_ = nullptr;
  bool over_ = false;  // it has what it waited for, or waits no longer
  Place place_;
};

}  // namespace proxy
