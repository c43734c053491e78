#include "proxy/control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "proxy/event.h"

namespace proxy {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::size_t request_limit = 65536;
constexpr std::size_t reply_limit = 256U << 20;
constexpr std::uint32_t connections = 64;
constexpr std::chrono::seconds request_wait{30};
constexpr std::chrono::minutes command_wait{5};

// A reply that comes later, perhaps from another thread.
struct Waiting {
  std::optional<std::string> reply;  // the line
  Event event;
};

std::string line_of(json reply) {
  reply["ok"] = !reply.contains("error");
  return reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

Control::Control(asio::io_context& home, ListenSocket socket,
                 std::map<std::string, Command> commands)
    : home_(home), commands_(std::move(commands)) {
  auto handover = [this](Descriptor connection, Peer) {
    asio::co_spawn(home_, serve(shared_from_this(), std::move(connection)), asio::detached);
  };
  listener_ = std::make_shared<Listener>(home, std::move(socket), connections, handover);
}

base::Result<ListenSocket, base::Error> Control::open_socket(const config::Path& path) {
  PassedSockets none;
  const config::Address address = config::Unix{path};
  return ListenSocket::open(address, config::FileMode{0600}, "", none);
}

void Control::start() { listener_->start(); }

void Control::stop() {
  stopped_ = true;
  listener_->stop();
}

asio::awaitable<void> Control::serve(std::shared_ptr<Control> self, Descriptor connection) {
  try {
    const asio::generic::stream_protocol protocol(AF_UNIX, 0);
    Channel::Socket socket(self->home_, protocol, connection.get());
    connection.release();
    Channel channel(std::move(socket));
    co_await self->converse(channel);
  } catch (const std::exception& error) {
    base::log_error("", std::string("control socket: ") + error.what());
  }
  self->listener_->session_ended();
}

asio::awaitable<void> Control::converse(Channel& channel) {
  while (!stopped_) {
    channel.set_deadline(std::chrono::steady_clock::now() + request_wait);
    auto line = co_await channel.read_line(request_limit);
    if (!line) co_return;
    const std::string reply = co_await obey(line->text);
    channel.set_deadline(std::chrono::steady_clock::now() + request_wait);
    auto written = co_await channel.write(reply);
    if (!written) co_return;
  }
}

asio::awaitable<std::string> Control::obey(const std::string& line) {
  json request = json::parse(line, nullptr, false);
  json refused;
  if (!request.is_object() || !request.contains("command") || !request["command"].is_string()) {
    refused["error"] = "one JSON object a line with a \"command\" is expected";
    co_return line_of(std::move(refused));
  }
  const auto command = commands_.find(request["command"].get<std::string>());
  if (command == commands_.end()) {
    refused["error"] = "command not known";
    co_return line_of(std::move(refused));
  }
  auto waiting = std::make_shared<Waiting>();
  // On the thread that answers: a long reply takes its time, which the home thread has not.
  Answer answer = [waiting, &home = home_](json reply) {
    std::string text = line_of(std::move(reply));
    asio::post(home, [waiting, text = std::move(text)]() mutable {
      waiting->reply = std::move(text);
      waiting->event.notify_all();
    });
  };
  try {
    command->second(request, std::move(answer));
  } catch (const json::exception&) {
    refused["error"] = "a value of the request has another type than the command expects";
    co_return line_of(std::move(refused));
  }
  const auto end = std::chrono::steady_clock::now() + command_wait;
  while (!waiting->reply && std::chrono::steady_clock::now() < end) {
    co_await waiting->event.wait(end);
  }
  if (!waiting->reply) {
    refused["error"] = "the command did not end in time";
    co_return line_of(std::move(refused));
  }
  co_return std::move(*waiting->reply);
}

// ── the other side ──────────────────────────────────────────────────────────────────────────────

namespace {

DaemonError broken(const std::string& what) { return {false, what + ": " + std::strerror(errno)}; }

base::Result<Descriptor, DaemonError> connect_to(const config::Path& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof name.sun_path) {
    return base::fail(DaemonError{false, text + ": the path is too long for a socket"});
  }
  std::memcpy(name.sun_path, text.c_str(), text.size() + 1);
  Descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return base::fail(broken("socket"));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    DaemonError error = broken(text);
    error.not_running = errno == ENOENT || errno == ECONNREFUSED;
    if (errno == EACCES) error.text += " (root and the daemon's own user may ask)";
    error.status = EX_UNAVAILABLE;
    return base::fail(std::move(error));
  }
  return fd;
}

base::Result<std::string, DaemonError> read_reply(int fd, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  std::string reply;
  char octets[16384];
  for (std::size_t seen = 0; reply.find('\n', seen) == std::string::npos;) {
    seen = reply.size();
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    pollfd ready{fd, POLLIN, 0};
    const int n = left.count() > 0 ? ::poll(&ready, 1, static_cast<int>(left.count())) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) {
      return base::fail(DaemonError{false, "the daemon did not answer in time", EX_TEMPFAIL});
    }
    const ssize_t got = ::recv(fd, octets, sizeof octets, 0);
    if (got < 0) return base::fail(broken("control socket"));
    if (got == 0) return base::fail(DaemonError{false, "the daemon closed the connection"});
    reply.append(octets, static_cast<std::size_t>(got));
    if (reply.size() > reply_limit) {
      return base::fail(DaemonError{false, "the daemon's answer is too long"});
    }
  }
  return reply;
}

}  // namespace

base::Result<json, DaemonError> ask_daemon(const config::Path& socket, const json& request,
                                           std::chrono::milliseconds timeout) {
  auto fd = connect_to(socket);
  if (!fd) return base::fail(std::move(fd.error()));
  const std::string line = request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t sent = ::send(fd->get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return base::fail(broken("control socket"));
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  auto text = read_reply(fd->get(), timeout);
  if (!text) return base::fail(std::move(text.error()));
  json reply = json::parse(*text, nullptr, false);
  if (!reply.is_object()) {
    return base::fail(DaemonError{false, "the daemon's answer is not readable"});
  }
  if (reply.contains("error")) {
    const auto& error = reply["error"];
    const std::string words = error.is_string() ? error.get<std::string>() : error.dump();
    const auto status = reply.find("status");
    const bool told = status != reply.end() && status->is_number_unsigned();
    return base::fail(DaemonError{false, words, told ? status->get<int>() : 1});
  }
  reply.erase("ok");  // the socket's own word; without a daemon the answer has none
  // Named: nlohmann's json converts into anything.
  return base::Result<json, DaemonError>(boost::system::in_place_value, std::move(reply));
}

}  // namespace proxy
