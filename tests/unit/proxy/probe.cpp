// Handshakes without mail: how many connections one of them makes, and which comes next where more
// are wanted than may run at once. The MX hosts are real sockets of this process.
#include "proxy/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "proxy/outlook.h"
#include "proxy/seen_hosts.h"
#include "tests/unit/policy/plan_support.h"
#include "tests/unit/proxy/run.h"
#include "tests/unit/proxy/session_world.h"

using namespace std::chrono_literals;
using plan_test::name;
using policy::Require;

namespace {

namespace asio = boost::asio;
using Guard = asio::executor_work_guard<asio::io_context::executor_type>;

std::chrono::steady_clock::time_point now() { return std::chrono::steady_clock::now(); }

// A worker whose default demands encryption, so that every host is worth a handshake.
struct World {
  session_world::PlainResolver resolver;
  base::SystemClock clock;
  session_world::MemoryLog log;
  proxy::MxSlots slots;
  proxy::SeenHosts seen;
  proxy::Shared shared;
  std::unique_ptr<proxy::Worker> worker;

  explicit World(std::uint16_t mx_port) {
    shared.clock = &clock;
    shared.resolver = &resolver;
    shared.plain_resolver = &resolver;
    shared.log = &log;
    shared.slots = &slots;
    shared.seen_hosts = &seen;
    shared.validation = proxy::Validation::validates;
    auto config = session_world::test_config(config::Protocol::Smtp, mx_port);
    config.policy.default_requirement = config::Default::Encrypted;
    auto made = proxy::Worker::make(
        shared, proxy::make_snapshot(std::make_shared<config::Config>(std::move(config))), {});
    if (!made) throw std::runtime_error(made.error().text);
    worker = std::move(*made);
  }
};

// An MX at every loopback address that has no STARTTLS.
class WithoutTls {
 public:
  WithoutTls() : thread_([this] { serve(); }) {}
  ~WithoutTls() {
    acceptor_.close();
    thread_.join();
  }
  std::uint16_t port() const { return acceptor_.port(); }
  int connections() const { return connections_; }

 private:
  void serve() {
    while (auto line = acceptor_.accept()) {
      ++connections_;
      line->send("220 mx.test ESMTP\r\n");
      if (line->read()) line->send("250 mx.test\r\n");
      while (line->read()) {
      }
    }
  }
  session_world::Acceptor acceptor_{"0.0.0.0", 0};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

// A domain's plans and the settings that they refer to.
struct Plans {
  std::shared_ptr<const proxy::Snapshot> snapshot;
  policy::Survey survey;
};

// `hosts` of as many addresses each, no two the same.
std::shared_ptr<const Plans> plans_of(World& world, int hosts, int addresses) {
  auto plans = std::make_shared<Plans>();
  plans->snapshot = world.worker->snapshot();
  policy::MxList list;
  policy::GatheredFacts facts{{name("many.example"), list, dns::Security::secure, std::nullopt,
                               policy::StsAbsent{"no record"}},
                              {},
                              {}};
  for (int i = 0; i < hosts; ++i) {
    const auto host = name("mx" + std::to_string(i) + ".many.example");
    list.hosts.push_back({host, static_cast<std::uint16_t>(i)});
    std::vector<base::Ip> ips;
    for (int n = 1; n <= addresses; ++n) {
      ips.push_back(plan_test::ip("127.1." + std::to_string(i) + "." + std::to_string(n)));
    }
    policy::HostFacts one{host, ips, {}, false, false, plan_test::no_dane()};
    facts.hosts.push_back(std::make_shared<const policy::HostFacts>(std::move(one)));
  }
  facts.domain.mx = list;
  plans->survey = policy::plan_all(plans->snapshot->settings, {}, facts);
  return plans;
}

asio::awaitable<void> probe(World& world, std::shared_ptr<const Plans> plans,
                            proxy::Probed& outcome) {
  std::shared_ptr<const policy::Survey> survey(plans, &plans->survey);
  auto domain = name("many.example");
  const auto end = now() + 60s;
  outcome = co_await proxy::probe(*world.worker, plans->snapshot, std::move(domain), survey, end);
}

proxy::Probed probed(World& world, const std::shared_ptr<const Plans>& plans) {
  proxy::Probed outcome{};
  run_to_end(world.worker->io(), probe(world, plans, outcome));
  return outcome;
}

bool was_seen(const World& world, const Plans& plans, std::size_t host) {
  const policy::HostPlan& plan = plans.survey.hosts.at(host);
  return world.seen.look(plan.host, std::get<policy::Try>(plan.decision), now()).has_value();
}

// An MX at every loopback address that accepts and says nothing, as long as it is held.
class Silent {
 public:
  Silent() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
    REQUIRE(::listen(fd_, 64) == 0);
  }
  ~Silent() {
    for (const auto& [ip, fd] : held_) ::close(fd);
    ::close(fd_);
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;
  std::uint16_t port() const { return ntohs(end_of(fd_).sin_port); }
  // Which address the next connection is to; "" where none comes.
  std::string next() {
    pollfd ready{fd_, POLLIN, 0};
    if (::poll(&ready, 1, 15000) <= 0) return {};
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return {};
    char text[INET_ADDRSTRLEN] = {};
    const sockaddr_in end = end_of(fd);
    ::inet_ntop(AF_INET, &end.sin_addr, text, sizeof text);
    held_[text] = fd;
    return text;
  }
  // Whether one comes, of those that are on their way now.
  bool more() const {
    pollfd ready{fd_, POLLIN, 0};
    return ::poll(&ready, 1, 0) > 0;
  }
  void let(const std::string& ip) {
    const auto found = held_.find(ip);
    REQUIRE(found != held_.end());
    ::close(found->second);
    held_.erase(found);
  }

 private:
  static sockaddr_in end_of(int fd) {
    sockaddr_in end{};
    socklen_t size = sizeof end;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&end), &size);
    return end;
  }
  int fd_ = -1;
  std::map<std::string, int> held_;
};

// A forecaster at work, asked through its board.
class Office {
 public:
  Office() : board_([this](const proxy::OutlookQuestion& question) { submit(question); }) {
    forecaster_ = std::make_unique<proxy::Forecaster>(*world.worker, board_);
    guard_.emplace(asio::make_work_guard(world.worker->io()));
    thread_ = std::thread([this] { world.worker->run(); });
  }
  ~Office() {
    board_.close();
    guard_.reset();
    world.worker->io().stop();
    thread_.join();
    world.worker.reset();
  }
  Office(const Office&) = delete;
  Office& operator=(const Office&) = delete;

  // A domain of its own for each address, before anything is asked.
  std::string add(int number) {
    const std::string domain = "d" + std::to_string(number) + ".example";
    world.resolver.add(domain, ip(number));
    return domain;
  }
  static std::string ip(int number) {
    return "127.2." + std::to_string(number / 200) + "." + std::to_string(1 + number % 200);
  }
  // Return once the handshake is under way or stands in the queue, or will not be.
  void ask(const std::string& domain) {
    const auto outlook = board_.ask(name(domain), now() + 15s);
    REQUIRE(outlook.reason == unseen(domain));
  }
  void ask(const std::string& domain, Require require) {
    board_.prepare(name(domain), require);
    const auto said = [&] { return board_.settle(name(domain), require, now() - 1s).reason; };
    for (int i = 0; i < 15000 && said() != unseen(domain); ++i) std::this_thread::sleep_for(1ms);
    REQUIRE(said() == unseen(domain));
  }
  // Past the board, which would not ask again so soon.
  void repeat(const std::string& domain, std::optional<Require> require) {
    submit(proxy::OutlookQuestion{name(domain), require, 0});
  }

  Silent silent;
  World world{silent.port()};

 private:
  static std::string unseen(const std::string& domain) {
    return "no session with mx." + domain + " was seen lately";
  }
  void submit(const proxy::OutlookQuestion& question) {
    asio::post(world.worker->io(), [this, question] { forecaster_->answer(question); });
  }
  proxy::OutlookBoard board_;
  std::unique_ptr<proxy::Forecaster> forecaster_;
  std::optional<Guard> guard_;
  std::thread thread_;
};

constexpr int at_once = 16;
constexpr int waiting = 1000;

// All that may run at once, each at a host that says nothing.
void occupy(Office& office) {
  for (int i = 0; i < at_once; ++i) {
    office.ask("d" + std::to_string(i) + ".example");
    REQUIRE(office.silent.next() == Office::ip(i));
  }
}

}  // namespace

TEST_CASE("a probe makes twenty connections at most, and notes no host that it did not finish") {
  WithoutTls mx;
  World world(mx.port());
  const auto plans = plans_of(world, 3, 9);
  CHECK(probed(world, plans) == proxy::Probed::failing);
  CHECK(mx.connections() == 20);
  CHECK(was_seen(world, *plans, 0));
  CHECK(was_seen(world, *plans, 1));
  CHECK_FALSE(was_seen(world, *plans, 2));  // the seven that are left may be fine
}

TEST_CASE("a probe asks ten hosts at most, in their order") {
  WithoutTls mx;
  World world(mx.port());
  const auto plans = plans_of(world, 12, 1);
  CHECK(probed(world, plans) == proxy::Probed::failing);
  CHECK(mx.connections() == 10);
  CHECK(was_seen(world, *plans, 9));
  CHECK_FALSE(was_seen(world, *plans, 10));
}

TEST_CASE("where no connection to an address is free, nothing is noted of its host") {
  WithoutTls mx;
  World world(mx.port());
  const auto plans = plans_of(world, 1, 2);
  const auto limit = plans->snapshot->config->outbound.max_connections_per_mx;
  std::vector<proxy::MxSlots::Slot> taken;
  while (auto slot = world.slots.take(plan_test::ip("127.1.0.2"), limit)) {
    taken.push_back(std::move(*slot));
  }
  CHECK(probed(world, plans) == proxy::Probed::failing);
  CHECK(mx.connections() == 1);
  CHECK_FALSE(was_seen(world, *plans, 0));
  taken.clear();
  CHECK(probed(world, plans) == proxy::Probed::failing);
  CHECK(was_seen(world, *plans, 0));
}

TEST_CASE("sixteen probes run at once; of those that wait what a rule asks is next") {
  Office office;
  for (int i = 0; i < at_once + 4; ++i) office.add(i);
  occupy(office);
  office.ask("d16.example");
  office.ask("d17.example");
  office.ask("d18.example", Require::verified);
  office.ask("d19.example");
  CHECK_FALSE(office.silent.more());
  int ended = 0;
  for (const int number : {18, 16, 17, 19}) {
    office.silent.let(Office::ip(ended++));
    CHECK(office.silent.next() == Office::ip(number));
    CHECK_FALSE(office.silent.more());
  }
}

TEST_CASE("one question has one probe, however often it is asked") {
  Office office;
  for (int i = 0; i < at_once + 2; ++i) office.add(i);
  occupy(office);
  office.ask("d16.example", Require::encrypted);
  office.repeat("d16.example", Require::encrypted);
  office.repeat("d0.example", std::nullopt);
  office.ask("d17.example");
  office.silent.let(Office::ip(1));
  CHECK(office.silent.next() == Office::ip(16));
  office.silent.let(Office::ip(2));
  CHECK(office.silent.next() == Office::ip(17));
}

TEST_CASE("a queue full of what no rule asks has room for what one does") {
  Office office;
  for (int i = 0; i < at_once + waiting + 2; ++i) office.add(i);
  occupy(office);
  for (int i = 0; i < waiting + 1; ++i) {
    office.ask("d" + std::to_string(at_once + i) + ".example");
  }
  const int ruled = at_once + waiting + 1;
  office.ask("d" + std::to_string(ruled) + ".example", Require::verified);
  office.silent.let(Office::ip(0));
  CHECK(office.silent.next() == Office::ip(ruled));
  office.silent.let(Office::ip(1));
  CHECK(office.silent.next() == Office::ip(at_once));
}
