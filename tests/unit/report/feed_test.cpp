// Feed: which sessions go to a collector, in which words, by how many look-ups; and what is lost
// where there are too many.
#include "report/feed.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>

#include "tests/unit/report/support.h"

using namespace report_test;

namespace {

constexpr std::size_t look_ups_at_once = 64;
constexpr std::size_t sessions_most = 20000;
const std::string record = "v=TLSRPTv1; rua=mailto:tls@rua.example";

// What a collector gets.
class Collected {
 public:
  Collected() {
    REQUIRE(::mkdtemp(folder_.data()) != nullptr);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  ~Collected() {
    ::close(socket_);
    std::filesystem::remove_all(folder_);
  }
  Collected(const Collected&) = delete;
  Collected& operator=(const Collected&) = delete;
  std::string path() const { return folder_ + "/collectd.sock"; }
  // The next, or null.
  json next() {
    std::string text(1 << 16, '\0');
    const ssize_t size = ::recv(socket_, text.data(), text.size(), 0);
    if (size < 0) return nullptr;
    return json::parse(text.substr(0, static_cast<std::size_t>(size)));
  }

 private:
  std::string folder_ = (std::filesystem::temp_directory_path() / "sternpost-feed-XXXXXX").string();
  int socket_ = -1;
};

struct Office {
  Collected collected;
  sts_test::TableResolver dns;
  std::map<std::string, tlsrpt::Policy> policies;
  bool unreadable = false;
  boost::asio::io_context io{1};
  std::unique_ptr<report::Collector> collector;
  std::unique_ptr<report::Feed> feed;

  Office() {
    auto made = report::Collector::make(collected.path());
    REQUIRE(made.has_value());
    collector = std::move(*made);
    const auto strings = [this](const std::string& digest) -> std::optional<tlsrpt::Policy> {
      if (unreadable) throw std::runtime_error("the disk is gone");
      const auto found = policies.find(digest);
      return found == policies.end() ? std::nullopt : std::optional(found->second);
    };
    feed = std::make_unique<report::Feed>(io.get_executor(), dns, strings, *collector);
  }
  void asks(const std::string& domain) { dns.txt(owner(domain), record, 300s); }
  static std::string owner(const std::string& domain) { return "_smtp._tls." + domain; }
  void take(std::vector<audit::CountedSession> sessions) {
    feed->take(std::move(sessions));
    settle();
  }
  void settle() {
    io.restart();
    while (io.poll() > 0) {
    }
  }
};

audit::CountedSession counted(const std::string& domain,
                              const std::vector<tlsrpt::SessionResult>& results) {
  audit::CountedSession session;
  session.domain = domain;
  session.mx = "mx." + domain;
  session.helo = "helo." + domain;
  session.ip = "192.0.2.1";
  session.source_ip = "192.0.2.2";
  for (const auto& one : results) session.results.push_back(audit::policy_result(one));
  return session;
}
audit::CountedSession counted(const std::string& domain) {
  return counted(domain, {result(sts_policy(domain))});
}

}  // namespace

TEST_CASE("feed: a session goes with the domain's record and each policy's result") {
  Office office;
  office.asks("recv.example");
  const tlsrpt::Policy policy = sts_policy("recv.example");
  office.policies[tlsrpt::policy_digest(policy)] = policy;
  tlsrpt::Policy tlsa;
  tlsa.type = PolicyType::tlsa;
  tlsa.domain = "mx.recv.example";
  office.take({counted("recv.example", {result(policy, {expired()}), result(tlsa)})});
  const json one = office.collected.next();
  CHECK(one["d"] == "recv.example");
  CHECK(one["pr"] == record);
  REQUIRE(one["policies"].size() == 2);
  const json& sts = one["policies"][0];
  CHECK(sts["policy-type"] == 2);
  CHECK(sts["policy-domain"] == "recv.example");
  CHECK(sts["policy-string"] == policy.strings);
  CHECK(sts["mx-host"] == policy.mx_hosts);
  CHECK(sts["f"] == 1);
  REQUIRE(sts["failure-details"].size() == 1);
  CHECK(sts["failure-details"][0]["c"] == 204);
  CHECK(sts["failure-details"][0]["s"] == "192.0.2.2");
  CHECK(sts["failure-details"][0]["n"] == "mx.recv.example");
  CHECK(sts["failure-details"][0]["h"] == "helo.recv.example");
  CHECK(sts["failure-details"][0]["r"] == "192.0.2.1");
  // The strings of this one are not known any more.
  const json& dane = one["policies"][1];
  CHECK(dane["policy-type"] == 1);
  CHECK(dane["policy-domain"] == "mx.recv.example");
  CHECK_FALSE(dane.contains("policy-string"));
  CHECK(dane["f"] == 0);
  CHECK(office.collected.next() == nullptr);
  CHECK(office.feed->lost() == 0);
}

TEST_CASE("RFC 8461 §6: feed: a failed fetch names no MX, and fails a session without a policy") {
  Office office;
  office.asks("recv.example");
  const FailureDetail fetch{ResultType::sts_policy_fetch_error, "HTTP 503"};
  const tlsrpt::Policy cached = sts_policy("recv.example");
  office.policies[tlsrpt::policy_digest(cached)] = cached;
  tlsrpt::Policy none;
  none.type = PolicyType::sts;
  none.domain = "recv.example";
  office.take({counted("recv.example", {result(cached, {fetch})}),
               counted("recv.example", {result(none, {fetch})})});
  const json with = office.collected.next();
  CHECK(with["policies"][0]["f"] == 0);  // the cached policy was applied
  const json& detail = with["policies"][0]["failure-details"][0];
  CHECK(detail["c"] == 301);
  for (const char* const key : {"s", "n", "h", "r"}) CHECK_FALSE(detail.contains(key));
  CHECK(office.collected.next()["policies"][0]["f"] == 1);
}

TEST_CASE("feed: nothing goes for a domain that asks for no report, or whose look-up fails") {
  Office office;
  office.dns.txt(Office::owner("other.example"), "v=spf1 -all", 300s);
  office.dns.fails(Office::owner("broken.example"), dns::Type::TXT,
                   dns::LookupError::Kind::servfail);
  const std::string longest = std::string(60, 'a') + "." + std::string(60, 'b') + "." +
                              std::string(60, 'c') + "." + std::string(60, 'd') + ".example";
  office.take({counted("silent.example"), counted("other.example"), counted("broken.example"),
               counted(longest)});
  CHECK(office.collected.next() == nullptr);
  CHECK(office.dns.asked(Office::owner(longest)) == 0);
  CHECK(office.feed->lost() == 0);
}

TEST_CASE("feed: who waits for one look-up goes in order, and those behind it by its answer") {
  Office office;
  office.asks("recv.example");
  office.dns.hold(Office::owner("recv.example"));
  std::vector<audit::CountedSession> sessions(3, counted("recv.example"));
  for (std::size_t i = 0; i < 3; ++i) {
    sessions[i].results[0].policy_domain = "p" + std::to_string(i) + ".example";
    sessions[i].results[0].policy_digest.clear();
  }
  office.take({sessions[0]});
  office.take({sessions[1], sessions[2]});
  CHECK(office.collected.next() == nullptr);
  office.dns.release(Office::owner("recv.example"));
  office.settle();
  for (int i = 0; i < 3; ++i) {
    CHECK(office.collected.next()["policies"][0]["policy-domain"] ==
          "p" + std::to_string(i) + ".example");
  }
  office.take({sessions[0]});
  CHECK(office.collected.next()["d"] == "recv.example");
  CHECK(office.collected.next() == nullptr);
  CHECK(office.dns.asked(Office::owner("recv.example")) == 1);
}

TEST_CASE("feed: so many look-ups at once, and all in the end") {
  Office office;
  std::vector<audit::CountedSession> sessions;
  std::vector<std::string> domains;
  for (std::size_t i = 0; i < 2 * look_ups_at_once + 10; ++i) {
    domains.push_back("d" + std::to_string(i) + ".example");
    office.asks(domains.back());
    office.dns.hold(Office::owner(domains.back()));
    sessions.push_back(counted(domains.back()));
  }
  office.take(std::move(sessions));
  CHECK(office.dns.names().size() == look_ups_at_once);
  for (std::size_t i = 0; i < domains.size(); ++i) {
    office.dns.release(Office::owner(domains[i]));
    office.settle();
    CHECK(office.collected.next()["d"] == domains[i]);
  }
  CHECK(office.feed->lost() == 0);
}

TEST_CASE("feed: of sessions that wait too many are lost, and counted; so is what nobody takes") {
  Office office;
  office.asks("recv.example");
  office.dns.hold(Office::owner("recv.example"));
  for (std::size_t i = 0; i < sessions_most / 1000; ++i) {
    office.take(std::vector<audit::CountedSession>(1000, counted("recv.example")));
  }
  CHECK(office.feed->lost() == 0);
  office.take({counted("recv.example"), counted("silent.example")});
  CHECK(office.feed->lost() == 2);
  office.dns.release(Office::owner("recv.example"));
  office.settle();
  std::uint64_t received = 0;
  while (office.collected.next() != nullptr) ++received;
  CHECK(received > 0);  // as many as the queue of a socket holds
  CHECK(office.feed->lost() == 2 + sessions_most - received);
  // And those that wait no more leave room for others.
  office.take({counted("recv.example")});
  CHECK(office.collected.next()["d"] == "recv.example");
}

TEST_CASE("feed: a policy that cannot be read costs its own session alone") {
  Office office;
  office.asks("recv.example");
  office.unreadable = true;
  office.take({counted("recv.example")});
  CHECK(office.collected.next() == nullptr);
  CHECK(office.feed->lost() == 1);
  office.unreadable = false;
  office.take({counted("recv.example")});
  CHECK(office.collected.next()["d"] == "recv.example");
}
