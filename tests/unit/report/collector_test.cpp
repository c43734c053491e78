// The libtlsrpt datagram, octet for octet, and the socket that carries it.
#include "report/collector.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

using report::CollectedFailure;
using report::CollectedPolicy;
using report::Collector;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;

namespace {

const std::string record = "v=TLSRPTv1; rua=mailto:tls@recv.example";

CollectedPolicy sts_failure() {
  CollectedPolicy one;
  one.policy.type = PolicyType::sts;
  one.policy.domain = "recv.example";
  one.policy.strings = {"version: STSv1", "mode: enforce", "mx: mx1.recv.example",
                        "max_age: 1209600"};
  one.policy.mx_hosts = {"mx1.recv.example"};
  CollectedFailure failure;
  failure.type = ResultType::certificate_host_mismatch;
  failure.sending_mta_ip = "192.0.2.25";
  failure.receiving_mx_hostname = "mx1.recv.example";
  failure.receiving_ip = "203.0.113.10";
  one.failures = {failure};
  return one;
}
const std::string sts_failure_octets =
    R"({"dpv": "1","d": "recv.example","pr": "v=TLSRPTv1; rua=mailto:tls@recv.example",)"
    R"("policies":[{"policy-type":2,"policy-domain": "recv.example","policy-string":[)"
    R"("version: STSv1","mode: enforce","mx: mx1.recv.example","max_age: 1209600"],)"
    R"("mx-host":["mx1.recv.example"],"failure-details":[{"c":202,"s": "192.0.2.25",)"
    R"("n": "mx1.recv.example","r": "203.0.113.10"}],"t":1,"f":1}]})";

std::string datagram_of(const std::vector<CollectedPolicy>& policies) {
  return report::collector_datagram("recv.example", record, policies);
}

// A directory with a collector's socket in it.
class Listening {
 public:
  Listening() {
    dir_ = (std::filesystem::temp_directory_path() / "sternpost-collector-XXXXXX").string();
    if (!::mkdtemp(dir_.data())) throw std::runtime_error("mkdtemp");
    start();
  }
  ~Listening() {
    stop();
    std::filesystem::remove_all(dir_);
  }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  std::string path() const { return dir_ + "/collectd.sock"; }
  void start() {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("bind");
    }
  }
  // As a collector that dies does: the path stays behind.
  void stop() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  void remove() { std::filesystem::remove(path()); }
  // One datagram, or "nothing".
  std::string received() {
    std::string text(1 << 20, '\0');
    const ssize_t size = ::recv(socket_, text.data(), text.size(), 0);
    if (size < 0) return "nothing";
    text.resize(static_cast<std::size_t>(size));
    return text;
  }

 private:
  std::string dir_;
  int socket_ = -1;
};

}  // namespace

TEST_CASE("libtlsrpt: members in order, a space behind the colon of string members alone") {
  CHECK(datagram_of({sts_failure()}) == sts_failure_octets);
}

TEST_CASE("libtlsrpt: a success has no failure-details; what is empty is left out") {
  CollectedPolicy none;
  none.success = true;
  CHECK(datagram_of({none}) ==
        R"({"dpv": "1","d": "recv.example","pr": "v=TLSRPTv1; rua=mailto:tls@recv.example",)"
        R"("policies":[{"policy-type":9,"t":0,"f":0}]})");
}

TEST_CASE("libtlsrpt: without policies nothing is sent") { CHECK(datagram_of({}).empty()); }

TEST_CASE("libtlsrpt: several policies with results of their own, several failures in order") {
  CollectedPolicy tlsa;
  tlsa.policy.type = PolicyType::tlsa;
  tlsa.policy.domain = "mx1.recv.example";
  tlsa.policy.strings = {"3 1 1 00ff", "3 1 1 11aa"};
  CollectedFailure all;
  all.type = ResultType::validation_failure;
  all.sending_mta_ip = "2001:db8::25";
  all.receiving_mx_hostname = "mx1.recv.example";
  all.receiving_mx_helo = "mx1";
  all.receiving_ip = "2001:db8::1";
  all.failure_reason_code = "dane-no-match";
  CollectedFailure bare;
  bare.type = ResultType::dane_required;
  tlsa.failures = {all, bare};
  tlsa.success = true;
  CHECK(datagram_of({tlsa, sts_failure()}) ==
        R"({"dpv": "1","d": "recv.example","pr": "v=TLSRPTv1; rua=mailto:tls@recv.example",)"
        R"("policies":[{"policy-type":1,"policy-domain": "mx1.recv.example",)"
        R"("policy-string":["3 1 1 00ff","3 1 1 11aa"],"failure-details":[{"c":205,)"
        R"("s": "2001:db8::25","n": "mx1.recv.example","h": "mx1","r": "2001:db8::1",)"
        R"("f": "dane-no-match"},{"c":306}],"t":2,"f":0},)" +
            sts_failure_octets.substr(sts_failure_octets.find(R"({"policy-type":2)")));
}

TEST_CASE("RFC 8460 §4.3: each result type has libtlsrpt's number") {
  const std::vector<std::pair<ResultType, int>> numbers = {
      {ResultType::starttls_not_supported, 201},
      {ResultType::certificate_host_mismatch, 202},
      {ResultType::certificate_not_trusted, 203},
      {ResultType::certificate_expired, 204},
      {ResultType::validation_failure, 205},
      {ResultType::sts_policy_fetch_error, 301},
      {ResultType::sts_policy_invalid, 302},
      {ResultType::sts_webpki_invalid, 303},
      {ResultType::tlsa_invalid, 304},
      {ResultType::dnssec_invalid, 305},
      {ResultType::dane_required, 306},
  };
  for (const auto& [type, number] : numbers) {
    CollectedPolicy one;
    one.failures.resize(1);
    one.failures.front().type = type;
    INFO(number);
    CHECK(datagram_of({one}).find("[{\"c\":" + std::to_string(number) + "}]") !=
          std::string::npos);
  }
}

TEST_CASE("libtlsrpt: control characters, DEL, quote and backslash escaped, UTF-8 as it is") {
  const auto escaped = [](const std::string& text) {
    CollectedPolicy one;
    one.policy.strings = {text};
    const std::string all = datagram_of({one});
    CHECK(nlohmann::json::accept(all));
    const std::size_t start = all.find("\"policy-string\":[\"") + 18;
    return all.substr(start, all.find("\"],\"t\":0") - start);
  };
  CHECK(escaped("a\"b\\c/") == R"(a\"b\\c/)");
  CHECK(escaped("\b\t\n\f\r") == R"(\b\t\n\f\r)");
  CHECK(escaped(std::string("\0\x01\x0b\x0e\x1f\x7f ~", 8)) ==
        R"(\u0000\u0001\u000b\u000e\u001f\u007f ~)");
  CHECK(escaped("m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x93\xac") ==
        "m\xc3\xbcller \xe2\x82\xac \xf0\x9f\x93\xac");
  // What is no UTF-8, one U+FFFD an octet.
  CHECK(escaped("a\xff" "b\xc3") == "a\xef\xbf\xbd" "b\xef\xbf\xbd");
  CHECK(escaped("\xc0\x80") == "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST_CASE("libtlsrpt: every string of a datagram is escaped, so a peer's name adds no member") {
  CollectedPolicy one = sts_failure();
  const std::string evil = "x\",\"f\":0,\"y\": \"";
  one.policy.domain = one.policy.strings[0] = one.policy.mx_hosts[0] = evil;
  CollectedFailure& failure = one.failures[0];
  failure.sending_mta_ip = failure.receiving_mx_hostname = failure.receiving_mx_helo =
      failure.receiving_ip = failure.failure_reason_code = evil;
  const auto read = nlohmann::json::parse(report::collector_datagram(evil, evil, {&one, 1}));
  CHECK(read["d"] == evil);
  CHECK(read["pr"] == evil);
  const auto& policy = read["policies"][0];
  CHECK(policy["policy-domain"] == evil);
  CHECK(policy["policy-string"][0] == evil);
  CHECK(policy["mx-host"][0] == evil);
  CHECK(policy["f"] == 1);
  for (const char* key : {"s", "n", "h", "r", "f"}) {
    CHECK(policy["failure-details"][0][key] == evil);
  }
  CHECK(policy["failure-details"][0].size() == 6);
}

TEST_CASE("Collector: a datagram arrives as it is, one send, one datagram") {
  Listening listening;
  auto collector = Collector::make(listening.path());
  REQUIRE(collector.has_value());
  CHECK((*collector)->send(datagram_of({sts_failure()})));
  CHECK((*collector)->send("second"));
  CHECK(listening.received() == sts_failure_octets);
  CHECK(listening.received() == "second");
  CHECK(listening.received() == "nothing");
  CHECK((*collector)->send(""));
  CHECK(listening.received() == "nothing");
  CHECK((*collector)->lost() == 0);
  CHECK((*collector)->last_error() == 0);
}

TEST_CASE("Collector: without a listener datagrams are lost and counted; it may come back") {
  Listening listening;
  auto made = Collector::make(listening.path());
  REQUIRE(made.has_value());
  Collector& collector = **made;
  CHECK(collector.send("one"));
  listening.stop();
  CHECK_FALSE(collector.send("two"));
  CHECK(collector.last_error() == ECONNREFUSED);
  listening.remove();
  CHECK_FALSE(collector.send("three"));
  CHECK(collector.last_error() == ENOENT);
  CHECK(collector.lost() == 2);
  listening.start();
  CHECK(collector.send("four"));
  CHECK(listening.received() == "four");
  CHECK(collector.lost() == 2);
}

TEST_CASE("Collector: a full queue and a datagram too long are losses, not waits") {
  Listening listening;
  auto made = Collector::make(listening.path());
  REQUIRE(made.has_value());
  Collector& collector = **made;
  CHECK_FALSE(collector.send(std::string(64 << 20, 'x')));
  CHECK(collector.last_error() == EMSGSIZE);
  CHECK(collector.lost() == 1);
  int sent = 0;
  while (sent < 100000 && collector.send("x")) ++sent;
  CHECK(sent > 0);
  CHECK(sent < 100000);
  CHECK(collector.last_error() == EAGAIN);
  CHECK(collector.lost() == 2);
  CHECK(listening.received() == "x");
  CHECK(collector.send("y"));
}

TEST_CASE("Collector: a path that fits no socket's address is an error that names it") {
  const std::string fits = "/" + std::string(106, 'p');
  CHECK(Collector::make(fits).has_value());
  const auto longer = Collector::make(fits + "p");
  REQUIRE_FALSE(longer.has_value());
  CHECK(longer.error().text == fits + "p: a socket's path has at most 107 octets");
  CHECK_FALSE(Collector::make("").has_value());
  CHECK_FALSE(Collector::make(std::string("/a\0b", 4)).has_value());
}

TEST_CASE("Collector: from several threads every datagram arrives or is counted as lost") {
  Listening listening;
  auto made = Collector::make(listening.path());
  REQUIRE(made.has_value());
  Collector& collector = **made;
  std::atomic<std::uint64_t> sent{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 250; ++j) sent += collector.send("datagram") ? 1U : 0U;
    });
  }
  std::uint64_t got = 0;
  while (sent + collector.lost() < 1000) {
    if (listening.received() == "datagram") ++got;
  }
  for (std::thread& thread : threads) thread.join();
  while (listening.received() == "datagram") ++got;
  CHECK(got == sent);
  CHECK(sent + collector.lost() == 1000);
}
