// Load for tests/bench/socketmap: asks a policy map as fast as it answers, with a fixed number of
// clients and of questions in flight on each. One thread, epoll, no library, so that it costs less
// than whoever it measures. Prints one JSON object.
//
//   bench_map_load HOST PORT MAP KEYS CLIENTS IN_FLIGHT SECONDS
//
// KEYS is a file of one key a line; each client goes through it from a place of its own. SECONDS 0:
// every key once.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Client {
  int fd = -1;
  std::size_t next = 0;
  std::deque<Clock::time_point> asked;  // of those in flight
  std::string in;
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int connect_to(const char* host, int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host, &address.sin_addr);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("connect");
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

struct Load {
  std::vector<std::string> questions;
  std::size_t left = 0;  // questions to ask; the time decides where it is huge
  std::vector<float> latencies;
  std::size_t found = 0, absent = 0, other = 0;

  void ask(Client& client, std::size_t count) {
    std::string out;
    const Clock::time_point now = Clock::now();
    for (; count > 0 && left > 0; --count, --left) {
      out += questions[client.next++ % questions.size()];
      client.asked.push_back(now);
    }
    for (std::string_view rest = out; !rest.empty();) {
      const ssize_t n = ::send(client.fd, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n <= 0) fail("send");
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // How many answers came.
  std::size_t take(Client& client) {
    char chunk[65536];
    const ssize_t n = ::recv(client.fd, chunk, sizeof chunk, 0);
    if (n <= 0) fail("recv");
    client.in.append(chunk, static_cast<std::size_t>(n));
    const Clock::time_point now = Clock::now();
    std::size_t at = 0, count = 0;
    for (;;) {
      const std::size_t colon = client.in.find(':', at);
      if (colon == std::string::npos) break;
      const std::size_t length = std::strtoul(client.in.c_str() + at, nullptr, 10);
      if (client.in.size() < colon + 1 + length + 1) break;
      const char kind = client.in[colon + 1];
      ++(kind == 'O' ? found : kind == 'N' ? absent : other);
      latencies.push_back(
          std::chrono::duration<float, std::micro>(now - client.asked.front()).count());
      client.asked.pop_front();
      at = colon + 1 + length + 1;
      ++count;
    }
    client.in.erase(0, at);
    return count;
  }
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) return 2;
  Load load;
  std::ifstream keys(argv[4]);
  for (std::string key; std::getline(keys, key);) {
    const std::string payload = std::string(argv[3]) + " " + key;
    load.questions.push_back(std::to_string(payload.size()) + ":" + payload + ",");
  }
  const std::size_t count = std::strtoul(argv[5], nullptr, 10);
  const std::size_t in_flight = std::strtoul(argv[6], nullptr, 10);
  const double seconds = std::atof(argv[7]);
  load.left = seconds > 0 ? std::size_t{1} << 60 : load.questions.size();
  const std::size_t all = load.left;
  load.latencies.reserve(std::size_t{1} << 22);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(count);
  for (std::size_t i = 0; i < count; ++i) {
    clients[i].fd = connect_to(argv[1], std::atoi(argv[2]));
    clients[i].next = seconds > 0 ? i * load.questions.size() / count : 0;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event);
  }
  const Clock::time_point begun = Clock::now();
  const auto end = begun + std::chrono::duration<double>(seconds > 0 ? seconds : 600);
  std::size_t next = 0;
  for (Client& client : clients) {
    if (seconds <= 0) client.next = next;  // One walk through the file, shared.
    load.ask(client, in_flight);
    next = client.next;
  }
  while (Clock::now() < end && (seconds > 0 || load.latencies.size() < all)) {
    epoll_event events[64];
    const int n = ::epoll_wait(epoll, events, 64, 1000);
    for (int i = 0; i < n; ++i) {
      Client& client = clients[events[i].data.u64];
      const std::size_t got = load.take(client);
      if (seconds <= 0) client.next = next;
      load.ask(client, got);
      if (seconds <= 0) next = client.next;
    }
  }
  const double took = std::chrono::duration<double>(Clock::now() - begun).count();
  std::ranges::sort(load.latencies);
  const auto at = [&](double part) {
    if (load.latencies.empty()) return 0.0f;
    return load.latencies[static_cast<std::size_t>(
        static_cast<double>(load.latencies.size() - 1) * part)];
  };
  std::printf(
      "{\"answers\": %zu, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"found\": %zu, "
      "\"absent\": %zu, \"other\": %zu, \"load_cpu\": %.6f}\n",
      load.latencies.size(), took, static_cast<double>(at(0.5)), static_cast<double>(at(0.99)),
      load.found, load.absent, load.other, cpu_seconds());
  return 0;
}
