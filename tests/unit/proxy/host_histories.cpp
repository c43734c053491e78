// The memory of MX hosts: from sessions' threads to the home thread, to the disk and back; and what
// a thread keeps of it for a minute.
#include <catch2/catch.hpp>

#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <future>
#include <initializer_list>
#include <thread>

#include "base/clock.h"
#include "proxy/host_histories.h"
#include "proxy/near_histories.h"
#include "store/sqlite_store.h"

namespace asio = boost::asio;
using policy::HostHistory;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "sternpost-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file() const { return (path_ / "state.db").string(); }

 private:
  std::filesystem::path path_;
};

// A running thread with an io_context.
struct Runner {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard{io.get_executor()};
  std::thread thread{[this] { io.run(); }};
  void stop() {
    guard.reset();
    if (thread.joinable()) thread.join();
  }
  ~Runner() { stop(); }
};

std::unique_ptr<store::SqliteStore> open_store(const Folder& folder) {
  store::SqliteOptions options;
  options.file = folder.file();
  auto opened = store::SqliteStore::open(std::move(options));
  REQUIRE(opened.has_value());
  return std::move(*opened);
}

struct World {
  explicit World(const Folder& folder, std::size_t capacity = 100) {
    store = open_store(folder);
    histories = std::make_unique<proxy::HostHistories>(home.io.get_executor(), *store, clock,
                                                       capacity);
    loaded = histories->load().value();
  }
  ~World() {
    home.stop();
    CHECK(store->flush().has_value());
  }
  HostHistory look(const std::string& host) {
    auto future = asio::co_spawn(worker.io, histories->look(*base::Domain::parse(host)),
                                 asio::use_future);
    const auto history = future.get();
    REQUIRE(history.has_value());
    return *history;
  }
  void put(const std::string& host, const HostHistory& history) {
    histories->put(*base::Domain::parse(host), history);
  }
  HostHistory seen(std::chrono::seconds ago = {}) const {
    HostHistory history;
    history.seen = history.tls = history.authenticated = clock.wall() - ago;
    history.peer_auth = "pkix";
    history.spki_sha256 = "ab";
    history.plain = {*base::Ip::parse("192.0.2.1"), *base::Ip::parse("2001:db8::1")};
    return history;
  }

  base::SystemClock clock;
  Runner home;
  Runner worker;
  std::unique_ptr<store::SqliteStore> store;
  std::unique_ptr<proxy::HostHistories> histories;
  std::size_t loaded = 0;
};

class HandClock final : public base::Clock {
 public:
  base::WallTime wall() const override { return base::WallTime(std::chrono::hours(500000)) + at; }
  base::SteadyTime steady() const override { return base::SteadyTime(at); }
  std::chrono::milliseconds at{};
};

// Two threads' copies of one memory, all of them on this thread, by hand.
struct Copies {
  // What the copy knows of the host; `asked`: how often the home thread was troubled.
  HostHistory look(proxy::NearHistories& copy, const std::string& name = "mx.example.com") {
    auto future = asio::co_spawn(threads, copy.look(*base::Domain::parse(name)), asio::use_future);
    turn(threads);
    asked += turn(home);
    turn(threads);
    REQUIRE(future.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
    return future.get().value();
  }
  void put(proxy::NearHistories& copy, const HostHistory& history) {
    copy.put(*base::Domain::parse("mx.example.com"), history);
    asked += turn(home);
  }
  static std::size_t turn(asio::io_context& io) {
    io.restart();
    return io.poll();
  }
  HostHistory seen_now() const {
    HostHistory history;
    history.seen = history.tls = history.authenticated = clock.wall();
    history.peer_auth = "pkix";
    history.spki_sha256 = "ab";
    return history;
  }

  Folder folder;
  std::unique_ptr<store::SqliteStore> store = open_store(folder);
  HandClock clock;
  asio::io_context home{1}, threads{1};
  proxy::HostHistories histories{home.get_executor(), *store, clock};
  proxy::NearHistories one{histories, clock}, other{histories, clock};
  std::size_t asked = 0;
};

}  // namespace

TEST_CASE("a thread asks for a host once a minute, and tells again what it learnt once a minute") {
  Copies world;
  CHECK(world.look(world.one) == HostHistory());
  const HostHistory first = world.seen_now();
  world.put(world.one, first);
  CHECK(world.asked == 2);
  CHECK(world.look(world.one) == first);
  CHECK(world.asked == 3);  // What was put may have been put by others as well.
  for (const auto seconds : {1, 30, 59}) {
    world.clock.at = std::chrono::seconds(seconds);
    CHECK(world.look(world.one) == first);
    world.put(world.one, world.seen_now());
  }
  CHECK(world.asked == 3);
  world.clock.at = std::chrono::seconds(60);
  CHECK(world.look(world.one) == first);
  const HostHistory later = world.seen_now();
  world.put(world.one, later);
  CHECK(world.asked == 5);
  CHECK(world.look(world.one) == later);
}

TEST_CASE("what one thread learns is known to the others' next session, though they asked lately") {
  Copies world;
  world.put(world.one, world.seen_now());
  HostHistory known = world.look(world.one);
  CHECK(world.look(world.other) == known);
  const auto changes = {
      +[](HostHistory& history) { history.spki_sha256 = "cd"; },
      +[](HostHistory& history) { history.peer_auth.clear(); },
      +[](HostHistory& history) { history.authenticated.reset(); },
      +[](HostHistory& history) { history.tls.reset(); },
      +[](HostHistory& history) { history.plain.push_back(*base::Ip::parse("192.0.2.1")); },
      +[](HostHistory& history) { *history.seen -= std::chrono::milliseconds(1); },
      +[](HostHistory& history) { *history.seen += std::chrono::minutes(2); }};
  for (const auto change : changes) {
    change(known);
    world.put(world.one, known);
    CHECK(world.look(world.other) == known);
    CHECK(world.look(world.one) == known);
  }
}

TEST_CASE("what was learnt counts from the moment it is sent home, though home has not read it") {
  Copies world;
  const auto host = *base::Domain::parse("mx.example.com");
  CHECK(world.look(world.one) == HostHistory());
  CHECK(world.look(world.other) == HostHistory());
  world.one.put(host, world.seen_now());
  for (proxy::NearHistories* copy : {&world.one, &world.other}) {
    CHECK(world.look(*copy) == world.seen_now());
  }
}

TEST_CASE("what changes while a thread asks is not missed by its next question") {
  Copies world;
  const auto host = *base::Domain::parse("mx.example.com");
  auto future = asio::co_spawn(world.threads, world.one.look(host), asio::use_future);
  Copies::turn(world.threads);              // The question is under way,
  world.other.put(host, world.seen_now());  // and behind it what the other one learnt.
  Copies::turn(world.home);
  Copies::turn(world.threads);
  REQUIRE(future.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
  CHECK(future.get().value() == HostHistory());
  CHECK(world.look(world.one) == world.seen_now());
}

TEST_CASE("a thread remembers a bounded number of hosts, those it used last") {
  Copies world;
  proxy::NearHistories small(world.histories, world.clock, 2);
  for (const char* host : {"a.example", "b.example", "a.example", "c.example"}) {
    (void)world.look(small, host);
  }
  CHECK(world.asked == 3);
  (void)world.look(small, "a.example");
  CHECK(world.asked == 3);
  (void)world.look(small, "b.example");
  CHECK(world.asked == 4);
}

TEST_CASE("a host that nobody put is unknown; one that was is known, over a restart too") {
  const Folder folder;
  HostHistory history;
  {
    World world(folder);
    CHECK(world.loaded == 0);
    CHECK(world.look("mx.example.com") == HostHistory());
    history = world.seen();
    world.put("mx.example.com", history);
    CHECK(world.look("mx.example.com") == history);
  }
  World again(folder);
  CHECK(again.loaded == 1);
  CHECK(again.look("mx.example.com") == history);
}

TEST_CASE("what is too old is not read back, and gone from the store") {
  const Folder folder;
  {
    World world(folder);
    world.put("old.example.com", world.seen(std::chrono::days(91)));
    world.put("new.example.com", world.seen());
    CHECK(world.look("new.example.com") != HostHistory());
  }
  {
    World again(folder);
    CHECK(again.loaded == 1);
    CHECK(again.look("old.example.com") == HostHistory());
  }
  World third(folder);
  CHECK(third.store->load_hosts()->size() == 1);
}

TEST_CASE("beyond its capacity the host seen longest ago goes, in memory and store") {
  const Folder folder;
  {
    World world(folder, 3);
    for (const char* host : {"a.example", "b.example", "c.example"}) world.put(host, world.seen());
    world.put("a.example", world.seen());
    world.put("d.example", world.seen());
    CHECK(world.look("b.example") == HostHistory());
    for (const char* host : {"a.example", "c.example", "d.example"}) {
      CHECK(world.look(host) != HostHistory());
    }
  }
  World again(folder, 3);
  CHECK(again.loaded == 3);
  CHECK(again.look("b.example") == HostHistory());
}

TEST_CASE("a host in use is written again when it tells something, or after half a day") {
  const Folder folder;
  World world(folder);
  const HostHistory first = world.seen(std::chrono::hours(24));
  const auto on_disk = [&world] {
    (void)world.look("mx.example.com");  // What was put before is done.
    REQUIRE(world.store->flush().has_value());
    return world.store->load_hosts()->at(0);
  };
  world.put("mx.example.com", first);
  CHECK(on_disk().seen == *first.seen);
  HostHistory later = first;
  later.seen = later.tls = later.authenticated = *first.seen + std::chrono::hours(1);
  world.put("mx.example.com", later);
  CHECK(on_disk().seen == *first.seen);
  later.spki_sha256 = "cd";
  world.put("mx.example.com", later);
  CHECK(on_disk().spki_sha256 == "cd");
  CHECK(on_disk().seen == *later.seen);
  HostHistory next = later;
  next.seen = *later.seen + std::chrono::hours(12);
  world.put("mx.example.com", next);
  CHECK(on_disk().seen == *next.seen);
}

TEST_CASE("nobody answers: nothing is known, and the session goes on") {
  const Folder folder;
  const auto store = open_store(folder);
  const base::SystemClock clock;
  asio::io_context home{1};  // that nobody runs
  Runner worker;
  proxy::HostHistories histories(home.get_executor(), *store, clock);
  auto future = asio::co_spawn(worker.io, histories.look(*base::Domain::parse("mx.example.com")),
                               asio::use_future);
  CHECK_FALSE(future.get().has_value());
  // Nor is that remembered.
  proxy::NearHistories copy(histories, clock);
  for (const bool answered : {false, true}) {
    auto told = asio::co_spawn(worker.io, copy.look(*base::Domain::parse("mx.example.com")),
                               asio::use_future);
    if (answered) {
      while (told.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
        home.restart();  // It had nothing to do before the question came.
        home.poll();
      }
    }
    CHECK(told.get().has_value() == answered);
  }
}
