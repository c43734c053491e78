#include "proxy/outlook_board.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "proxy/seen_hosts.h"
#include "tests/unit/policy/plan_support.h"

using namespace std::chrono_literals;
using plan_test::name;
using policy::Outlook;
using policy::Prospect;
using proxy::OutlookBoard;
using proxy::OutlookQuestion;

namespace {

using Time = OutlookBoard::Time;

Time soon() { return std::chrono::steady_clock::now() + 5s; }
Time at_once() { return std::chrono::steady_clock::now() - 1s; }

Outlook outlook(Prospect prospect) {
  Outlook out;
  out.prospect = prospect;
  return out;
}

// A board with a clock that the test moves, and questions that it answers when it likes.
struct Desk {
  Time now{std::chrono::steady_clock::now()};
  std::vector<OutlookQuestion> asked;
  std::optional<Outlook> answer;  // at once
  bool awaited = false;
  OutlookBoard board;
  explicit Desk(std::size_t capacity = 100)
      : board([this](const OutlookQuestion& question) { take(question); }, capacity,
              [this] { return now; }) {}
  void take(const OutlookQuestion& question) {
    asked.push_back(question);
    if (answer) board.put(question, *answer, awaited);
  }
  Prospect ask(const char* domain = "example.com") {
    return board.ask(name(domain), at_once()).prospect;
  }
};

}  // namespace

TEST_CASE("an answer stands for ten seconds without asking again") {
  Desk desk;
  desk.answer = outlook(Prospect::bad);
  CHECK(desk.ask() == Prospect::bad);
  CHECK(desk.ask() == Prospect::bad);
  CHECK(desk.asked.size() == 1);
  desk.now += 10s;
  desk.answer = outlook(Prospect::good);
  CHECK(desk.ask() == Prospect::good);  // A refusal is never older than that.
  CHECK(desk.asked.size() == 2);
}

TEST_CASE("what lets mail pass is given while it is renewed; a refusal is not") {
  Desk desk;
  desk.answer = outlook(Prospect::good);
  CHECK(desk.ask() == Prospect::good);
  desk.answer.reset();
  desk.now += 30s;
  CHECK(desk.ask() == Prospect::good);
  CHECK(desk.asked.size() == 2);
  CHECK(desk.ask() == Prospect::good);
  CHECK(desk.asked.size() == 2);  // One question is enough.
  desk.now += 30s;
  CHECK(desk.ask() == Prospect::unknown);
  CHECK(desk.asked.size() == 3);  // The one before was lost.

  desk.answer = outlook(Prospect::bad);
  desk.now += 30s;
  CHECK(desk.ask() == Prospect::bad);
  desk.answer.reset();
  desk.now += 11s;
  CHECK(desk.ask() == Prospect::unknown);
}

TEST_CASE("a question that is not answered in time is unknown, and passes") {
  Desk desk;
  CHECK(desk.ask() == Prospect::unknown);
  CHECK(desk.board.ask(name("example.com"), at_once()).reason ==
        "what example.com publishes was not known in time");
}

TEST_CASE("answers of the configuration before do not count") {
  Desk desk;
  CHECK(desk.ask() == Prospect::unknown);
  desk.board.clear();
  desk.board.put(desk.asked[0], outlook(Prospect::bad), false);
  CHECK(desk.board.size() == 0);
  desk.answer = outlook(Prospect::open);
  CHECK(desk.ask() == Prospect::open);
  CHECK(desk.asked.size() == 2);
}

TEST_CASE("the board is bounded, what was used last stays") {
  Desk desk(2);
  desk.answer = outlook(Prospect::open);
  desk.ask("a.example");
  desk.ask("b.example");
  desk.ask("a.example");
  desk.ask("c.example");
  CHECK(desk.board.size() == 2);
  const auto before = desk.asked.size();
  desk.ask("a.example");
  CHECK(desk.asked.size() == before);
}

TEST_CASE("settle waits for the handshake, ask does not") {
  Desk desk;
  desk.answer = outlook(Prospect::unknown);
  desk.awaited = true;
  CHECK(desk.ask() == Prospect::unknown);
  const auto require = policy::Require::verified;
  std::atomic<bool> settled{false};
  Prospect found{};
  std::thread waiter([&] {
    found = desk.board.settle(name("example.com"), require, soon()).prospect;
    settled = true;
  });
  std::this_thread::sleep_for(50ms);
  CHECK_FALSE(settled);
  desk.board.put(OutlookQuestion{name("example.com"), require, 0}, outlook(Prospect::good), false);
  waiter.join();
  CHECK(found == Prospect::good);
}

TEST_CASE("at the deadline settle falls back to what was said since the message began") {
  Desk desk;
  const auto require = policy::Require::verified;
  const auto settle = [&](Time since) {
    return desk.board.settle(name("example.com"), require, at_once(), since).prospect;
  };
  const Time began = desk.now;
  desk.answer = outlook(Prospect::bad);
  CHECK_FALSE(desk.board.settled(name("example.com"), require));
  CHECK(settle(began) == Prospect::bad);
  CHECK(desk.board.settled(name("example.com"), require)->prospect == Prospect::bad);
  desk.answer.reset();
  desk.now += 20s;
  CHECK_FALSE(desk.board.settled(name("example.com"), require));
  CHECK(settle(desk.now) == Prospect::bad);  // younger than a minute
  desk.now += 60s;
  CHECK(settle(began) == Prospect::bad);
  CHECK(settle(desk.now) == Prospect::unknown);
}

TEST_CASE("closing wakes whoever waits") {
  Desk desk;
  std::thread waiter([&] {
    CHECK(desk.board.ask(name("example.com"), soon()).prospect == Prospect::unknown);
  });
  std::this_thread::sleep_for(20ms);
  desk.board.close();
  waiter.join();
  CHECK(desk.ask() == Prospect::unknown);
}

TEST_CASE("many threads ask while answers come, the configuration changes and the end comes") {
  std::atomic<int> answered{0};
  std::mutex mutex;
  std::condition_variable ready;
  std::vector<OutlookQuestion> questions;
  bool over = false;
  OutlookBoard board(
      [&](const OutlookQuestion& question) {
        const std::lock_guard lock(mutex);
        questions.push_back(question);
        ready.notify_one();
      },
      5);
  std::thread worker([&] {
    std::unique_lock lock(mutex);
    while (!over) {
      ready.wait_for(lock, 1ms);
      const auto batch = std::exchange(questions, {});
      lock.unlock();
      for (const auto& question : batch) board.put(question, outlook(Prospect::good), false);
      lock.lock();
    }
  });
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([&, i] {
      for (int n = 0; n < 200; ++n) {
        const auto domain = name("d" + std::to_string((i + n) % 8) + ".example");
        const auto got = n % 3 == 0 ? board.settle(domain, policy::Require::dane, soon())
                                    : board.ask(domain, soon());
        if (got.prospect == Prospect::good) ++answered;
        if (n % 50 == 0 && i == 0) board.clear();
      }
    });
  }
  for (auto& asker : askers) asker.join();
  board.close();
  {
    const std::lock_guard lock(mutex);
    over = true;
  }
  worker.join();
  CHECK(answered > 0);
}

TEST_CASE("what was seen is believed for a quarter of an hour, under its own terms alone") {
  proxy::SeenHosts seen(2);
  plan_test::Setup setup;
  setup.with(plan_test::usable());
  const policy::Try plan = setup.tried();
  const Time now = std::chrono::steady_clock::now();
  const auto host = name("mx.example.com");
  seen.note(host, plan, setup.judged(plan_test::session()), now);
  const auto found = seen.look(host, plan, now + 14min);
  REQUIRE(found);
  CHECK_FALSE(found->fine);
  CHECK_FALSE(found->no_starttls);
  CHECK_FALSE(seen.look(host, plan, now + 15min));
  seen.note(host, plan, setup.judged(plan_test::no_starttls()), now);
  CHECK(seen.look(host, plan, now)->no_starttls);
  seen.note(host, plan, setup.judged(plan_test::matching(plan_test::session())), now);
  CHECK(seen.look(host, plan, now)->fine);
  CHECK(seen.size() == 1);
  // Another address of the host fails: not heard for a minute.
  seen.note(host, plan, setup.judged(plan_test::session()), now + 59s);
  CHECK(seen.look(host, plan, now + 59s)->fine);
  seen.note(host, plan, setup.judged(plan_test::session()), now + 60s);
  CHECK_FALSE(seen.look(host, plan, now + 60s)->fine);
  seen.note(host, plan, setup.judged(plan_test::matching(plan_test::session())), now + 61s);
  CHECK(seen.look(host, plan, now + 61s)->fine);

  plan_test::Setup other;
  other.with(plan_test::usable("mx.example.com", {plan_test::tlsa(3, 1, 0x12)}));
  CHECK_FALSE(seen.look(host, other.tried(), now));
  seen.note(name("a.example"), plan, setup.judged(plan_test::session()), now);
  seen.note(name("b.example"), plan, setup.judged(plan_test::session()), now);
  CHECK(seen.size() == 2);
  CHECK_FALSE(seen.look(host, plan, now));
}
