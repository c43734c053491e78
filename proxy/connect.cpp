#include "proxy/connect.h"

#include <sys/socket.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace proxy {

namespace {

boost::system::error_code error_of(int number) {
  return boost::system::error_code(number, boost::system::system_category());
}

}  // namespace

asio::awaitable<boost::system::error_code> connect_by(std::shared_ptr<Channel::Socket> socket,
                                                      Channel::Socket::endpoint_type where,
                                                      SteadyTime end,
                                                      std::function<void()> begun) {
  boost::system::error_code error;
  socket->native_non_blocking(true, error);
  if (error) co_return error;
  const int fd = socket->native_handle();
  const int outcome = ::connect(fd, where.data(), static_cast<socklen_t>(where.size()));
  if (outcome != 0 && errno != EINPROGRESS) co_return error_of(errno);
  if (begun) begun();
  if (outcome == 0) co_return error;
  auto timed_out = std::make_shared<bool>(false);
  asio::steady_timer timer(socket->get_executor(), end);
  timer.async_wait([socket, timed_out](const boost::system::error_code& cancelled) {
    if (cancelled) return;
    *timed_out = true;
    boost::system::error_code ignored;
    socket->cancel(ignored);
  });
  auto token = asio::redirect_error(asio::use_awaitable, error);
  co_await socket->async_wait(Channel::Socket::wait_write, std::move(token));
  timer.cancel();
  if (*timed_out) co_return make_error_code(boost::system::errc::timed_out);
  if (error) co_return error;
  int number = 0;
  socklen_t size = sizeof number;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
  co_return error_of(number);
}

}  // namespace proxy
