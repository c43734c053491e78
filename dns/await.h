// Coroutines over callbacks that come from another thread: async_lookup asks a Resolver and resumes
// on the caller's own executor. Cancellation is honoured; an answer that comes late, after a
// cancellation or after the coroutine is gone, is dropped. Not responsible for time limits of the
// DNS (the Resolver's own). Called by proxy/gather and by the policy fetcher and engine.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "dns/resolver.h"

namespace dns {

// What a callback of a foreign thread and a waiting coroutine share. The lock keeps `timer` alive
// while the foreign thread posts: the coroutine's frame closes the state before it goes, so no
// executor is touched whose context may be gone.
template <class T>
struct Handover {
  std::mutex lock;
  boost::asio::steady_timer* timer = nullptr;  // null: closed
  std::optional<T> value;

  static void deliver(const std::shared_ptr<Handover>& self, T arrived) {
    const std::lock_guard<std::mutex> held(self->lock);
    if (self->timer == nullptr || self->value) return;
    self->value.emplace(std::move(arrived));
    boost::asio::post(self->timer->get_executor(), [self] { wake(self); });
  }

 private:
  // On the waiter's executor, so nothing destroys the timer meanwhile.
  static void wake(const std::shared_ptr<Handover>& self) {
    const std::lock_guard<std::mutex> held(self->lock);
    if (self->timer != nullptr) self->timer->cancel();
  }
};

template <class T>
class HandoverEnd {
 public:
  HandoverEnd(std::shared_ptr<Handover<T>> state, boost::asio::steady_timer& timer)
      : state_(std::move(state)) {
    state_->timer = &timer;
  }
  HandoverEnd(const HandoverEnd&) = delete;
  HandoverEnd& operator=(const HandoverEnd&) = delete;
  ~HandoverEnd() {
    const std::lock_guard<std::mutex> held(state_->lock);
    state_->timer = nullptr;
  }

 private:
  std::shared_ptr<Handover<T>> state_;
};

// Calls `start` with a function that takes the value, once, from any thread, possibly before
// `start` returns; further calls are ignored. The value, or nullopt once `deadline` is past. Throws
// system_error(operation_aborted) when cancelled. The caller's executor runs on one thread.
template <class T>
boost::asio::awaitable<std::optional<T>> async_callback(
    std::function<void(std::function<void(T)>)> start,
    boost::asio::steady_timer::time_point deadline = boost::asio::steady_timer::time_point::max()) {
  const auto executor = co_await boost::asio::this_coro::executor;
  boost::asio::steady_timer timer(executor, deadline);
  auto state = std::make_shared<Handover<T>>();
  const HandoverEnd<T> end(state, timer);
  start([state](T value) { Handover<T>::deliver(state, std::move(value)); });
  boost::system::error_code error;
  auto token = boost::asio::redirect_error(boost::asio::use_awaitable, error);
  co_await timer.async_wait(token);
  std::unique_lock<std::mutex> held(state->lock);
  std::optional<T> value = std::move(state->value);
  held.unlock();
  if (!value && error) throw boost::system::system_error(boost::asio::error::operation_aborted);
  co_return value;
}

// The answer of `resolver`, which must live until it has answered or is destroyed itself.
boost::asio::awaitable<RawLookup> async_lookup(Resolver& resolver, std::string name, Type type);

}  // namespace dns
