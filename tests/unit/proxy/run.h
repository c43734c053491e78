// Runs one coroutine on an io_context of its own to its end; what it throws is thrown on.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>

inline void run_to_end(boost::asio::io_context& io, boost::asio::awaitable<void> coroutine) {
  io.restart();  // A context that ran out of work before has stopped.
  std::exception_ptr thrown;
  bool ended = false;
  boost::asio::co_spawn(io, std::move(coroutine), [&](std::exception_ptr error) {
    thrown = error;
    ended = true;
  });
  while (!ended && io.run_one() > 0) {
  }
  if (thrown) std::rethrow_exception(thrown);
}
