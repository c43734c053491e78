#include "proxy/connect.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace proxy {

asio::awaitable<boost::system::error_code> connect_by(std::shared_ptr<Channel::Socket> socket,
                                                      Channel::Socket::endpoint_type where,
                                                      SteadyTime end) {
  auto timed_out = std::make_shared<bool>(false);
  asio::steady_timer timer(socket->get_executor(), end);
  timer.async_wait([socket, timed_out](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    *timed_out = true;
    boost::system::error_code ignored;
    socket->cancel(ignored);
  });
  boost::system::error_code error;
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await socket->async_connect(where, std::move(token));
  timer.cancel();
  if (*timed_out) co_return make_error_code(boost::system::errc::timed_out);
  co_return error;
}

}  // namespace proxy
