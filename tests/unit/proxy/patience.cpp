// Patience: what is due is called, what ended before is not, whoever goes first.
#include "proxy/patience.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <vector>

using proxy::Patience;
using namespace std::chrono_literals;

namespace {

struct World {
  boost::asio::io_context io{1};
  std::vector<int> called;
  Patience patience{io.get_executor(), 2ms};
  Patience::Ticket begin(int number) {
    return patience.begin([this, number] { called.push_back(number); });
  }
};

}  // namespace

TEST_CASE("Patience: waits that last are called, in their order and once") {
  World world;
  const auto first = world.begin(1);
  auto over = world.begin(2);
  const auto third = world.begin(3);
  CHECK(world.patience.size() == 3);
  over = Patience::Ticket();
  CHECK(world.patience.size() == 2);
  world.io.run();  // ends: nobody is waited for any more
  CHECK(world.called == std::vector<int>{1, 3});
  CHECK(world.patience.size() == 0);
  const auto later = world.begin(4);
  world.io.restart();
  world.io.run();
  CHECK(world.called == std::vector<int>{1, 3, 4});
}

TEST_CASE("Patience: the loop ends where all waits are over, and none of them is called") {
  World world;
  for (int i = 0; i < 100; ++i) (void)world.begin(i);
  CHECK(world.patience.size() == 0);
  world.io.run();
  CHECK(world.called.empty());
}

TEST_CASE("Patience: a wait that begins and one that ends while another is called") {
  World world;
  Patience::Ticket inner;
  Patience::Ticket victim;
  std::size_t calls = 0;
  const auto outer = world.patience.begin([&] {
    ++calls;
    inner = world.begin(7);
    victim = Patience::Ticket();
  });
  victim = world.begin(8);
  world.io.run();
  CHECK(calls == 1);
  CHECK(world.called == std::vector<int>{7});
}

TEST_CASE("Patience: a ticket that drops itself, is moved, outlives") {
  boost::asio::io_context io{1};
  Patience::Ticket kept;
  std::size_t calls = 0;
  {
    Patience patience(io.get_executor(), 1ms);
    Patience::Ticket own;
    own = patience.begin([&] {
      ++calls;
      own = Patience::Ticket();
    });
    Patience::Ticket from = patience.begin([&] { ++calls; });
    const Patience::Ticket to = std::move(from);
    io.run();
    CHECK(calls == 2);
    kept = patience.begin([&] { ++calls; });
  }
  io.restart();
  io.run();
  CHECK(calls == 2);
}
