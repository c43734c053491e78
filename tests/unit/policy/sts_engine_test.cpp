// StsEngine over DNS as data, a fetcher that the test answers for, and a clock that it moves: what
// RFC 8461 §3.3, §5.1 and §10.2 ask of the whole, across threads and restarts.
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "dns/await.h"
#include "policy/sts_engine.h"
#include "tests/unit/policy/sts_support.h"

using namespace std::chrono_literals;
using namespace sts_test;
using Kind = policy::StsEvent::Kind;

namespace {

const std::string enforce =
    "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 604800\n";
const std::string testing =
    "version: STSv1\nmode: testing\nmx: mx.a.example\nmax_age: 604800\n";
const std::string none = "version: STSv1\nmode: none\nmax_age: 604800\n";

// Answers with what the test put there; a held fetch waits for release().
class Publisher final : public policy::StsFetcher {
 public:
  boost::asio::awaitable<policy::StsBody> fetch(const base::Domain&) override {
    ++fetches;
    if (hold) {
      std::function<void(std::function<void(int)>)> wait = [this](std::function<void(int)> go) {
        waiting.push_back(std::move(go));
      };
      auto held = dns::async_callback<int>(std::move(wait));
      co_await std::move(held);
    }
    policy::StsBody body = answer;
    co_return body;
  }
  void release() {
    hold = false;
    for (const auto& go : std::exchange(waiting, {})) go(1);
  }
  void fails(const std::string& reason) {
    policy::StsFailure failure;
    failure.reason = reason;
    answer = policy::StsBody(boost::system::in_place_error, failure);
  }
  policy::StsBody answer{enforce};
  int fetches = 0;
  bool hold = false;
  std::vector<std::function<void(int)>> waiting;
};

// The store as data; the writer is the caller.
class Memory final : public store::Store {
 public:
  std::optional<std::string> trouble() const override { return std::nullopt; }
  void put_host(store::HostRow) override {}
  void erase_host(const std::string&) override {}
  base::Result<std::vector<store::HostRow>, base::Error> load_hosts() override {
    return std::vector<store::HostRow>();
  }
  void put_policy(store::PolicyRow row) override {
    const std::string domain = row.domain;
    rows.insert_or_assign(domain, std::move(row));
  }
  void erase_policy(const std::string& domain) override { rows.erase(domain); }
  void put_value(std::string, std::string, store::Done) override {}
  void erase_value(std::string) override {}
  void put_policy_strings(const std::string&, std::string, std::chrono::sys_days,
                          store::Done) override {}
  void forget_policy_strings(std::chrono::sys_days) override {}
  base::Result<void, base::Error> each_policy(
      const std::function<void(store::PolicyRow row)>& take) override {
    const auto all = rows;  // `take` may erase
    for (const auto& [domain, row] : all) take(row);
    return {};
  }
  base::Result<std::optional<std::string>, base::Error> value(const std::string&) override {
    return std::optional<std::string>();
  }
  base::Result<std::vector<std::pair<std::string, std::string>>, base::Error> values(
      const std::string&) override {
    return std::vector<std::pair<std::string, std::string>>();
  }
  base::Result<std::optional<std::string>, base::Error> policy_strings(
      const std::string&) override {
    return std::optional<std::string>();
  }
  bool has_policy_strings(const std::string&, std::chrono::sys_days) override { return false; }
  store::Outcome flush() override { return {}; }
  std::map<std::string, store::PolicyRow> rows;
};

struct World {
  World() { record("1"); }

  policy::StsEngine& start() {
    policy::StsEngine::Parts parts;
    parts.home = context.get_executor();
    parts.clock = &clock;
    parts.resolver = &resolver;
    parts.fetcher = &publisher;
    parts.store = &store;
    parts.random = &random;
    parts.on_event = [this](const policy::StsEvent& event) { events.push_back(event); };
    engine = std::make_unique<policy::StsEngine>(std::move(parts), policy::StsEngineSettings());
    return *engine;
  }
  void record(const std::string& id, std::chrono::seconds ttl = 60s) {
    resolver.nothing(owner, dns::Type::TXT);
    resolver.txt(owner, "v=STSv1; id=" + id, ttl);
  }
  policy::StsState state(std::chrono::milliseconds wait = 20s) {
    return run(context, engine->state_for(a, wait));
  }
  policy::StsState recheck() { return run(context, engine->recheck(a, 20s)); }
  // Whatever is under way.
  void settle() {
    context.restart();
    context.poll();
  }
  std::vector<Kind> kinds() {
    std::vector<Kind> all;
    for (const auto& event : events) all.push_back(event.kind);
    return all;
  }

  const std::string owner = "_mta-sts.a.example";
  base::Domain a = *base::Domain::parse("a.example");
  FakeClock clock{base::WallTime(std::chrono::milliseconds(1750000000000))};
  TableResolver resolver;
  Publisher publisher;
  Memory store;
  base::Random random{1};
  std::vector<policy::StsEvent> events;
  boost::asio::io_context context;
  std::unique_ptr<policy::StsEngine> engine;
};

policy::StsActive active(const policy::StsState& state) {
  if (const auto* unknown = std::get_if<policy::StsUnknown>(&state)) FAIL(unknown->reason);
  const auto* failed = std::get_if<policy::StsUnavailable>(&state);
  if (failed != nullptr) FAIL(failed->failure.reason);
  REQUIRE(std::holds_alternative<policy::StsActive>(state));
  return std::get<policy::StsActive>(state);
}

}  // namespace

TEST_CASE("engine: first contact fetches; then the cache answers without a fetch") {
  World world;
  world.start();
  const auto first = active(world.state());
  CHECK(first.policy.mode == policy::StsMode::enforce);
  CHECK(first.source == policy::PolicySource::fetched);
  CHECK(first.id == "1");
  const auto second = active(world.state(0s));
  CHECK(second.source == policy::PolicySource::cached);
  world.settle();
  CHECK(world.publisher.fetches == 1);
  CHECK(world.kinds() == std::vector<Kind>{Kind::fetched});
  CHECK(world.store.rows.at("a.example").body == enforce);
  CHECK(world.resolver.names() == std::vector<std::string>{world.owner});
}

TEST_CASE("engine: a domain without a record is absent, and is asked again after the TTL") {
  World world;
  world.resolver.nothing(world.owner, dns::Type::TXT);
  world.start();
  CHECK(std::holds_alternative<policy::StsAbsent>(world.state()));
  CHECK(std::holds_alternative<policy::StsAbsent>(world.state()));
  CHECK(world.resolver.asked(world.owner) == 1);
  CHECK(world.publisher.fetches == 0);
  world.record("1");
  world.clock.advance(301s);
  CHECK(active(world.state()).id == "1");
}

TEST_CASE("engine: a broken or doubled record is no policy and no fetch") {
  World world;
  world.resolver.txt(world.owner, "v=STSv1; id=2", 60s);
  world.start();
  const auto state = world.state();
  REQUIRE(std::holds_alternative<policy::StsAbsent>(state));
  CHECK(std::get<policy::StsAbsent>(state).reason == "2 MTA-STS records, not one");
  CHECK(world.publisher.fetches == 0);
}

TEST_CASE("engine: a failed TXT look-up is not an absence") {
  World world;
  world.resolver.fails(world.owner, dns::Type::TXT, dns::LookupError::Kind::servfail);
  world.start();
  CHECK(std::holds_alternative<policy::StsUnknown>(world.state()));
  world.record("1");
  world.clock.advance(11s);
  CHECK(active(world.state()).id == "1");
}

TEST_CASE("TXT gone, doubled or failing leaves the cached policy in force") {
  World world;
  world.start();
  active(world.state());
  world.clock.advance(2min);
  SECTION("gone") { world.resolver.nothing(world.owner, dns::Type::TXT); }
  SECTION("failing") {
    world.resolver.fails(world.owner, dns::Type::TXT, dns::LookupError::Kind::bogus);
  }
  SECTION("doubled") { world.resolver.txt(world.owner, "v=STSv1; id=2", 60s); }
  active(world.state());
  world.settle();
  CHECK(active(world.state()).policy.mode == policy::StsMode::enforce);
  CHECK(active(world.recheck()).policy.mode == policy::StsMode::enforce);
  CHECK(world.events.back().alert);
  world.clock.advance(std::chrono::days(8));
  world.resolver.nothing(world.owner, dns::Type::TXT);
  CHECK(std::holds_alternative<policy::StsAbsent>(world.state()));
}

TEST_CASE("the id changes and HTTPS fails: the unexpired policy stays") {
  World world;
  world.start();
  active(world.state());
  world.record("2");
  world.publisher.fails("HTTP 500");
  world.clock.advance(2min);
  const auto state = active(world.recheck());
  CHECK(state.id == "1");
  REQUIRE(state.refresh_failure);
  CHECK(state.refresh_failure->reason == "HTTP 500");
  CHECK(world.events.back().kind == Kind::refresh_failed);
  CHECK(world.events.back().alert);
}

TEST_CASE("an invalid policy never replaces a good one, and is told as invalid") {
  World world;
  world.start();
  active(world.state());
  world.record("2");
  world.publisher.answer = "version: STSv1\nmode: enforce\nnmx: a\nmax_age: 1\n";
  const auto state = active(world.recheck());
  CHECK(state.policy.mode == policy::StsMode::enforce);
  REQUIRE(state.refresh_failure);
  CHECK(state.refresh_failure->type == tlsrpt::ResultType::sts_policy_invalid);
}

TEST_CASE("RFC 8461 §5.1: a new id is fetched beside, and counts for the next delivery") {
  World world;
  world.start();
  active(world.state());
  world.record("2");
  world.publisher.answer = testing;
  world.clock.advance(2min);
  CHECK(active(world.state(0s)).id == "1");
  world.settle();
  const auto state = active(world.state(0s));
  CHECK(state.id == "2");
  CHECK(state.policy.mode == policy::StsMode::testing);
}

TEST_CASE("RFC 8461 §10.2: a fetched none replaces enforce") {
  World world;
  world.start();
  active(world.state());
  world.record("2");
  world.publisher.answer = none;
  CHECK(active(world.recheck()).policy.mode == policy::StsMode::none);
  CHECK(active(world.state()).policy.mode == policy::StsMode::none);
}

TEST_CASE("a record without a policy: unavailable, and backed off by id") {
  World world;
  world.publisher.fails("HTTP 404");
  world.start();
  for (int i = 0; i < 3; ++i) {
    const auto state = world.state();
    REQUIRE(std::holds_alternative<policy::StsUnavailable>(state));
    CHECK(std::get<policy::StsUnavailable>(state).failure.reason == "HTTP 404");
    CHECK(std::get<policy::StsUnavailable>(state).id == "1");
  }
  CHECK(world.publisher.fetches == 1);
  world.publisher.answer = enforce;
  world.record("2");
  CHECK(active(world.state()).id == "2");
  CHECK(world.publisher.fetches == 2);
}

TEST_CASE("RFC 8461 §3.3: five minutes after a failed GET it is tried again") {
  World world;
  world.publisher.fails("HTTP 404");
  world.start();
  world.state();
  world.publisher.answer = enforce;
  world.clock.advance(299s);
  CHECK(std::holds_alternative<policy::StsUnavailable>(world.state()));
  world.clock.advance(1s);
  CHECK(active(world.state()).id == "1");
}

TEST_CASE("after an enforcement failure the same id is fetched again, once") {
  World world;
  world.start();
  active(world.state());
  world.publisher.answer = testing;
  CHECK(active(world.recheck()).policy.mode == policy::StsMode::testing);
  CHECK(world.publisher.fetches == 2);
  active(world.recheck());
  CHECK(world.publisher.fetches == 2);
  world.clock.advance(5min);
  active(world.recheck());
  CHECK(world.publisher.fetches == 3);
}

TEST_CASE("first contact waits no longer than told, and the fetch ends for the next") {
  World world;
  world.publisher.hold = true;
  world.start();
  const auto state = world.state(20ms);
  REQUIRE(std::holds_alternative<policy::StsUnavailable>(state));
  CHECK(std::get<policy::StsUnavailable>(state).id == "1");
  CHECK(world.publisher.fetches == 1);
  world.publisher.release();
  world.settle();
  CHECK(active(world.state(0s)).source == policy::PolicySource::cached);
}

TEST_CASE("first contact with a TXT look-up that does not answer: unknown, not absent") {
  World world;
  world.resolver.hold(world.owner);
  world.start();
  CHECK(std::holds_alternative<policy::StsUnknown>(world.state(20ms)));
  world.resolver.release(world.owner);
  world.settle();
  CHECK(active(world.state(0s)).id == "1");
}

TEST_CASE("many who ask for one domain share one look-up and one fetch") {
  World world;
  world.publisher.hold = true;
  auto& engine = world.start();
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    boost::asio::co_spawn(world.context, engine.state_for(world.a, 20s),
                          [&](std::exception_ptr, const policy::StsState& state) {
                            answered += std::holds_alternative<policy::StsActive>(state) ? 1 : 0;
                          });
  }
  world.context.poll();
  CHECK(answered == 0);
  world.publisher.release();
  world.context.run();
  CHECK(answered == 10);
  CHECK(world.publisher.fetches == 1);
  CHECK(world.resolver.asked(world.owner) == 1);
}

TEST_CASE("RFC 8461 §3.2: max_age 0 protects the delivery at hand and no other") {
  World world;
  world.publisher.answer = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 0\n";
  auto& engine = world.start();
  CHECK(active(world.state()).policy.mode == policy::StsMode::enforce);
  CHECK(engine.size() == 0);
  CHECK(world.store.rows.empty());
  active(world.state());
  CHECK(world.publisher.fetches == 2);
}

TEST_CASE("a restart keeps the policies; an unreadable row is told") {
  World world;
  world.start();
  active(world.state());
  world.store.rows["b.example"] = world.store.rows["a.example"];
  world.store.rows["b.example"].domain = "b.example";
  world.store.rows["b.example"].body = "garbage";
  world.events.clear();
  world.publisher.fails("down");
  auto& engine = world.start();
  const auto loaded = engine.load();
  REQUIRE(loaded.has_value());
  CHECK(*loaded == 1);
  const auto state = active(world.state(0s));
  CHECK(state.source == policy::PolicySource::cached);
  CHECK(state.policy.mx == std::vector<std::string>{"mx.a.example"});
  CHECK(world.events.front().kind == Kind::restore_failed);
}

TEST_CASE("a restart does not restore what expired meanwhile") {
  World world;
  world.start();
  active(world.state());
  world.clock.advance(std::chrono::days(7));
  CHECK(*world.start().load() == 0);
  CHECK(world.store.rows.empty());
}

TEST_CASE("RFC 8461 §3.3: the background refreshes before expiry, record or not") {
  World world;
  auto& engine = world.start();
  const auto before = active(world.state());
  world.clock.advance(24h);
  SECTION("with the record") { world.record("1"); }
  SECTION("without it") { world.resolver.nothing(world.owner, dns::Type::TXT); }
  SECTION("with DNS down") {
    world.resolver.fails(world.owner, dns::Type::TXT, dns::LookupError::Kind::timeout);
  }
  engine.tick();
  world.settle();
  CHECK(world.publisher.fetches == 2);
  const auto after = engine.show(world.a);
  REQUIRE(after);
  CHECK(after->entry.expires == before.expires + 24h);
  CHECK(after->entry.id == "1");
  engine.tick();
  world.settle();
  CHECK(world.publisher.fetches == 2);
}

TEST_CASE("RFC 8461 §3.3: a failed refresh alerts, is tried again, and ends with the expiry") {
  World world;
  auto& engine = world.start();
  active(world.state());
  world.publisher.fails("HTTP 503");
  world.events.clear();
  for (int hours = 0; hours < 7 * 24; ++hours) {
    world.clock.advance(1h);
    engine.tick();
    world.settle();
  }
  CHECK(world.publisher.fetches > 50);
  CHECK(world.publisher.fetches < 400);
  CHECK(world.events.front().kind == Kind::refresh_failed);
  CHECK(world.events.front().alert);
  CHECK(world.events.back().kind == Kind::expired);
  CHECK(engine.size() == 0);
  CHECK(world.store.rows.empty());
}

TEST_CASE("refreshes at once are bounded") {
  World world;
  auto& engine = world.start();
  for (int i = 0; i < 40; ++i) {
    const auto domain = *base::Domain::parse("d" + std::to_string(i) + ".example");
    world.resolver.txt("_mta-sts." + domain.str(), "v=STSv1; id=1", 60s);
    run(world.context, engine.state_for(domain, 20s));
  }
  world.publisher.hold = true;
  world.clock.advance(24h);
  for (int i = 0; i < 3; ++i) {
    engine.tick();
    world.settle();
  }
  CHECK(world.publisher.fetches == 40 + 16);
  world.publisher.release();
  for (int i = 0; i < 3; ++i) {
    world.settle();
    engine.tick();
  }
  world.settle();
  CHECK(world.publisher.fetches == 80);
}

TEST_CASE("list, show, refresh and purge for the operator") {
  World world;
  auto& engine = world.start();
  CHECK(!engine.show(world.a));
  active(world.state());
  REQUIRE(engine.list().size() == 1);
  CHECK(engine.list().front().domain == world.a);
  world.publisher.answer = testing;
  const auto state = active(run(world.context, engine.refresh(world.a, 20s)));
  CHECK(state.policy.mode == policy::StsMode::testing);
  world.publisher.fails("HTTP 404");
  run(world.context, engine.refresh(world.a, 20s));
  run(world.context, engine.refresh(world.a, 20s));
  CHECK(world.publisher.fetches == 4);
  const std::size_t before = world.events.size();
  CHECK(engine.purge(world.a, "by a test"));
  CHECK_FALSE(engine.purge(world.a, "again"));
  world.settle();
  REQUIRE(world.events.size() == before + 1);
  CHECK(world.events.back().kind == policy::StsEvent::Kind::purged);
  CHECK(world.events.back().text == "by a test");
  CHECK(world.store.rows.empty());
  CHECK(engine.list().empty());
}

TEST_CASE("callers on other threads are resumed on their own context") {
  World world;
  auto& engine = world.start();
  auto guard = boost::asio::make_work_guard(world.context);
  std::thread home([&] { world.context.run(); });
  std::atomic<int> right{0};
  std::vector<std::thread> workers;
  for (int w = 0; w < 3; ++w) {
    workers.emplace_back([&] {
      boost::asio::io_context mine;
      const auto me = std::this_thread::get_id();
      for (int i = 0; i < 50; ++i) {
        const auto domain = i % 2 == 0 ? world.a : *base::Domain::parse("none.example");
        boost::asio::co_spawn(mine, engine.state_for(domain, 20s),
                              [&](std::exception_ptr, const policy::StsState&) {
                                right += std::this_thread::get_id() == me ? 1 : 0;
                              });
      }
      mine.run();
    });
  }
  for (auto& worker : workers) worker.join();
  CHECK(right == 150);
  guard.reset();
  world.context.stop();
  home.join();
}

TEST_CASE("the worlds of callers and engine may end while a fetch is under way") {
  World world;
  world.publisher.hold = true;
  auto& engine = world.start();
  auto caller = std::make_unique<boost::asio::io_context>();
  boost::asio::co_spawn(*caller, engine.state_for(world.a, 20s), boost::asio::detached);
  caller->poll();
  world.settle();
  CHECK(world.publisher.fetches == 1);
  caller.reset();
  world.publisher.release();
  world.settle();
  CHECK(engine.size() == 1);
  world.publisher.hold = true;
  boost::asio::co_spawn(world.context, engine.refresh(world.a, 20s), boost::asio::detached);
  world.settle();
  world.engine.reset();
}
