// dns::async_lookup over a resolver whose answers come from another thread, at once, late or never.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "dns/await.h"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace asio::experimental::awaitable_operators;

namespace {

dns::RawLookup answer_of(const std::string& text) {
  dns::RawAnswer answer;
  answer.existence = dns::Existence::data;
  answer.records.push_back(text);
  return answer;
}

// Keeps the callbacks; the test decides when and from where they are called.
class Held final : public dns::Resolver {
 public:
  void lookup(const std::string& name, dns::Type,
              std::function<void(dns::RawLookup)> done) override {
    if (at_once) {
      done(answer_of(name));
    } else {
      waiting.push_back(std::move(done));
    }
  }
  bool at_once = false;
  std::vector<std::function<void(dns::RawLookup)>> waiting;
};

asio::awaitable<void> ask(Held& resolver, std::string& got) {
  const auto raw = co_await dns::async_lookup(resolver, "a.example", dns::Type::TXT);
  got = raw->records.front();
}

asio::awaitable<void> ask_or_give_up(Held& resolver, bool& gave_up) {
  asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
  auto lookup = dns::async_lookup(resolver, "a.example", dns::Type::TXT);
  auto wait = timer.async_wait(asio::use_awaitable);
  auto race = std::move(lookup) || std::move(wait);
  const auto first = co_await std::move(race);
  gave_up = first.index() == 1;
}

}  // namespace

TEST_CASE("async_lookup: an answer given before lookup returns arrives") {
  asio::io_context context;
  Held resolver;
  resolver.at_once = true;
  std::string got;
  asio::co_spawn(context, ask(resolver, got), asio::detached);
  context.run();
  CHECK(got == "a.example");
}

TEST_CASE("async_lookup: an answer from another thread resumes on the caller's own context") {
  asio::io_context context;
  Held resolver;
  std::string got;
  asio::co_spawn(context, ask(resolver, got), asio::detached);
  context.run_one();
  while (resolver.waiting.empty()) context.run_one();
  std::thread other([&] { resolver.waiting.front()(answer_of("from afar")); });
  context.run();
  other.join();
  CHECK(got == "from afar");
}

TEST_CASE("async_lookup: cancelled, and the late answer is dropped") {
  asio::io_context context;
  Held resolver;
  bool gave_up = false;
  asio::co_spawn(context, ask_or_give_up(resolver, gave_up), asio::detached);
  context.run();
  CHECK(gave_up);
  REQUIRE(resolver.waiting.size() == 1);
  resolver.waiting.front()(answer_of("late"));
  resolver.waiting.front()(answer_of("twice"));
  context.restart();
  CHECK(context.run() == 0);
}

TEST_CASE("async_lookup: an answer after the whole context is gone touches nothing") {
  Held resolver;
  std::string got;
  {
    asio::io_context context;
    asio::co_spawn(context, ask(resolver, got), asio::detached);
    while (resolver.waiting.empty()) context.run_one();
  }
  resolver.waiting.front()(answer_of("late"));
  CHECK(got.empty());
}

TEST_CASE("async_callback: nothing by the deadline is no value") {
  asio::io_context context;
  bool none = false;
  auto wait = [&]() -> asio::awaitable<void> {
    std::function<void(std::function<void(int)>)> never = [](const std::function<void(int)>&) {};
    const auto deadline = std::chrono::steady_clock::now() + 1ms;
    const auto value = co_await dns::async_callback<int>(std::move(never), deadline);
    none = !value;
  };
  asio::co_spawn(context, wait(), asio::detached);
  context.run();
  CHECK(none);
}
