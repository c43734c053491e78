#include "proxy/gather.h"

#include <catch2/catch.hpp>
#include <map>

#include "proxy/worker.h"
#include "tests/unit/proxy/run.h"

namespace asio = boost::asio;
using dns::Existence;
using dns::LookupError;
using dns::RawAnswer;
using dns::RawLookup;
using dns::Security;
using dns::Type;
using namespace std::chrono_literals;

namespace {

std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    wire += static_cast<char>(dot);
    wire += name.substr(0, dot);
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return wire + '\0';
}
std::string wire_mx(char preference, std::string_view name) {
  return std::string{'\0', preference} + wire_name(name);
}
const std::string wire_a{"\xC0\x00\x02\x01", 4};  // 192.0.2.1
const std::string wire_tlsa = std::string("\x03\x01\x01", 3) + std::string(32, 'k');

// The DNS as plain data; remembers what was asked, in order.
class PlainResolver : public dns::Resolver {
 public:
  std::map<std::pair<std::string, Type>, RawLookup> data;
  std::vector<std::string> asked;
  std::vector<std::function<void()>> held;
  bool hold = false;

  void add(const std::string& name, Type type, std::vector<std::string> records,
           Security security = Security::secure, std::chrono::seconds ttl = 300s,
           const std::string& canonical = {}) {
    RawAnswer answer;
    answer.existence = records.empty() ? Existence::nodata : Existence::data;
    answer.security = security;
    answer.records = std::move(records);
    answer.canonical_name = canonical.empty() ? name : canonical;
    answer.via_cname = !canonical.empty();
    answer.ttl = ttl;
    data.insert_or_assign({name, type}, RawLookup(answer));
  }
  void fail(const std::string& name, Type type, LookupError::Kind kind) {
    LookupError error{kind, name + " failed"};
    data.insert_or_assign({name, type}, RawLookup(base::fail(error)));
  }
  void lookup(const std::string& name, Type type,
              std::function<void(RawLookup)> done) override {
    asked.push_back(std::string(dns::to_string(type)) + " " + name);
    const auto found = data.find({name, type});
    RawAnswer none;
    none.security = Security::secure;
    none.canonical_name = name;
    none.ttl = 300s;
    RawLookup answer = found == data.end() ? RawLookup(none) : found->second;
    if (hold) {
      held.push_back([answer, done] { done(answer); });
    } else {
      done(answer);
    }
  }
};

struct World {
  asio::io_context io{1};
  PlainResolver resolver;
  proxy::Shared shared;
  std::unique_ptr<proxy::Gather> gather;
  World() {
    shared.resolver = &resolver;
    gather = std::make_unique<proxy::Gather>(shared, io.get_executor());
  }
  static proxy::SteadyTime soon() { return std::chrono::steady_clock::now() + 5s; }
  proxy::Gather::HostQuery query(const char* host, Security mx = Security::secure) {
    const auto domain = *base::Domain::parse("example.com");
    dane::HostOrigin origin{domain, std::nullopt, true, mx};
    return {*base::Domain::parse(host), origin, 25, config::IpPreference::Ipv4Only, true, false};
  }
  std::shared_ptr<const proxy::MxFacts> mx(const char* name) {
    std::shared_ptr<const proxy::MxFacts> facts;
    run_to_end(io, ask_mx(*gather, *base::Domain::parse(name), facts));
    return facts;
  }
  std::shared_ptr<const policy::HostFacts> host(const proxy::Gather::HostQuery& what) {
    std::shared_ptr<const policy::HostFacts> facts;
    run_to_end(io, ask_host(*gather, what, facts));
    return facts;
  }
  static asio::awaitable<void> ask_mx(proxy::Gather& gather, base::Domain domain,
                                      std::shared_ptr<const proxy::MxFacts>& facts) {
    facts = co_await gather.mx(domain, false, soon());
  }
  static asio::awaitable<void> ask_host(proxy::Gather& gather, proxy::Gather::HostQuery what,
                                        std::shared_ptr<const policy::HostFacts>& facts) {
    facts = co_await gather.host(what, soon());
  }
};

}  // namespace

TEST_CASE("RFC 5321 §5.1: MX hosts come in the order of their preference, each once") {
  World world;
  world.resolver.add("example.com", Type::MX,
                     {wire_mx(20, "b.example"), wire_mx(10, "a.example"),
                      wire_mx(30, "a.example"), wire_mx(5, "")});
  const auto facts = world.mx("example.com");
  const auto* list = std::get_if<policy::MxList>(&facts->mx);
  REQUIRE(list);
  REQUIRE(list->hosts.size() == 2);
  CHECK(list->hosts[0].host.str() == "a.example");
  CHECK(list->hosts[1].host.str() == "b.example");
  CHECK(facts->security == Security::secure);
  CHECK(list->dropped.size() == 1);  // the "." beside others
}

TEST_CASE("RFC 7505 §3: one MX that is the root is a null MX; NODATA is an implicit MX") {
  World world;
  world.resolver.add("null.example", Type::MX, {wire_mx(0, "")});
  world.resolver.add("odd.example", Type::MX, {wire_mx(10, "")});
  CHECK(std::holds_alternative<policy::NullMx>(world.mx("null.example")->mx));
  CHECK(std::holds_alternative<policy::NullMx>(world.mx("odd.example")->mx));
  CHECK(std::holds_alternative<policy::ImplicitMx>(world.mx("none.example")->mx));
}

TEST_CASE("RFC 7672 §2.1.2: an error of the MX look-up is an error, never an absence") {
  World world;
  world.resolver.fail("bogus.example", Type::MX, LookupError::Kind::bogus);
  world.resolver.fail("slow.example", Type::MX, LookupError::Kind::timeout);
  world.resolver.add("torn.example", Type::MX, {std::string("\0\x0A\x05" "ab", 5)});
  const auto bogus = world.mx("bogus.example");
  REQUIRE(std::holds_alternative<policy::MxFailed>(bogus->mx));
  CHECK(std::get<policy::MxFailed>(bogus->mx).bogus);
  CHECK_FALSE(std::get<policy::MxFailed>(world.mx("slow.example")->mx).bogus);
  CHECK(std::holds_alternative<policy::MxFailed>(world.mx("torn.example")->mx));
}

TEST_CASE("RFC 7672 §2.2.2: addresses are asked before TLSA, and no TLSA in an unsigned zone") {
  World world;
  world.resolver.add("mx.example.com", Type::A, {wire_a});
  world.resolver.add("_25._tcp.mx.example.com", Type::TLSA, {wire_tlsa});
  const auto secure = world.host(world.query("mx.example.com"));
  CHECK(std::holds_alternative<dane::Usable>(secure->dane));
  REQUIRE(secure->addresses.size() == 1);
  CHECK(secure->addresses[0].str() == "192.0.2.1");
  CHECK(world.resolver.asked ==
        std::vector<std::string>{"A mx.example.com", "TLSA _25._tcp.mx.example.com"});

  World other;
  other.resolver.add("mx.example.com", Type::A, {wire_a}, Security::insecure);
  const auto insecure = other.host(other.query("mx.example.com"));
  CHECK(std::holds_alternative<dane::NotApplicable>(insecure->dane));
  CHECK(other.resolver.asked == std::vector<std::string>{"A mx.example.com"});
}

TEST_CASE("RFC 7672 §2.1.3: behind an insecure chain the first link is asked for by itself") {
  World world;
  world.resolver.add("mx.example.com", Type::A, {wire_a}, Security::insecure, 300s, "far.example");
  world.resolver.add("mx.example.com", Type::CNAME, {wire_name("far.example")});
  world.resolver.add("_25._tcp.mx.example.com", Type::TLSA, {wire_tlsa});
  const auto facts = world.host(world.query("mx.example.com"));
  REQUIRE(std::holds_alternative<dane::Usable>(facts->dane));
  CHECK(std::get<dane::Usable>(facts->dane).base.str() == "mx.example.com");
}

TEST_CASE("a failed TLSA look-up is a failure; a proven absence of addresses is told") {
  World world;
  world.resolver.add("mx.example.com", Type::A, {wire_a});
  world.resolver.fail("_25._tcp.mx.example.com", Type::TLSA, LookupError::Kind::servfail);
  CHECK(std::holds_alternative<dane::LookupFailed>(
      world.host(world.query("mx.example.com"))->dane));
  CHECK(world.host(world.query("void.example.com"))->no_address_proven);
}

TEST_CASE("answers are kept for their TTL, failures for a while; 0 is not kept") {
  World world;
  world.resolver.add("kept.example", Type::MX, {wire_mx(10, "a.example")});
  world.mx("kept.example");
  world.mx("kept.example");
  CHECK(world.resolver.asked.size() == 1);
  world.resolver.add("zero.example", Type::MX, {wire_mx(10, "a.example")}, Security::secure, 0s);
  world.mx("zero.example");
  world.mx("zero.example");
  CHECK(world.resolver.asked.size() == 3);
  world.gather->clear();
  world.mx("kept.example");
  CHECK(world.resolver.asked.size() == 4);
}

TEST_CASE("what is known is told at once, and nothing is begun for what is not") {
  World world;
  const auto name = *base::Domain::parse("kept.example");
  world.resolver.add("kept.example", Type::MX, {wire_mx(10, "a.example")});
  CHECK(world.gather->known_mx(name, false) == nullptr);
  CHECK(world.resolver.asked.empty());
  const auto facts = world.mx("kept.example");
  CHECK(world.gather->known_mx(name, false) == facts);
  CHECK(world.gather->known_mx(name, true) == nullptr);  // another question
  world.resolver.add("zero.example", Type::MX, {wire_mx(10, "a.example")}, Security::secure, 0s);
  world.mx("zero.example");
  CHECK(world.gather->known_mx(*base::Domain::parse("zero.example"), false) == nullptr);
  world.resolver.hold = true;
  world.gather->prefetch_mx(*base::Domain::parse("asked.example"), false);
  world.io.restart();
  world.io.poll();
  CHECK(world.gather->known_mx(*base::Domain::parse("asked.example"), false) == nullptr);
  world.gather->clear();
  CHECK(world.gather->known_mx(name, false) == nullptr);
}

TEST_CASE("two requests for one name cause one look-up") {
  World world;
  world.resolver.add("example.com", Type::MX, {wire_mx(10, "a.example")});
  world.resolver.hold = true;
  std::shared_ptr<const proxy::MxFacts> one, two;
  const auto name = *base::Domain::parse("example.com");
  asio::co_spawn(world.io, World::ask_mx(*world.gather, name, one), [](std::exception_ptr) {});
  asio::co_spawn(world.io, World::ask_mx(*world.gather, name, two), [](std::exception_ptr) {});
  world.io.poll();
  REQUIRE(world.resolver.held.size() == 1);
  world.resolver.held.front()();
  world.io.run_for(1s);
  REQUIRE(one);
  CHECK(one == two);
  CHECK(world.resolver.asked.size() == 1);
}

TEST_CASE("a reload between the answer and its reader takes nothing from the reader") {
  World world;
  world.resolver.add("example.com", Type::MX, {wire_mx(10, "a.example")});
  world.resolver.hold = true;
  std::shared_ptr<const proxy::MxFacts> facts;
  const auto name = *base::Domain::parse("example.com");
  asio::co_spawn(world.io, World::ask_mx(*world.gather, name, facts), [](std::exception_ptr) {});
  world.io.poll();
  REQUIRE(world.resolver.held.size() == 1);
  world.resolver.held.front()();
  while (!facts && world.io.run_one_for(1s) > 0) world.gather->clear();
  CHECK(facts);
}
