#include "session_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cstring>
#include <future>
#include <stdexcept>
#include <utility>

namespace session_world {

namespace {

constexpr int wait_milliseconds = 15000;

std::string wire_name(const std::string& name) {
  std::string wire;
  std::size_t at = 0;
  while (at < name.size()) {
    const std::size_t end = std::min(name.find('.', at), name.size());
    wire += static_cast<char>(end - at);
    wire += name.substr(at, end - at);
    at = end + 1;
  }
  wire += '\0';
  return wire;
}

sockaddr_in address_of(const std::string& ip, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, ip.c_str(), &address.sin_addr) != 1) throw std::runtime_error(ip);
  return address;
}

bool wait_for(int fd, short events) {
  pollfd ready{fd, events, 0};
  int n = 0;
  do {
    n = ::poll(&ready, 1, wait_milliseconds);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

}  // namespace

// ── DNS and log ─────────────────────────────────────────────────────────────────────────────────

void PlainResolver::add(const std::string& domain, const std::string& ip) {
  std::string address(4, '\0');
  if (inet_pton(AF_INET, ip.c_str(), address.data()) != 1) throw std::runtime_error(ip);
  const std::string host = "mx." + domain;
  records_[{domain, dns::Type::MX}] = std::string("\0\x0a", 2) + wire_name(host);
  records_[{host, dns::Type::A}] = address;
}

void PlainResolver::lookup(const std::string& name, dns::Type type,
                           std::function<void(dns::RawLookup)> done) {
  dns::RawAnswer answer;
  answer.canonical_name = name;
  answer.ttl = std::chrono::seconds(60);
  const auto found = records_.find({name, type});
  if (found != records_.end()) {
    answer.existence = dns::Existence::data;
    answer.records.push_back(found->second);
  }
  done(std::move(answer));
}

base::Result<audit::Reservation, base::Error> MemoryLog::reserve() {
  if (full) return base::fail("no space left on device");
  return audit::Reservation();
}

void MemoryLog::append(const audit::Record& record, audit::Reservation) noexcept {
  const std::lock_guard lock(mutex_);
  records_.push_back(record);
}

std::vector<audit::Record> MemoryLog::records(audit::Event event) const {
  const std::lock_guard lock(mutex_);
  std::vector<audit::Record> out;
  for (const auto& record : records_) {
    if (record.event == event) out.push_back(record);
  }
  return out;
}

// ── lines ───────────────────────────────────────────────────────────────────────────────────────

Line::Line(Line&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      buffer_(std::move(other.buffer_)),
      timed_out_(other.timed_out_) {}

Line Line::connect(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = address_of("127.0.0.1", port);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  }
  return Line(fd);
}

void Line::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool Line::send(const std::string& octets) {
  std::size_t sent = 0;
  while (sent < octets.size()) {
    const ssize_t n = ::send(fd_, octets.data() + sent, octets.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

std::optional<std::string> Line::read() {
  for (;;) {
    const std::size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    if (fd_ < 0) return std::nullopt;
    if (!wait_for(fd_, POLLIN)) {
      timed_out_ = true;
      return std::nullopt;
    }
    char octets[4096];
    const ssize_t n = ::recv(fd_, octets, sizeof octets, 0);
    if (n <= 0) return std::nullopt;
    buffer_.append(octets, static_cast<std::size_t>(n));
  }
}

std::optional<Line::Reply> Line::read_reply() {
  for (;;) {
    const auto line = read();
    if (!line || line->size() < 3) return std::nullopt;
    if (line->size() > 3 && (*line)[3] == '-') continue;
    return Reply{std::stoi(line->substr(0, 3)), *line};
  }
}

Acceptor::Acceptor(const std::string& ip, std::uint16_t port) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address = address_of(ip, port);
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(fd_, 64) != 0 || ::pipe(wake_) != 0) {
    throw std::runtime_error("listen at " + ip + ": " + std::strerror(errno));
  }
  socklen_t size = sizeof address;
  ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

Acceptor::~Acceptor() {
  ::close(fd_);
  ::close(wake_[0]);
  if (wake_[1] >= 0) ::close(wake_[1]);
}

void Acceptor::close() {
  if (wake_[1] >= 0) ::close(std::exchange(wake_[1], -1));
}

std::optional<Line> Acceptor::accept() {
  pollfd ready[2] = {{fd_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
  if (::poll(ready, 2, wait_milliseconds) <= 0 || (ready[0].revents & POLLIN) == 0) {
    return std::nullopt;
  }
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return std::nullopt;
  return Line(fd);
}

// ── the relay ───────────────────────────────────────────────────────────────────────────────────

tlsrpt::ReturnPath return_path() {
  tlsrpt::ReturnPath::Secret secret{};
  secret.fill(42);
  return {secret, *base::Domain::parse("reports.test")};
}

std::string return_path_today(const std::string& recipient) {
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  return return_path().make(today, recipient);
}

config::Config test_config(config::Protocol protocol, std::uint16_t mx_port) {
  config::Config config;
  config.server.hostname = "relay.test";
  config.server.threads = 1;
  config::Listen listen;
  listen.protocol = protocol;
  listen.address = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 0};
  config.listen.push_back(listen);
  config.outbound.port = mx_port;
  config.outbound.ip_preference = config::IpPreference::Ipv4Only;
  config.outbound.private_destinations = {config::network("127.0.0.0/8")};
  config.outbound.idle_keepalive = config::seconds(0);
  config.outbound.recipient_wait = config::seconds(5);
  config.outbound.data_wait = config::seconds(5);
  config.outbound.final_wait = config::seconds(5);
  config.mta_sts.enabled = false;
  return config;
}

Relay::Relay(std::shared_ptr<const config::Config> config, PlainResolver& resolver)
    : report_mail_(return_path()), guard_(boost::asio::make_work_guard(home_)) {
  shared_.clock = &clock_;
  shared_.resolver = &resolver;
  shared_.plain_resolver = &resolver;
  shared_.log = &log_;
  shared_.host_memory = &host_memory_;
  shared_.slots = &slots_;
  shared_.report_mail = &report_mail_;
  shared_.validation = proxy::Validation::validates;
  server_ = std::make_unique<proxy::Server>(home_, shared_);
  proxy::PassedSockets none;
  const auto opened = server_->open(proxy::make_snapshot(std::move(config)), none);
  if (!opened) throw std::runtime_error(opened.error().text);
  server_->start();
  thread_ = std::thread([this] { home_.run(); });
}

Relay::~Relay() {
  home_.stop();
  thread_.join();
  server_.reset();
}

std::uint16_t Relay::port(std::size_t listener) const {
  return server_->listening().at(listener).port;
}

void Relay::drain(std::chrono::milliseconds patience, std::chrono::milliseconds final_wait) {
  auto done = std::make_shared<std::promise<void>>();
  boost::asio::post(home_, [this, patience, final_wait, done] {
    server_->drain(patience, final_wait, [done] { done->set_value(); });
  });
  done->get_future().wait();
}

bool Relay::wait_idle() {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (std::chrono::steady_clock::now() < end) {
    if (shared_.sessions == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace session_world
