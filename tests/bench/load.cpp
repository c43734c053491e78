// bench_load: sends messages and measures. One thread.
//
//   bench_load KEY=VALUE …
//     target=IP:PORT     a relay; or targets=FILE with lines "DOMAIN IP" for the bare TLS client
//     protocol=smtp|lmtp
//     connections=N      at once
//     messages=N         altogether
//     size=OCTETS        of one message
//     domains=N          recipients go to user@dK.ZONE, K = 0 … N-1 in turn
//     zone=ZONE          bench.example where it is not given
//     tls=none|full|resumed|reuse   towards the target; `none` for a relay, the others are the bare
//                        client: a full handshake, a resumed one, or an open connection for each
//     reconnect=0|1      a connection of its own for each message (relay; default 0)
//     rate=N             messages a second, started at even distances; 0: as fast as it goes
//     settle=0|1         each connection first carries one more message, before the time begins;
//                        not counted, not stamped (and not with tls=full|resumed; default 0)
// With tls=reuse each connection keeps to one domain. With a rate each message carries the moment
// at which it was sent, for the sink.
//
// Prints one JSON object: seconds, messages, settled, failed, rate, cpu, p50_ms, p99_ms.
#include <openssl/ssl.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/address.h"
#include "proxy/channel.h"
#include "smtp/reply.h"

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

struct Target {
  std::string domain;
  base::Ip ip;
};

struct Bench {
  std::map<std::string, std::string> options;
  std::vector<Target> targets;
  unsigned short port = 25;
  std::string message;
  long to_send = 0, started = 0, done = 0, failed = 0, settled = 0;
  std::vector<double> latencies;
  SSL_CTX* tls = nullptr;
  std::map<std::string, SSL_SESSION*> sessions;
  Clock::time_point began;
  double interval = 0;

  std::string get(const std::string& key, const std::string& otherwise) const {
    const auto found = options.find(key);
    return found == options.end() ? otherwise : found->second;
  }
  long number(const std::string& key, long otherwise) const {
    return std::stol(get(key, std::to_string(otherwise)));
  }
};

Bench bench;

class Client {
 public:
  explicit Client(asio::io_context& io) : io_(io) {}

  asio::awaitable<bool> open(const Target& target) {
    const auto endpoint = proxy::endpoint_of(target.ip, bench.port);
    proxy::Channel::Socket socket(io_, endpoint.protocol());
    boost::system::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    co_await socket.async_connect(endpoint, std::move(token));
    if (error) co_return false;
    channel_ = std::make_unique<proxy::Channel>(std::move(socket));
    std::string greeting = co_await reply();
    const bool lmtp = bench.get("protocol", "smtp") == "lmtp";
    const std::string hello = lmtp ? "LHLO bench\r\n" : "EHLO bench\r\n";
    std::string answered = co_await ask(hello);
    const std::string tls = bench.get("tls", "none");
    if (tls == "none") co_return greeting[0] == '2' && answered[0] == '2';
    std::string go = co_await ask("STARTTLS\r\n");
    if (go[0] != '2') co_return false;
    proxy::SslPtr ssl(SSL_new(bench.tls));
    SSL_set_connect_state(ssl.get());
    SSL_set_tlsext_host_name(ssl.get(), target.domain.c_str());
    const std::string key = target.ip.str();
    if (tls == "resumed" && bench.sessions.count(key)) {
      SSL_set_session(ssl.get(), bench.sessions[key]);
    }
    auto shaken = co_await channel_->handshake(std::move(ssl), proxy::Channel::Next::write);
    if (!shaken) co_return false;
    std::string again = co_await ask(hello);
    if (tls == "resumed") {
      SSL_SESSION*& kept = bench.sessions[key];
      if (kept) SSL_SESSION_free(kept);
      kept = SSL_get1_session(channel_->ssl());
    }
    co_return again[0] == '2';
  }

  // start: what the message is stamped with, where there is a rate; none: it is not stamped.
  asio::awaitable<bool> send(const std::string& domain, std::optional<Clock::time_point> start) {
    const std::string envelope = "MAIL FROM:<load@sender.example>\r\nRCPT TO:<user@" + domain +
                                 ">\r\nDATA\r\n";
    auto sent = co_await channel_->write(envelope);
    if (!sent) co_return false;
    for (int i = 0; i < 3; ++i) {
      std::string line = co_await reply();
      if (line.empty() || (line[0] != '2' && line[0] != '3')) {
        std::cerr << line << "\n";
        co_return false;
      }
    }
    std::string stamp;
    if (bench.interval > 0 && start) {
      const auto since = start->time_since_epoch();
      const auto sent_at = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
      stamp = "X-Bench-Sent: " + std::to_string(sent_at) + "\r\n";
    }
    auto body = co_await channel_->write(stamp, bench.message);
    if (!body) co_return false;
    std::string taken = co_await reply();
    if (taken.empty() || taken[0] != '2') std::cerr << taken << "\n";
    co_return !taken.empty() && taken[0] == '2';
  }

  asio::awaitable<void> close() {
    if (!channel_) co_return;
    std::string bye = co_await ask("QUIT\r\n");
    channel_.reset();
  }
  bool is_open() const { return channel_ != nullptr; }
  void drop() { channel_.reset(); }

 private:
  asio::awaitable<std::string> ask(std::string line) {
    auto sent = co_await channel_->write(line);
    if (!sent) co_return std::string(1, '\0');
    std::string answer = co_await reply();
    co_return answer;
  }
  asio::awaitable<std::string> reply() {
    smtp::ReplyParser parser;
    for (;;) {
      if (!channel_->buffered().empty()) {
        auto used = parser.feed(channel_->buffered());
        if (!used) co_return std::string(1, '\0');
        channel_->consume(*used);
        if (parser.done()) co_return parser.take().str();
      }
      auto got = co_await channel_->fill();
      if (!got) co_return std::string(1, '\0');
    }
  }
  asio::io_context& io_;
  std::unique_ptr<proxy::Channel> channel_;
};

bool reconnects() {
  const std::string tls = bench.get("tls", "none");
  return bench.number("reconnect", 0) == 1 || tls == "full" || tls == "resumed";
}

std::string domain_of(std::size_t k) {
  return "d" + std::to_string(k) + "." + bench.get("zone", "bench.example");
}

std::size_t target_of(std::size_t k) {
  return bench.targets.size() > 1 ? k % bench.targets.size() : 0;
}

// The first message of a connection pays for more than itself.
asio::awaitable<void> settle(Client& client, long number) {
  const auto k = static_cast<std::size_t>(number % bench.number("domains", 1));
  bool good = co_await client.open(bench.targets[target_of(k)]);
  const std::string domain = domain_of(k);
  if (good) good = co_await client.send(domain, std::nullopt);
  if (good) {
    ++bench.settled;
  } else {
    ++bench.failed;
    client.drop();
  }
}

asio::awaitable<void> worker(asio::io_context& io, Client& client, long number) {
  const std::string tls = bench.get("tls", "none");
  const bool reconnect = reconnects();
  const long domains = bench.number("domains", 1);
  std::size_t open_target = target_of(static_cast<std::size_t>(number % domains));  // as settled
  while (bench.started < bench.to_send) {
    const long n = bench.started++;
    const auto k = static_cast<std::size_t>((tls == "reuse" ? number : n) % domains);
    const std::string domain = domain_of(k);
    const std::size_t target = target_of(k);
    Clock::time_point start = Clock::now();
    if (bench.interval > 0) {
      const auto due = bench.began + std::chrono::duration_cast<Clock::duration>(
                                         std::chrono::duration<double>(
                                             bench.interval * static_cast<double>(n)));
      const bool late = start > due;
      asio::steady_timer timer(io, due);
      co_await timer.async_wait(asio::use_awaitable);
      // What had to wait behind a slow message counts from when it was due.
      start = late ? due : Clock::now();
    }
    if (client.is_open() && target != open_target) co_await client.close();
    bool good = true;
    if (!client.is_open()) {
      good = co_await client.open(bench.targets[target]);
      open_target = target;
    }
    if (good) good = co_await client.send(domain, start);
    const double spent = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    if (good) {
      ++bench.done;
      bench.latencies.push_back(spent);
      if (reconnect) co_await client.close();
    } else {
      ++bench.failed;
      client.drop();
    }
  }
  if (client.is_open()) co_await client.close();
}

double percentile(double part) {
  if (bench.latencies.empty()) return 0;
  const auto at = static_cast<std::size_t>(part * static_cast<double>(bench.latencies.size() - 1));
  return bench.latencies[at];
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    bench.options[word.substr(0, equals)] = word.substr(equals + 1);
  }
  const std::string target = bench.get("target", "");
  if (!target.empty()) {
    const std::size_t colon = target.rfind(':');
    bench.port = static_cast<unsigned short>(std::stoi(target.substr(colon + 1)));
    bench.targets.push_back({"relay", *base::Ip::parse(target.substr(0, colon))});
  } else {
    bench.port = static_cast<unsigned short>(bench.number("port", 25));
    std::ifstream file(bench.get("targets", ""));
    std::string domain, ip;
    while (file >> domain >> ip) bench.targets.push_back({domain, *base::Ip::parse(ip)});
  }
  if (bench.targets.empty()) {
    std::cerr << "no target\n";
    return 2;
  }
  const long size = bench.number("size", 4096);
  bench.message = "From: <load@sender.example>\r\nSubject: load\r\n\r\n";
  const std::string line = std::string(70, 'x') + "\r\n";
  while (static_cast<long>(bench.message.size()) < size) bench.message += line;
  bench.message += ".\r\n";
  bench.to_send = bench.number("messages", 1000);
  const long rate = bench.number("rate", 0);
  bench.interval = rate > 0 ? 1.0 / static_cast<double>(rate) : 0;
  bench.tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(bench.tls, SSL_SESS_CACHE_CLIENT);

  asio::io_context io(1);
  const auto connections =
      static_cast<std::size_t>(std::min(bench.number("connections", 1), bench.to_send));
  std::vector<std::unique_ptr<Client>> clients;
  while (clients.size() < connections) clients.push_back(std::make_unique<Client>(io));
  if (bench.number("settle", 0) == 1 && !reconnects()) {
    long number = 0;
    for (auto& client : clients) asio::co_spawn(io, settle(*client, number++), asio::detached);
    io.run();
    io.restart();
  }
  bench.began = Clock::now();
  long number = 0;
  for (auto& client : clients) asio::co_spawn(io, worker(io, *client, number++), asio::detached);
  io.run();
  const double seconds = std::chrono::duration<double>(Clock::now() - bench.began).count();
  std::ranges::sort(bench.latencies);
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const double cpu = static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
  std::cout << "{\"seconds\": " << seconds << ", \"messages\": " << bench.done
            << ", \"settled\": " << bench.settled << ", \"failed\": " << bench.failed
            << ", \"rate\": " << static_cast<double>(bench.done) / seconds << ", \"cpu\": " << cpu
            << ", \"p50_ms\": " << percentile(0.50) << ", \"p99_ms\": " << percentile(0.99)
            << "}\n";
  return bench.failed ? 1 : 0;
}
