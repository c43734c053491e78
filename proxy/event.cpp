#include "proxy/event.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace proxy {

namespace asio = boost::asio;

asio::awaitable<void> Event::wait(std::chrono::steady_clock::time_point deadline) {
  auto executor = co_await asio::this_coro::executor;
  auto timer = std::make_shared<asio::steady_timer>(executor, deadline);
  waiters_.push_back(timer);
  boost::system::error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await timer->async_wait(std::move(token));
  std::erase(waiters_, timer);
}

}  // namespace proxy
