#include "dns/unbound_resolver.h"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <future>

#include "dns/decode.h"
#include "tests/unit/dns/internet.h"

namespace {

using namespace std::chrono_literals;
using dns::Existence;
using dns::LookupError;
using dns::Security;
using dns::Type;
using Kind = LookupError::Kind;

const dnstest::Internet& internet() {
  static const dnstest::Internet one;
  return one;
}

dns::UnboundOptions options() {
  dns::UnboundOptions chosen;
  chosen.trust_anchor_file = internet().anchor();
  chosen.unbound_config = internet().config();
  return chosen;
}

// A resolver with its home loop in a thread of its own.
class Home {
 public:
  explicit Home(const dns::UnboundOptions& chosen = options()) {
    auto made = dns::UnboundResolver::create(loop_, chosen);
    INFO((made ? "" : made.error().text));
    REQUIRE(made.has_value());
    resolver_ = std::move(*made);
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Home() {
    drop();
    work_.reset();
    thread_.join();
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  dns::UnboundResolver& resolver() { return *resolver_; }
  dns::RawLookup ask(const std::string& name, Type type) {
    std::promise<dns::RawLookup> told;
    auto answer = told.get_future();
    resolver_->lookup(name, type, [&](dns::RawLookup lookup) { told.set_value(lookup); });
    return answer.get();
  }
  dns::ValidationReport validation() {
    std::promise<dns::ValidationReport> told;
    auto answer = told.get_future();
    resolver_->check_validation([&](dns::ValidationReport report) { told.set_value(report); });
    return answer.get();
  }
  // Destroys the resolver on its home loop.
  void drop() {
    std::promise<void> gone;
    boost::asio::post(loop_, [&] {
      resolver_.reset();
      gone.set_value();
    });
    gone.get_future().get();
  }

 private:
  boost::asio::io_context loop_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      loop_.get_executor()};
  std::unique_ptr<dns::UnboundResolver> resolver_;
  std::thread thread_;
};

struct Want {
  const char* name;
  Type type;
  Security security;
  Existence existence;
  const char* canonical = nullptr;  // where it is not the name asked for
};

void expect(Home& home, const Want& want) {
  const auto lookup = home.ask(want.name, want.type);
  CAPTURE(want.name);
  INFO((lookup ? "" : lookup.error().text));
  REQUIRE(lookup.has_value());
  CHECK(lookup->security == want.security);
  CHECK(lookup->existence == want.existence);
  CHECK(lookup->records.empty() == (want.existence != Existence::data));
  CHECK(lookup->via_cname == (want.canonical != nullptr));
  CHECK(lookup->canonical_name == (want.canonical ? want.canonical : want.name));
}

void expect_error(Home& home, const char* name, Kind kind) {
  const auto lookup = home.ask(name, Type::A);
  CAPTURE(name);
  REQUIRE_FALSE(lookup.has_value());
  INFO(lookup.error().text);
  CHECK(lookup.error().kind == kind);
  CHECK(lookup.error().text.starts_with(std::string("A ") + name + ": "));
}

std::string failure(const dns::UnboundOptions& chosen) {
  boost::asio::io_context loop;
  auto made = dns::UnboundResolver::create(loop, chosen);
  REQUIRE_FALSE(made.has_value());
  return made.error().text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("RFC 4035 §4.3: secure, insecure and bogus answers are told apart") {
  Home home;
  expect(home, {"mx.secure", Type::A, Security::secure, Existence::data});
  expect(home, {"mx.secure", Type::AAAA, Security::secure, Existence::data});
  expect(home, {"_25._tcp.mx.secure", Type::TLSA, Security::secure, Existence::data});
  expect(home, {"www.nsec3", Type::A, Security::secure, Existence::data});
  expect(home, {"www.insecure", Type::A, Security::insecure, Existence::data});
  expect_error(home, "www.bogus", Kind::bogus);
  expect_error(home, "www.expired", Kind::bogus);
  expect_error(home, "toobogus.secure", Kind::bogus);  // RFC 7672 §2.1.3: any link
  expect_error(home, "www.refused", Kind::servfail);
}

TEST_CASE("proven absence is an answer: NODATA and NXDOMAIN, secure and insecure") {
  Home home;
  expect(home, {"mx.secure", Type::MX, Security::secure, Existence::nodata});
  expect(home, {"nothing.secure", Type::A, Security::secure, Existence::nxdomain});
  expect(home, {"nothing.nsec3", Type::A, Security::secure, Existence::nxdomain});
  expect(home, {"www.nsec3", Type::TLSA, Security::secure, Existence::nodata});
  expect(home, {"www.insecure", Type::AAAA, Security::insecure, Existence::nodata});
  expect(home, {"nothing.insecure", Type::A, Security::insecure, Existence::nxdomain});
}

TEST_CASE("RFC 7672 §2.1.3: one insecure link makes a CNAME chain insecure") {
  Home home;
  expect(home, {"alias.secure", Type::A, Security::secure, Existence::data, "mx.secure"});
  expect(home, {"alias2.secure", Type::A, Security::secure, Existence::data, "mx.secure"});
  expect(home, {"out.secure", Type::A, Security::insecure, Existence::data, "www.insecure"});
  expect(home, {"back.insecure", Type::A, Security::insecure, Existence::data, "mx.secure"});
  // A DNAME is seen as the CNAME made of it.
  expect(home, {"www.old.secure", Type::A, Security::secure, Existence::data, "www.nsec3"});
  expect_error(home, "loop1.secure", Kind::servfail);
  // The initial link by itself.
  expect(home, {"out.secure", Type::CNAME, Security::secure, Existence::data});
  expect(home, {"back.insecure", Type::CNAME, Security::insecure, Existence::data});
  expect(home, {"mx.secure", Type::CNAME, Security::secure, Existence::nodata});
  // An absence at the end of a chain.
  expect(home, {"gone.secure", Type::A, Security::secure, Existence::nxdomain, "nothing.secure"});
  expect(home, {"mute.secure", Type::AAAA, Security::secure, Existence::nodata, "v4.secure"});
}

TEST_CASE("records arrive whole, names in lower case, whatever the case asked in") {
  Home home;
  const auto mx = dns::decode_all<dns::Mx>(home.ask("SECURE", Type::MX), dns::decode_mx);
  REQUIRE(mx.has_value());
  REQUIRE(mx->records.size() == 2);
  for (const dns::Mx& one : mx->records) {
    CHECK(one.exchange == (one.preference == 10 ? "mx.secure" : "mx2.secure"));
  }
  CHECK(mx->canonical_name == "secure");
  CHECK_FALSE(mx->via_cname);
  const auto txt =
      dns::decode_all<std::string>(home.ask("_mta-sts.secure", Type::TXT), dns::decode_txt);
  REQUIRE(txt.has_value());
  CHECK(txt->records == std::vector<std::string>{"v=STSv1; id=1;"});
}

TEST_CASE("an error says what was asked and, where it is bogus, why") {
  Home home;
  const auto expired = home.ask("www.expired", Type::A);
  REQUIRE_FALSE(expired.has_value());
  CHECK(has(expired.error().text, "expired"));
  const auto forged = home.ask("www.bogus", Type::A);
  REQUIRE_FALSE(forged.has_value());
  INFO(forged.error().text);
  CHECK(has(forged.error().text, "www.bogus"));
  CHECK(has(forged.error().text, "signature"));
}

TEST_CASE("a name that cannot be asked for is an error") {
  Home home;
  for (const std::string& name : {std::string(64, 'a') + ".secure", std::string("a..secure")}) {
    const auto lookup = home.ask(name, Type::A);
    CAPTURE(name);
    REQUIRE_FALSE(lookup.has_value());
    CHECK(lookup.error().kind == Kind::internal);
  }
}

TEST_CASE("an answer too large for a datagram comes over TCP") {
  Home home;
  const auto lookup = home.ask("_25._tcp.many.secure", Type::TLSA);
  REQUIRE(lookup.has_value());
  CHECK(lookup->records.size() == 60);
  CHECK(lookup->security == Security::secure);
}

TEST_CASE("the TTL is the shortest of the chain, and never over what was published") {
  Home home;
  const auto direct = home.ask("mx.secure", Type::A);
  REQUIRE(direct.has_value());
  CHECK(direct->ttl > 3000s);
  CHECK(direct->ttl <= 3600s);
  const auto alias = home.ask("alias.secure", Type::A);
  REQUIRE(alias.has_value());
  CHECK(alias->ttl <= 7s);
  const auto absent = home.ask("nothing.secure", Type::A);
  REQUIRE(absent.has_value());
  CHECK(absent->ttl <= 300s);
}

TEST_CASE("a server that never answers ends in a time-out, and the resolver goes on") {
  dns::UnboundOptions chosen = options();
  chosen.timeout = 400ms;
  Home home(chosen);
  expect_error(home, "www.drop", Kind::timeout);
  expect_error(home, "www.drop", Kind::timeout);
  expect(home, {"mx.secure", Type::A, Security::secure, Existence::data});
}

TEST_CASE("look-ups in flight when the resolver goes are cancelled, each told once") {
  Home home;
  constexpr int names = 20;
  std::atomic<int> cancelled = 0;
  std::atomic<int> told = 0;
  for (int i = 0; i < 2 * names; ++i) {
    // Every name twice: those that share a question are told as well.
    home.resolver().lookup("n" + std::to_string(i % names) + ".drop", Type::A,
                           [&](const dns::RawLookup& lookup) {
                             ++told;
                             if (!lookup && lookup.error().kind == Kind::internal) ++cancelled;
                           });
  }
  home.drop();
  CHECK(told == 2 * names);
  CHECK(cancelled == 2 * names);
}

TEST_CASE("more questions in flight than the bound are refused, the same question is not") {
  dns::UnboundOptions chosen = options();
  chosen.max_in_flight = 2;
  Home home(chosen);
  std::vector<std::promise<dns::RawLookup>> told(2);
  std::atomic<int> waiting = 0;
  for (const char* name : {"a.drop", "b.drop", "a.drop", "B.drop"}) {
    home.resolver().lookup(name, Type::A, [&](const dns::RawLookup&) { ++waiting; });
  }
  const auto refused = home.ask("c.drop", Type::A);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == Kind::internal);
  CHECK(has(refused.error().text, "too many"));
  CHECK(waiting == 0);
  home.drop();
  CHECK(waiting == 4);
}

TEST_CASE("look-ups from several threads at once are each answered once") {
  Home home;
  std::atomic<int> good = 0;
  std::atomic<int> left = 200;
  std::promise<void> all;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const char* name = (i + t) % 2 ? "mx.secure" : "www.insecure";
        home.resolver().lookup(name, Type::A, [&](const dns::RawLookup& lookup) {
          if (lookup && !lookup->records.empty()) ++good;
          if (--left == 0) all.set_value();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  all.get_future().get();
  CHECK(good == 200);
}

TEST_CASE("whoever is told may destroy the resolver") {
  boost::asio::io_context loop;
  auto made = dns::UnboundResolver::create(loop, options());
  REQUIRE(made.has_value());
  std::unique_ptr<dns::UnboundResolver> resolver = std::move(*made);
  int told = 0;
  for (int i = 0; i < 2; ++i) {
    resolver->lookup("mx.secure", Type::A, [&](const dns::RawLookup&) {
      ++told;
      resolver.reset();
    });
  }
  loop.run();
  CHECK(told == 2);
}

TEST_CASE("a loop that ends without running leaves nobody waiting") {
  int told = 0;
  {
    boost::asio::io_context loop;
    auto made = dns::UnboundResolver::create(loop, options());
    REQUIRE(made.has_value());
    (*made)->lookup("mx.secure", Type::A, [&](const dns::RawLookup& lookup) {
      ++told;
      CHECK_FALSE(lookup.has_value());
    });
    made->reset();
  }
  CHECK(told == 1);
}

TEST_CASE("RFC 7672 §2.1.1: whether the resolver validates is found out, not assumed") {
  using dns::Validation;
  CHECK(Home().validation().state == Validation::validates);
  dns::UnboundOptions wrong = options();
  wrong.trust_anchor_file = internet().wrong_anchor();
  CHECK(Home(wrong).validation().state == Validation::does_not_validate);
  dns::UnboundOptions none = options();
  none.trust_anchor_file.clear();
  CHECK(Home(none).validation().state == Validation::does_not_validate);
  dns::UnboundOptions dead = options();
  dead.unbound_config.clear();
  dead.forwarders = {"127.0.0.1@9"};
  dead.timeout = 2s;
  const auto report = Home(dead).validation();
  INFO(report.text);
  CHECK(report.state == Validation::unknown);
}

TEST_CASE("a forwarder on loopback with a port is asked") {
  dns::UnboundOptions chosen;
  chosen.trust_anchor_file = internet().anchor();
  chosen.forwarders = {internet().forwarder()};
  Home home(chosen);
  CHECK(home.validation().state == dns::Validation::validates);
}

TEST_CASE("mistakes in the configuration are errors at start that name what is wrong") {
  const auto with = [](auto change) {
    dns::UnboundOptions chosen = options();
    change(chosen);
    return failure(chosen);
  };
  const auto& net = internet();
  CHECK(has(with([](auto& o) { o.trust_anchor_file = "/nowhere/root.key"; }),
            "trust_anchor_file: cannot read /nowhere/root.key"));
  CHECK(has(with([](auto& o) { o.trust_anchor_file = "/"; }), "is a directory"));
  net.write("empty", "");
  CHECK(has(with([&](auto& o) { o.trust_anchor_file = net.path("empty"); }), "is empty"));
  net.write("garbage", "this is no trust anchor\n");
  CHECK(has(with([&](auto& o) { o.trust_anchor_file = net.path("garbage"); }),
            net.path("garbage")));
  CHECK(has(with([](auto& o) { o.unbound_config = "/nowhere/unbound.conf"; }),
            "unbound_config: cannot read /nowhere/unbound.conf"));
  net.write("bad.conf", "server:\n  no-such-option: yes\n");
  CHECK(has(with([&](auto& o) { o.unbound_config = net.path("bad.conf"); }),
            net.path("bad.conf")));
  net.write("permissive.conf", "server:\n  val-permissive-mode: yes\n");
  CHECK(has(with([&](auto& o) { o.unbound_config = net.path("permissive.conf"); }),
            "val-permissive-mode turns validation off"));
  net.write("iterator.conf", "server:\n  module-config: \"iterator\"\n");
  CHECK(has(with([&](auto& o) { o.unbound_config = net.path("iterator.conf"); }),
            "without the validator"));
  for (const char* forwarder : {"", "dns.example", "192.0.2.1@", "192.0.2.1@0", "192.0.2.1@65536",
                                "192.0.2.1@5x", "@53"}) {
    CAPTURE(forwarder);
    CHECK(has(with([&](auto& o) { o.forwarders = {forwarder}; }), "forwarders: "));
  }
}

TEST_CASE("trust anchors are read as DNSKEY too, and as Debian's root.key") {
  dns::UnboundOptions chosen = options();
  chosen.trust_anchor_file = internet().path("root.key");
  CHECK(Home(chosen).validation().state == dns::Validation::validates);
  chosen.trust_anchor_file = "/usr/share/dns/root.key";  // another root than the one served here
  CHECK(Home(chosen).validation().state == dns::Validation::does_not_validate);
}
