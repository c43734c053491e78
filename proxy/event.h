// Event: coroutines of one thread wait for a condition that another coroutine of the same thread
// brings about. notify_all() wakes every waiter; each looks at its condition again. No memory of
// past notifications: look before you wait.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <vector>

namespace proxy {

class Event {
 public:
  // Ends at a notification or at `deadline`, whichever comes first.
  boost::asio::awaitable<void> wait(std::chrono::steady_clock::time_point deadline);
  void notify_all() {
    for (auto& timer : waiters_) timer->cancel();
  }

 private:
  std::vector<std::shared_ptr<boost::asio::steady_timer>> waiters_;
};

}  // namespace proxy
