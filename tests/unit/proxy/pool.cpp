// Pool: connections that wait end each at its own time, whatever their order.
#include "proxy/pool.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "tests/unit/proxy/links.h"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

using pool_test::Peers;

}  // namespace

TEST_CASE("pool: a connection ends at its own time behind one that stays longer") {
  asio::io_context io;
  Peers peers;
  proxy::Pool pool(io.get_executor());
  // As two sessions do of which only the second began after `idle_keepalive` was lowered.
  pool.give(peers.link(io, "terms"), 300s);
  pool.give(peers.link(io, "terms"), 50ms);
  REQUIRE(pool.size() == 2);
  std::size_t turns = 0;
  const auto patience = std::chrono::steady_clock::now() + 20s;
  while (pool.size() == 2 && std::chrono::steady_clock::now() < patience) {
    turns += io.run_one_for(1s);
  }
  CHECK(pool.size() == 1);
  CHECK(peers.ended(1));
  CHECK_FALSE(peers.ended(0));
  // And it wakes for what there is to do, not again and again: once more, to free the buffers.
  turns += io.run_for(2500ms);
  CHECK(turns < 8);
  CHECK(pool.take("terms") != nullptr);
  CHECK(pool.size() == 0);
}

TEST_CASE("pool: what was used last is taken first, and only under its terms") {
  asio::io_context io;
  Peers peers;
  proxy::Pool pool(io.get_executor());
  pool.give(peers.link(io, "one"), 300s);
  pool.give(peers.link(io, "one"), 300s);
  pool.give(peers.link(io, "two"), 300s);
  CHECK(pool.take("three") == nullptr);
  REQUIRE(pool.take("one") != nullptr);
  CHECK(peers.ended(1));
  CHECK_FALSE(peers.ended(0));
  CHECK(pool.size() == 2);
}

TEST_CASE("pool: a connection of before another configuration is not kept") {
  asio::io_context io;
  Peers peers;
  proxy::Pool pool(io.get_executor());
  auto old = peers.link(io, "terms");
  pool.give(peers.link(io, "terms"), 300s);
  pool.close_all();
  CHECK(pool.size() == 0);
  CHECK(peers.ended(1));
  pool.give(std::move(old), 300s);
  CHECK(pool.size() == 0);
  CHECK(peers.ended(0));
  auto recent = peers.link(io, "terms");
  recent->era = pool.era();
  pool.give(std::move(recent), 300s);
  CHECK(pool.size() == 1);
}
