// Who waits for a connection to an MX address that has none left: in turn, over all threads, and
// without a handshake where one can be spared.
#include "proxy/place.h"

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/unit/proxy/links.h"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using pool_test::Peers;
using proxy::MxSlots;

const base::Ip mx = *base::Ip::parse("192.0.2.25");

using proxy::SteadyTime;

SteadyTime now() { return std::chrono::steady_clock::now(); }

// Notes what it is given.
class Fake final : public MxSlots::Waiter {
 public:
  using Waiter::Waiter;
  void offer(MxSlots::Slot given) override { slot = std::move(given); }
  void hand(std::unique_ptr<proxy::MxLink> given) override { link = std::move(given); }
  std::optional<MxSlots::Slot> slot;
  std::unique_ptr<proxy::MxLink> link;
};

std::shared_ptr<Fake> fake(SteadyTime since, const std::string& terms = "",
                           const void* pool = nullptr, std::uint32_t limit = 1,
                           std::uint64_t era = 0) {
  return std::make_shared<Fake>(MxSlots::Waiter::Wish{mx, limit, terms, era, pool, since});
}

// Has no memory for what it is given.
class Poor final : public MxSlots::Waiter {
 public:
  using Waiter::Waiter;
  void offer(MxSlots::Slot) override { throw std::bad_alloc(); }
  void hand(std::unique_ptr<proxy::MxLink>) override {}
};

}  // namespace

TEST_CASE("places: one that is given back goes to who began to wait first") {
  MxSlots slots;
  auto held = slots.take(mx, 1);
  REQUIRE(held);
  const auto first = fake(now()), second = fake(now() + 1ms);
  // As one does who had a connection that would not do, and stands in line again.
  REQUIRE_FALSE(slots.take_or_wait(second));
  REQUIRE_FALSE(slots.take_or_wait(first));
  CHECK(slots.is_waited_for(mx));
  held.reset();
  CHECK(first->slot);
  CHECK_FALSE(second->slot);
  CHECK(slots.open() == 1);
  CHECK_FALSE(slots.take(mx, 1));
  first->slot.reset();
  CHECK(second->slot);
  second->slot.reset();
  CHECK(slots.open() == 0);
  CHECK_FALSE(slots.is_waited_for(mx));
  CHECK(slots.take_or_wait(first));
}

TEST_CASE("places: who has left the line is passed over") {
  MxSlots slots;
  auto held = slots.take(mx, 1);
  const auto gone = fake(now()), stays = fake(now());
  slots.take_or_wait(gone);
  slots.take_or_wait(stays);
  slots.leave(*gone);
  slots.leave(*gone);
  held.reset();
  CHECK_FALSE(gone->slot);
  CHECK(stays->slot);
  slots.leave(*stays);
  CHECK(slots.open() == 1);
}

TEST_CASE("places: nobody gets one beyond a limit that was lowered") {
  MxSlots slots;
  auto one = slots.take(mx, 3), two = slots.take(mx, 3), three = slots.take(mx, 3);
  const auto waiter = fake(now());
  slots.take_or_wait(waiter);
  one.reset();
  two.reset();
  CHECK_FALSE(waiter->slot);
  three.reset();
  CHECK(waiter->slot);
}

TEST_CASE("places: a limit that was raised or lowered holds for who came under it") {
  MxSlots slots;
  std::vector<MxSlots::Slot> held;
  for (int i = 0; i < 4; ++i) held.push_back(std::move(*slots.take(mx, 4)));
  // The first in line began under a limit of one: it does not stand in the way of the others.
  const auto old = fake(now());
  const auto one = fake(now(), "", nullptr, 4), two = fake(now(), "", nullptr, 4);
  for (const auto& waiter : {old, one, two}) REQUIRE_FALSE(slots.take_or_wait(waiter));
  held.pop_back();
  CHECK(one->slot);
  held.pop_back();
  CHECK(two->slot);
  CHECK(slots.open() == 4);
  held.clear();
  one->slot.reset();
  CHECK_FALSE(old->slot);
  two->slot.reset();
  CHECK(old->slot);
}

TEST_CASE("places: a connection is not closed for whom a place less would not help") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  proxy::Pool pool(io.get_executor(), &slots);
  auto one = peers.link(io, "terms", *slots.take(mx, 2), mx);
  const auto two = slots.take(mx, 2);
  // It began when one connection was the limit.
  const auto old = fake(now() - 5s);
  REQUIRE_FALSE(slots.take_or_wait(old));
  const auto like = fake(now(), "terms", &pool, 2);
  REQUIRE_FALSE(slots.take_or_wait(like));
  pool.give(std::move(one), 300s);
  REQUIRE(like->link);
  pool.give(std::move(like->link), 300s);
  CHECK(pool.size() == 1);
  CHECK_FALSE(slots.is_waited_for(mx));
  CHECK_FALSE(peers.ended(0));
}

TEST_CASE("places: one that cannot be told goes to the next, and is lost by nobody") {
  MxSlots slots;
  auto held = slots.take(mx, 1);
  const auto poor = std::make_shared<Poor>(MxSlots::Waiter::Wish{mx, 1, "", 0, nullptr, now()});
  const auto next = fake(now());
  REQUIRE_FALSE(slots.take_or_wait(poor));
  REQUIRE_FALSE(slots.take_or_wait(next));
  held.reset();
  CHECK(next->slot);
  next->slot.reset();
  CHECK(slots.take(mx, 1));
}

TEST_CASE("places: a connection that is closed leaves its place to who was handed it") {
  MxSlots slots;
  auto held = slots.take(mx, 1);
  const base::Ip here = *base::Ip::parse("192.0.2.1");
  held->leaves();
  held->leaves_from(here, 40000);
  const auto next = fake(now());
  slots.take_or_wait(next);
  {
    MxSlots::Slot again = held->anew();
    CHECK(slots.whose(here, 40000, mx) == MxSlots::Whose::another);
    held.reset();
    CHECK(slots.open() == 1);
    CHECK_FALSE(next->slot);
    again.leaves_from(here, 40001);
    CHECK(slots.whose(here, 40001, mx) == MxSlots::Whose::ours);
  }
  CHECK(next->slot);
  CHECK(slots.whose(here, 40001, mx) == MxSlots::Whose::another);
}

TEST_CASE("places: a connection goes as it is to who waits for one like it") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  proxy::Pool pool(io.get_executor(), &slots);
  auto link = peers.link(io, "terms", *slots.take(mx, 1), mx);
  const proxy::MxLink* const same = link.get();

  SECTION("though others wait longer, whom it does not suit") {
    const auto t = now();
    const auto others = fake(t - 2000ms, "others", &pool);
    const auto elsewhere = fake(t - 2000ms, "terms", &slots);
    const auto like = fake(t, "terms", &pool);
    for (const auto& waiter : {others, elsewhere, like}) REQUIRE_FALSE(slots.take_or_wait(waiter));
    pool.give(std::move(link), 300s);
    CHECK(like->link.get() == same);
    CHECK_FALSE(peers.ended(0));
    // The next time nobody is left whom it suits.
    pool.give(std::move(like->link), 300s);
    CHECK(peers.ended(0));
    CHECK((others->slot || elsewhere->slot));
  }
  SECTION("not to who began under another configuration") {
    const auto like = fake(now() + 1h, "terms", &pool, 1, 7);
    REQUIRE_FALSE(slots.take_or_wait(like));
    pool.give(std::move(link), 300s);
    CHECK_FALSE(like->link);
    CHECK(pool.size() == 1);
    pool.close_all();
    CHECK(like->slot);
  }
  SECTION("unless they wait longer by more than three seconds: they would wait for ever") {
    const auto others = fake(now() - 3500ms, "others", &pool);
    const auto like = fake(now(), "terms", &pool);
    for (const auto& waiter : {others, like}) REQUIRE_FALSE(slots.take_or_wait(waiter));
    pool.give(std::move(link), 300s);
    CHECK_FALSE(like->link);
    CHECK(peers.ended(0));
    CHECK(others->slot);
  }
  SECTION("it rests for a moment where nobody waits that it suits") {
    const auto others = fake(now() + 1h, "others", &pool);
    REQUIRE_FALSE(slots.take_or_wait(others));
    pool.give(std::move(link), 300s);
    CHECK(pool.size() == 1);
    CHECK_FALSE(peers.ended(0));
    slots.ask(*others);
    CHECK(pool.size() == 1);  // The pool is on its own thread.
    io.poll();
    CHECK(pool.size() == 0);
    CHECK(peers.ended(0));
    CHECK(others->slot);
  }
  CHECK(pool.size() == 0);
}

TEST_CASE("places: what has rested for long is closed at once for who needs its place") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  proxy::Pool pool(io.get_executor(), &slots);
  pool.give(peers.link(io, "terms", *slots.take(mx, 1), mx), 300s);
  REQUIRE(io.run_one_for(60s) == 1);  // It has rested.
  REQUIRE(pool.size() == 1);
  const auto others = fake(now());
  REQUIRE_FALSE(slots.take_or_wait(others));
  io.poll();
  CHECK(others->slot);
  CHECK(peers.ended(0));
}

TEST_CASE("places: what rests for a moment stays, and who has waited long asks for one of it") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  proxy::Pool pool(io.get_executor(), &slots);
  pool.give(peers.link(io, "one", *slots.take(mx, 2), mx), 300s);
  pool.give(peers.link(io, "two", *slots.take(mx, 2), mx), 300s);
  const base::Ip other_mx = *base::Ip::parse("192.0.2.26");
  pool.give(peers.link(io, "three", *slots.take(other_mx, 2), other_mx), 300s);
  const auto one = fake(now(), "", nullptr, 2), two = fake(now(), "", nullptr, 2);
  REQUIRE_FALSE(slots.take_or_wait(one));
  REQUIRE_FALSE(slots.take_or_wait(two));
  CHECK(io.poll() == 0);
  CHECK_FALSE(pool.make_place(mx, true));
  slots.ask(*one);
  io.restart();
  io.poll();
  CHECK(pool.size() == 2);
  CHECK(one->slot);
  CHECK_FALSE(two->slot);
  CHECK_FALSE(peers.ended(2));
}

TEST_CASE("places: nobody asks a pool that has nothing at rest there, or is gone") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  auto held = slots.take(mx, 1);
  const auto waiter = fake(now());
  slots.take_or_wait(waiter);
  {
    proxy::Pool pool(io.get_executor(), &slots);
    slots.ask(*waiter);
    CHECK(io.poll() == 0);
    pool.give(peers.link(io, "terms", std::move(*held), mx), 300s);
    slots.ask(*waiter);
    slots.leave(*waiter);
    // Nobody waits any more when it hears of it.
    io.restart();
    CHECK(io.poll() == 1);
    CHECK(pool.size() == 1);
    auto used = pool.take("terms");
    REQUIRE(used);
    slots.take_or_wait(waiter);
    slots.ask(*waiter);
    io.restart();
    CHECK(io.poll() == 0);
    pool.give(std::move(used), 300s);
    slots.ask(*waiter);
  }
  CHECK(waiter->slot);
  io.restart();
  io.poll();
  proxy::Pool later(io.get_executor(), &slots);
  later.give(peers.link(io, "terms", std::move(*waiter->slot), mx), 300s);
  const auto next = fake(now());
  slots.take_or_wait(next);
  slots.ask(*next);  // The one that is gone hears nothing.
  io.restart();
  CHECK(io.poll() == 1);
  CHECK(next->slot);
}

TEST_CASE("places: what was closed rests no more") {
  asio::io_context io;
  Peers peers;
  MxSlots slots;
  proxy::Pool pool(io.get_executor(), &slots);
  auto held = slots.take(mx, 2);
  pool.give(peers.link(io, "terms", *slots.take(mx, 2), mx), 300s);
  REQUIRE(pool.make_place(mx));
  auto also = slots.take(mx, 2);
  const auto waiter = fake(now(), "", nullptr, 2);
  REQUIRE_FALSE(slots.take_or_wait(waiter));
  slots.ask(*waiter);
  CHECK(io.poll() == 0);
}

namespace {

// One thread of a relay: sessions that each use a connection to the MX so many times.
class Thread {
 public:
  // `left`: sessions under way on all threads. Each serves the others until there are none.
  Thread(MxSlots& slots, std::atomic<int>& used, std::atomic<int>& left, std::atomic<int>& live)
      : slots_(slots), used_(used), left_(left), live_(live) {}
  ~Thread() {
    if (thread_.joinable()) thread_.join();
  }
  void start(int sessions, int times) {
    for (int i = 0; i < sessions; ++i) {
      asio::co_spawn(io_, session(times, i % 3 == 0 ? "one" : "two"), asio::detached);
    }
    thread_ = std::thread([this] {
      while (left_ > 0) {
        io_.restart();
        io_.run_for(5ms);
      }
    });
  }
  void join() { thread_.join(); }

 private:
  asio::awaitable<void> session(int times, std::string terms) {
    const std::shared_ptr<void> under_way(nullptr, [this](void*) { --left_; });
    const SteadyTime end = now() + 50s;
    for (int i = 0; i < times; ++i) {
      auto link = pool_.take(terms);
      if (!link) {
        MxSlots::Waiter::Wish wish{mx, 3, terms, 0, &pool_, now()};
        auto waiter = std::make_shared<proxy::PlaceWaiter>(io_.get_executor(), std::move(wish));
        proxy::Place place = co_await proxy::PlaceWaiter::wait(std::move(waiter), slots_, end);
        link = std::move(place.link);
        if (place.slot) {
          place.slot->leaves();
          place.slot->leaves_from(mx, static_cast<std::uint16_t>(++ports_));
          link = peers_.link(io_, terms, std::move(*place.slot), mx);
          ++live_;
          // Ends with the connection, before its place is given back.
          const std::shared_ptr<void> life(nullptr, [this](void*) { --live_; });
          link->judged_by = std::shared_ptr<const proxy::PlannedHost>(life, nullptr);
        }
      }
      if (!link || link->terms != terms || live_ > 3) co_return;
      ++used_;
      asio::steady_timer mail(io_, 1ms);
      co_await mail.async_wait(asio::use_awaitable);
      // Some break.
      if (used_ % 7 != 0) pool_.give(std::move(link), 60s);
    }
  }

  asio::io_context io_{1};
  MxSlots& slots_;
  std::atomic<int>& used_;
  std::atomic<int>& left_;
  std::atomic<int>& live_;  // connections of all threads
  Peers peers_;
  proxy::Pool pool_{io_.get_executor(), &slots_};
  std::uint32_t ports_ = 0;
  std::thread thread_;
};

}  // namespace

TEST_CASE("places: two threads with more sessions than places lose no turn") {
  MxSlots slots;
  std::atomic<int> used{0}, left{21}, live{0};
  {
    Thread one(slots, used, left, live), two(slots, used, left, live);
    one.start(12, 12);
    two.start(9, 12);
    two.join();
    one.join();
  }
  CHECK(used == 21 * 12);
  CHECK(live == 0);
  CHECK(slots.open() == 0);
}

TEST_CASE("places: the wait ends at its end, and when it is called off") {
  asio::io_context io;
  MxSlots slots;
  auto held = slots.take(mx, 1);
  MxSlots::Waiter::Wish wish{mx, 1, "", 0, nullptr, now()};
  auto waiter = std::make_shared<proxy::PlaceWaiter>(io.get_executor(), wish);
  std::optional<proxy::Place> got;
  const auto wait = [&](SteadyTime end) -> asio::awaitable<void> {
    got = co_await proxy::PlaceWaiter::wait(waiter, slots, end);
  };
  SECTION("at its end") {
    asio::co_spawn(io, wait(now() + 250ms), asio::detached);
    io.run_for(20s);
    REQUIRE(got);
    CHECK_FALSE(got->slot);
  }
  SECTION("called off") {
    asio::co_spawn(io, wait(now() + 600s), asio::detached);
    io.poll();
    CHECK_FALSE(got);
    CHECK(slots.is_waited_for(mx));
    waiter->cancel();
    io.run_for(20s);
    REQUIRE(got);
    CHECK_FALSE(got->slot);
  }
  SECTION("a place that comes too late goes on") {
    asio::co_spawn(io, wait(now() + 600s), asio::detached);
    io.poll();
    const auto next = fake(now());
    slots.take_or_wait(next);
    waiter->cancel();
    held.reset();  // Before the coroutine is back.
    io.run_for(20s);
    REQUIRE(got);
    CHECK_FALSE(got->slot);
    CHECK(next->slot);
  }
  CHECK_FALSE(slots.is_waited_for(mx));
  waiter->cancel();  // Nothing is left to be called off.
}

TEST_CASE("places: a loop that ends leaves nobody in line") {
  MxSlots slots;
  auto held = slots.take(mx, 1);
  std::shared_ptr<proxy::PlaceWaiter> waiter;
  const auto next = fake(now() + 1s);
  {
    asio::io_context io;
    MxSlots::Waiter::Wish wish{mx, 1, "", 0, nullptr, now()};
    waiter = std::make_shared<proxy::PlaceWaiter>(io.get_executor(), wish);
    auto wait = proxy::PlaceWaiter::wait(waiter, slots, now() + 600s);
    asio::co_spawn(io, std::move(wait), asio::detached);
    io.poll();
    REQUIRE(slots.is_waited_for(mx));
    slots.take_or_wait(next);
    held.reset();  // On its way to the first when the loop ends.
    CHECK_FALSE(next->slot);
  }
  waiter->cancel();
  CHECK(next->slot);
}
