// The policy map's clients: order, batches, framing that breaks, clients that do not read or write;
// one search however many ask, and answers that are forgotten when they must be.
#include "proxy/policy_map.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <future>
#include <mutex>

#include "policy/sts_engine.h"
#include "session_world.h"
#include "smtp/netstring.h"

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using proxy::MapListener;

// Answers at once, or when let; counts the MX look-ups. Of `mx.two.example` and `dead.two.example`,
// the hosts of two.example, the second is never answered about.
class Resolver final : public dns::Resolver {
 public:
  session_world::PlainResolver plain;
  std::atomic<int> mx{0};
  void hold() {
    const std::lock_guard<std::mutex> held(lock_);
    holding_ = true;
  }
  // Every look-up from now on, or none.
  void fail(bool fails) {
    const std::lock_guard<std::mutex> held(lock_);
    failing_ = fails;
  }
  void let() {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard<std::mutex> held(lock_);
      holding_ = false;
      waiting.swap(waiting_);
    }
    for (const auto& one : waiting) one();
  }
  void lookup(const std::string& name, dns::Type type,
              std::function<void(dns::RawLookup)> done) override {
    if (type == dns::Type::MX) ++mx;
    const std::lock_guard<std::mutex> held(lock_);
    if (name == "dead.two.example") return;
    if (failing_) {
      dns::LookupError error;
      error.text = name + ": SERVFAIL";
      return done(base::fail(std::move(error)));
    }
    if (name == "two.example" && type == dns::Type::MX) return done(two_hosts());
    if (name == "_mta-sts.a.example") return done(record());
    if (!holding_) return plain.lookup(name, type, std::move(done));
    waiting_.push_back([this, name, type, done] { plain.lookup(name, type, done); });
  }

 private:
  static dns::RawAnswer record() {
    const std::string text = "v=STSv1; id=1;";
    dns::RawAnswer answer;
    answer.canonical_name = "_mta-sts.a.example";
    answer.ttl = 3600s;
    answer.existence = dns::Existence::data;
    answer.records.push_back(static_cast<char>(text.size()) + text);
    return answer;
  }
  static dns::RawAnswer two_hosts() {
    dns::RawAnswer answer;
    answer.canonical_name = "two.example";
    answer.ttl = 60s;
    answer.existence = dns::Existence::data;
    answer.records = {std::string("\0\x0a\2mx\3two\7example\0", 18),
                      std::string("\0\x14\4dead\3two\7example\0", 20)};
    return answer;
  }
  std::mutex lock_;
  bool holding_ = false;
  bool failing_ = false;
  std::vector<std::function<void()>> waiting_;
};

// The policy of every domain that has a record.
class Publisher final : public policy::StsFetcher {
 public:
  std::atomic<int> max_age{0};
  asio::awaitable<policy::StsBody> fetch(const base::Domain&) override {
    policy::StsBody body = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: " +
                           std::to_string(max_age) + "\n";
    co_return body;
  }
};

// One end of a socket pair, blocking, each wait bounded.
class Client {
 public:
  explicit Client(int fd) : fd_(fd) {
    const timeval limit{15, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  bool send(std::string_view octets) {
    while (!octets.empty()) {
      const ssize_t n = ::send(fd_, octets.data(), octets.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      octets.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool ask(std::string_view question) {
    std::string octets;
    smtp::append_netstring(octets, question);
    return send(octets);
  }
  // "" at the end of the connection.
  std::string read() {
    for (;;) {
      const auto frame = smtp::netstring_at(buffer_, 100000);
      if (frame.state == smtp::NetstringFrame::State::whole) {
        std::string payload(frame.payload);
        buffer_.erase(0, frame.size);
        return payload;
      }
      char chunk[4096];
      const ssize_t n = ::recv(fd_, chunk, sizeof chunk, 0);
      if (n <= 0) return ended_ = n == 0 || errno == ECONNRESET, std::string();
      buffer_.append(chunk, static_cast<std::size_t>(n));
    }
  }
  bool ended() {
    return read().empty() && ended_;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string buffer_;
  bool ended_ = false;
};

struct World {
  Resolver resolver;
  base::SystemClock clock;
  session_world::MemoryLog log;
  proxy::Shared shared;
  std::unique_ptr<proxy::Worker> worker;
  std::unique_ptr<proxy::PolicyMap> map;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> guard;
  std::thread thread;
  std::atomic<int> serving{0};

  static config::Config config() {
    config::Config config =
        session_world::test_config(config::Protocol::Smtp, 25);
    config.policy.default_requirement = config::Default::Encrypted;
    return config;
  }
  explicit World(proxy::MapTimes times = {}, config::Config with = config()) {
    for (const char* const name : {"a.example", "b.example", "c.example", "two.example"}) {
      resolver.plain.add(name, "192.0.2.1");
    }
    shared.clock = &clock;
    shared.resolver = &resolver;
    shared.plain_resolver = &resolver;
    shared.log = &log;
    shared.validation = proxy::Validation::validates;
    const auto snapshot = proxy::make_snapshot(std::make_shared<config::Config>(std::move(with)));
    auto made = proxy::Worker::make(shared, snapshot, {});
    if (!made) throw std::runtime_error(made.error().text);
    worker = std::move(*made);
    map = std::make_unique<proxy::PolicyMap>(*worker, times);
    guard.emplace(asio::make_work_guard(worker->io()));
    thread = std::thread([this] { worker->run(); });
  }
  ~World() {
    guard.reset();
    worker->io().stop();
    thread.join();
    map.reset();
    worker.reset();
  }
  std::unique_ptr<Client> connect(MapListener listener = MapListener::postfix) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw std::runtime_error("socketpair");
    ++serving;
    const int fd = ends[0];
    asio::post(worker->io(), [this, fd, listener] {
      proxy::Channel::Socket socket(worker->io(), asio::generic::stream_protocol(AF_UNIX, 0), fd);
      asio::co_spawn(worker->io(), map->serve(listener, std::move(socket)),
                     [this](std::exception_ptr) { --serving; });
    });
    return std::make_unique<Client>(ends[1]);
  }
  void on_worker(std::function<void()> what) {
    std::promise<void> done;
    asio::post(worker->io(), [&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }
  bool all_gone() const {
    for (int i = 0; i < 1500 && serving > 0; ++i) std::this_thread::sleep_for(10ms);
    return serving == 0;
  }
};

std::string netstrings(const std::vector<std::string>& payloads) {
  std::string out;
  for (const std::string& one : payloads) smtp::append_netstring(out, one);
  return out;
}

}  // namespace

TEST_CASE("map client: each map name has its listener") {
  World world;
  const auto postfix = world.connect();
  for (const char* const map : {"QUERY", "QUERYwithTLSRPT"}) {
    REQUIRE(postfix->ask(std::string(map) + " a.example"));
    CHECK(postfix->read() == "OK encrypt");
  }
  for (const char* const question :
       {"sts a.example", "query a.example", "QUERY", "", " a.example"}) {
    REQUIRE(postfix->ask(question));
    CHECK(postfix->read().starts_with("PERM "));
  }
  const auto sendmail = world.connect(MapListener::sendmail);
  REQUIRE(sendmail->ask("sts a.example"));
  CHECK(sendmail->read() == "OK secure servername=hostname");
  REQUIRE(sendmail->ask("QUERY a.example"));
  CHECK(sendmail->read().starts_with("PERM "));
}

TEST_CASE("map client: keys that name no domain cost no look-up") {
  World world;
  const auto client = world.connect();
  for (const char* const key : {".a.example", ".example", "[a.example]", "[192.0.2.1]:25",
                                "192.0.2.1", "a b", ""}) {
    REQUIRE(client->ask(std::string("QUERY ") + key));
    CHECK(client->read() == "NOTFOUND ");
  }
  REQUIRE(client->ask("QUERY 💩.la"));
  CHECK(client->read().starts_with("TEMP "));
  CHECK(world.resolver.mx == 0);
  for (const char* const key : {"A.Example", "a.example:25", "a.example.", "a.example"}) {
    REQUIRE(client->ask(std::string("QUERY ") + key));
    CHECK(client->read() == "OK encrypt");
  }
  CHECK(world.resolver.mx == 1);
}

TEST_CASE("map client: a batch is answered in order, its domains looked for at once") {
  World world;
  world.resolver.hold();
  const auto client = world.connect();
  std::vector<std::string> questions;
  for (int i = 0; i < 20; ++i) {
    questions.insert(questions.end(), {"QUERY [x]", "QUERY a.example", "QUERY none.example",
                                       "nomap b.example", "QUERY b.example"});
  }
  REQUIRE(client->send(netstrings(questions)));
  CHECK(client->read() == "NOTFOUND ");
  for (int i = 0; i < 500 && world.resolver.mx < 3; ++i) std::this_thread::sleep_for(10ms);
  CHECK(world.resolver.mx == 3);
  world.resolver.let();
  for (std::size_t i = 1; i < questions.size(); ++i) {
    const std::string answer = client->read();
    CAPTURE(questions[i], answer);
    if (questions[i] == "QUERY [x]") CHECK(answer == "NOTFOUND ");
    if (questions[i] == "QUERY a.example" || questions[i] == "QUERY b.example") {
      CHECK(answer == "OK encrypt");
    }
    if (questions[i] == "nomap b.example") CHECK(answer.starts_with("PERM "));
  }
  CHECK(world.resolver.mx == 3);
}

TEST_CASE("map client: who asks without end leaves the others their turn") {
  int turns = 0;  // in the middle of its answers
  std::promise<void> asked, answered;
  std::function<void()> look;
  World world;
  const auto client = world.connect();
  const std::vector<std::string> questions(1500, "QUERY [x]");
  const std::size_t all = netstrings(std::vector<std::string>(1500, "NOTFOUND ")).size();
  look = [&] {
    int octets = 0;
    ::ioctl(client->fd(), FIONREAD, &octets);
    if (static_cast<std::size_t>(octets) >= all) return answered.set_value();
    if (octets > 0) ++turns;
    asio::post(world.worker->io(), look);
  };
  // All of it is there before the first is read.
  asio::post(world.worker->io(), [&] {
    asked.get_future().wait();
    look();
  });
  REQUIRE(client->send(netstrings(questions)));
  asked.set_value();
  REQUIRE(answered.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(turns > 10);
}

TEST_CASE("map client: octet by octet, and the last question before the end") {
  World world;
  const auto client = world.connect();
  for (const char octet : netstrings({"QUERY a.example", "QUERY b.example"})) {
    REQUIRE(client->send(std::string_view(&octet, 1)));
  }
  ::shutdown(client->fd(), SHUT_WR);
  CHECK(client->read() == "OK encrypt");
  CHECK(client->read() == "OK encrypt");
  CHECK(client->ended());
  CHECK(world.all_gone());
}

TEST_CASE("map client: what breaks the framing is answered PERM and ends the connection") {
  World world;
  for (const std::string& octets :
       {std::string("05:QUERY"), std::string("2049:"), std::string("99999999999999999999"),
        std::string("EHLO x\r\n"), std::string("3:abc;"), std::string(20000, 'x')}) {
    const auto client = world.connect();
    REQUIRE(client->send(netstrings({"QUERY a.example"}) + octets));
    CHECK(client->read() == "OK encrypt");
    CHECK(client->read().starts_with("PERM "));
    CHECK(client->ended());
  }
  CHECK(world.all_gone());
}

TEST_CASE("map client: the longest question fits") {
  World world;
  const auto client = world.connect();
  const std::string longest = "QUERY " + std::string(2042, 'a');
  REQUIRE(client->send(netstrings(std::vector<std::string>(30, longest))));
  for (int i = 0; i < 30; ++i) CHECK(client->read() == "NOTFOUND ");
}

TEST_CASE("map client: who does not read, or sends half a question, or nothing, is cut") {
  World world({.idle = 300ms, .rest = 300ms, .writing = 300ms});
  const auto idle = world.connect();
  const auto half = world.connect();
  const auto dripping = world.connect();
  const auto deaf = world.connect();
  REQUIRE(half->send("20:QUERY"));
  const std::string batch = netstrings(std::vector<std::string>(500, "QUERY a.example"));
  bool cut = false;
  for (int i = 0; i < 100000 && !cut; ++i) cut = !deaf->send(batch);
  CHECK(cut);
  const auto begun = std::chrono::steady_clock::now();
  bool over = false;
  dripping->send("1000:");
  while (!over && std::chrono::steady_clock::now() - begun < 10s) {
    over = !dripping->send("x");
    std::this_thread::sleep_for(20ms);
  }
  CHECK(over);
  CHECK(idle->ended());
  CHECK(half->ended());
  CHECK(world.all_gone());
}

TEST_CASE("map client: many at a time, one search for all") {
  World world;
  world.resolver.hold();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(world.connect());
    REQUIRE(clients.back()->ask("QUERY c.example"));
  }
  for (int i = 0; i < 500 && world.resolver.mx < 1; ++i) std::this_thread::sleep_for(10ms);
  world.resolver.let();
  for (const auto& client : clients) CHECK(client->read() == "OK encrypt");
  CHECK(world.resolver.mx == 1);
}

TEST_CASE("map client: what cannot be found out within seconds makes the mail wait") {
  World world;
  world.resolver.hold();
  // Sendmail's limit; Postfix's is longer than a look-up may take.
  const auto client = world.connect(MapListener::sendmail);
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(client->ask("sts a.example"));
  CHECK(client->read() == "TEMP the MX look-up of a.example did not end in time");
  CHECK(std::chrono::steady_clock::now() - begun < 8s);
  world.resolver.let();
  std::this_thread::sleep_for(1100ms);
  REQUIRE(client->ask("sts a.example"));
  CHECK(client->read() == "OK secure servername=hostname");
  CHECK(world.resolver.mx == 1);
}

TEST_CASE("map client: a backup whose DNS is dead keeps no answer about the other host") {
  World world;
  const auto client = world.connect(MapListener::sendmail);
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(client->ask("sts two.example"));
  CHECK(client->read() == "OK secure servername=hostname");
  CHECK(std::chrono::steady_clock::now() - begun < 8s);
  // And the answer stands, though that host's look-ups have still not ended.
  REQUIRE(client->ask("sts two.example"));
  CHECK(client->read() == "OK secure servername=hostname");
  CHECK(std::chrono::steady_clock::now() - begun < 8s);
}

TEST_CASE("map client: forgotten, or under a new configuration, an answer is made anew") {
  World world;
  const auto client = world.connect();
  const auto ask = [&] {
    REQUIRE(client->ask("QUERY a.example"));
    return client->read();
  };
  CHECK(ask() == "OK encrypt");
  config::Config changed = World::config();
  changed.policy.default_requirement = config::Default::Opportunistic;
  const auto snapshot = proxy::make_snapshot(std::make_shared<config::Config>(changed));
  world.on_worker([&] { world.worker->adopt(snapshot, world.worker->tls_client()); });
  CHECK(ask() == "OK encrypt");
  world.on_worker([&] { world.map->answers().forget(*base::Domain::parse("a.example")); });
  CHECK(ask() == "NOTFOUND ");
  world.on_worker([&] { world.map->answers().clear(); });
  CHECK(ask() == "NOTFOUND ");
}

TEST_CASE("map client: an answer under way when it is forgotten is nobody's after") {
  World world;
  world.resolver.hold();
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  for (int i = 0; i < 500 && world.resolver.mx < 1; ++i) std::this_thread::sleep_for(10ms);
  world.on_worker([&] { world.map->answers().clear(); });
  world.resolver.let();
  CHECK(client->read() == "OK encrypt");
  bool known = true;
  world.on_worker([&] {
    const auto reply = world.map->answers().known(policy::MapDialect::postfix, "a.example",
                                                  std::chrono::steady_clock::now());
    known = !reply.empty();
  });
  CHECK_FALSE(known);
}

namespace {

// The reply that stands for a.example so long after now; "" where there is none.
std::string reply_in(World& world, std::chrono::seconds later,
                     policy::MapDialect dialect = policy::MapDialect::postfix) {
  std::string reply;
  const auto then = std::chrono::steady_clock::now() + later;
  world.on_worker([&] { reply = world.map->answers().known(dialect, "a.example", then); });
  return reply;
}

std::size_t renewals(World& world) {
  std::size_t count = 0;
  world.on_worker([&] { count = world.map->answers().renewals(); });
  return count;
}

template <class Condition>
bool within_seconds(Condition condition) {
  for (int i = 0; i < 1000 && !condition(); ++i) std::this_thread::sleep_for(10ms);
  return condition();
}

constexpr std::string_view encrypt = "10:OK encrypt,";

}  // namespace

// The resolver's TTLs are a minute.
TEST_CASE("map client: an answer past its TTLs is given while it is made anew behind that") {
  World world;
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  REQUIRE(client->read() == "OK encrypt");
  config::Config changed = World::config();
  changed.policy.default_requirement = config::Default::Opportunistic;
  const auto snapshot = proxy::make_snapshot(std::make_shared<config::Config>(changed));
  world.on_worker([&] { world.worker->adopt(snapshot, world.worker->tls_client()); });
  CHECK(reply_in(world, 50s) == encrypt);
  CHECK(renewals(world) == 0);
  CHECK(reply_in(world, 61s) == encrypt);  // who asks waits for nothing
  CHECK(within_seconds([&] { return reply_in(world, 1s) == "9:NOTFOUND ,"; }));
  CHECK(reply_in(world, 50s) == "9:NOTFOUND ,");
}

TEST_CASE("map client: without being asked for, an answer ends seconds past its TTLs") {
  World world;
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  REQUIRE(client->read() == "OK encrypt");
  CHECK(reply_in(world, 70s).empty());
  CHECK(renewals(world) == 0);
}

TEST_CASE("map client: an answer made anew in vain stands to its end, and no longer") {
  World world;
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  REQUIRE(client->read() == "OK encrypt");
  world.on_worker([&] { world.worker->gather().clear(); });
  world.resolver.fail(true);
  CHECK(reply_in(world, 61s) == encrypt);
  CHECK(within_seconds([&] { return world.resolver.mx == 2 && renewals(world) == 0; }));
  CHECK(reply_in(world, 1s) == encrypt);
  CHECK(reply_in(world, 70s).empty());
  // It is tried again, and then it counts.
  config::Config changed = World::config();
  changed.policy.default_requirement = config::Default::Opportunistic;
  const auto snapshot = proxy::make_snapshot(std::make_shared<config::Config>(changed));
  world.on_worker([&] {
    world.worker->gather().clear();
    world.worker->adopt(snapshot, world.worker->tls_client());
  });
  world.resolver.fail(false);
  CHECK(within_seconds([&] { return reply_in(world, 61s) != encrypt; }));
  CHECK(reply_in(world, 1s) == "9:NOTFOUND ,");
}

TEST_CASE("map client: an answer is made anew once however many ask, and 32 at once") {
  World world;
  const auto client = world.connect();
  constexpr int domains = 40;
  for (int n = 0; n < domains; ++n) {
    const std::string name = "d" + std::to_string(n) + ".example";
    world.on_worker([&] { world.resolver.plain.add(name, "192.0.2.1"); });
    REQUIRE(client->ask("QUERY " + name));
    REQUIRE(client->read() == "OK encrypt");
  }
  world.on_worker([&] { world.worker->gather().clear(); });
  world.resolver.hold();
  const auto ask_all = [&](int count) {
    const auto then = std::chrono::steady_clock::now() + 61s;
    int known = 0;
    world.on_worker([&] {
      for (int n = 0; n < count; ++n) {
        const std::string name = "d" + std::to_string(n) + ".example";
        known += world.map->answers().known(policy::MapDialect::postfix, name, then) == encrypt;
      }
    });
    return known;
  };
  CHECK(ask_all(5) == 5);
  CHECK(ask_all(5) == 5);
  CHECK(renewals(world) == 5);
  CHECK(ask_all(domains) == domains);
  CHECK(renewals(world) == 32);
  world.resolver.let();
  CHECK(within_seconds([&] { return renewals(world) == 0; }));
}

TEST_CASE("map client: forgotten while it is made anew, an answer stays forgotten") {
  World world;
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  REQUIRE(client->read() == "OK encrypt");
  world.on_worker([&] { world.worker->gather().clear(); });
  world.resolver.hold();
  CHECK(reply_in(world, 61s) == encrypt);
  CHECK(within_seconds([&] { return world.resolver.mx == 2; }));
  REQUIRE(renewals(world) == 1);
  world.on_worker([&] { world.map->answers().forget(*base::Domain::parse("a.example")); });
  world.resolver.let();
  CHECK(within_seconds([&] { return renewals(world) == 0; }));
  CHECK(reply_in(world, 0s).empty());
}

TEST_CASE("map client: the end comes in the middle of everything") {
  World world;
  world.resolver.hold();
  const auto waiting = world.connect();
  const auto idle = world.connect();
  REQUIRE(waiting->send(netstrings({"QUERY a.example", "QUERY b.example"}) + "12:QUE"));
  for (int i = 0; i < 500 && world.resolver.mx < 2; ++i) std::this_thread::sleep_for(10ms);
}

TEST_CASE("map client: the use of an exception is written down") {
  config::Config config = World::config();
  config::Exception exception;
  exception.domains.push_back({*base::Domain::parse("a.example"), false});
  exception.until = std::chrono::year(2999) / 1 / 1;
  exception.owner = "o@example.com";
  exception.reason = "ticket 1";
  config.policy.exceptions.push_back(exception);
  World world({}, config);
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  CHECK(client->read() == "OK may");
  const auto records = world.log.records(audit::Event::exception);
  REQUIRE(records.size() == 1);
  REQUIRE(records[0].reason);
  CHECK(records[0].reason->starts_with("ticket 1"));
}

TEST_CASE("RFC 8461 §3.2: map client: no answer stands past its policy's max_age, 0 among them") {
  const int max_age = GENERATE(0, 20);
  config::Config config = World::config();
  config.mta_sts.enabled = true;
  World world({}, config);
  Publisher publisher;
  publisher.max_age = max_age;
  policy::StsEngine::Parts parts;
  parts.home = world.worker->io().get_executor();
  parts.clock = &world.clock;
  parts.resolver = &world.resolver;
  parts.fetcher = &publisher;
  policy::StsEngine engine(std::move(parts), {});
  world.shared.sts = &engine;
  const auto begun = std::chrono::steady_clock::now();
  const auto client = world.connect();
  REQUIRE(client->ask("QUERY a.example"));
  CHECK(client->read() == "OK secure match=mx.a.example servername=hostname");
  const auto stands = [&](std::chrono::seconds later) {
    bool known = false;
    world.on_worker([&] {
      const auto dialect = policy::MapDialect::postfix;
      known = !world.map->answers().known(dialect, "a.example", begun + later).empty();
    });
    return known;
  };
  const auto answered = std::chrono::steady_clock::now();
  CHECK(stands(std::chrono::seconds(max_age / 2)));
  const auto late = std::chrono::ceil<std::chrono::seconds>(answered - begun);
  CHECK_FALSE(stands(late + std::chrono::seconds(max_age + 2)));
}
