#include "proxy/admin_port.h"

#include <sys/socket.h>
#include <sysexits.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "config/load.h"
#include "config/token.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds refusal_told_again{60};

}  // namespace

AdminPort::AdminPort(asio::io_context& home, Parts parts)
    : home_(home),
      service_(make_service(std::move(parts))),
      connections_(std::make_shared<admin::Connections>(base::limits::admin_clients)),
      guard_(io_.get_executor()) {}

AdminPort::~AdminPort() {
  if (listener_) listener_->stop();
  io_.stop();
  if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const admin::Service> AdminPort::make_service(Parts parts) {
  auto service = std::make_shared<admin::Service>();
  service->policies = std::move(parts.policies);
  service->facts = [this, at_home = std::move(parts.facts),
                    here = std::move(parts.any_thread)](
                       const std::function<void(admin::FactsPtr)>& done) {
    asio::post(home_, [this, at_home, here, done] {
      auto facts = std::make_shared<admin::Facts>(at_home());
      asio::post(io_, [facts, here, done] {
        here(*facts);
        done(facts);
      });
    });
  };
  // On this thread alone; a scanner must not fill the log.
  auto due = std::make_shared<std::chrono::steady_clock::time_point>();
  service->refused = [due](const std::string& peer) {
    const auto now = std::chrono::steady_clock::now();
    if (now < *due) return;
    *due = now + refusal_told_again;
    base::log_warn("", "admin: a wrong token, or none, from " + peer +
                           " (told at most once a minute)");
  };
  return service;
}

base::Result<std::shared_ptr<const admin::Access>, base::Error> AdminPort::access_of(
    const config::Config& config) {
  auto access = std::make_shared<admin::Access>();
  access->host_name = config.server.hostname;
  access->holds_host = std::holds_alternative<config::Tcp>(*config.admin.listen);
  if (!config.admin.token_file.empty()) {
    auto text = config::read_named_file(config.admin.token_file);
    auto token = text ? config::token_of(*text) : base::fail(std::move(text.error()));
    if (!token) {
      return base::fail("admin.token_file " + config.admin.token_file.string() + ": " +
                        token.error().text);
    }
    access->token = std::move(*token);
  }
  return std::shared_ptr<const admin::Access>(std::move(access));
}

base::Result<void, StartError> AdminPort::open(const config::Config& config,
                                               PassedSockets& passed) {
  opened_ = config.admin;
  auto access = access_of(config);
  if (!access) return base::fail(StartError{EX_CONFIG, access.error().text});
  access_ = std::move(*access);
  auto socket = ListenSocket::open(*opened_.listen, std::nullopt, "", passed);
  if (!socket) return base::fail(StartError{EX_UNAVAILABLE, socket.error().text});
  base::log_info("", "listening at " + config::text_of(*opened_.listen) + " (admin" +
                         (access_->token.empty() ? "" : ", with a token") +
                         (socket->from_systemd() ? ", socket from systemd)" : ")"));
  auto handover = [this](Descriptor connection, Peer peer) {
    auto carried = std::make_shared<Descriptor>(std::move(connection));
    asio::post(io_, [this, listener = listener_, carried, access = access_, words = peer.str()] {
      begin(listener, std::move(*carried), access, words);
    });
  };
  listener_ = std::make_shared<Listener>(home_, std::move(*socket),
                                         static_cast<std::uint32_t>(base::limits::admin_clients),
                                         std::move(handover));
  return {};
}

void AdminPort::start() {
  thread_ = std::thread([this] {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& error) {
        base::log_error("", std::string("internal error in the admin thread: ") + error.what());
      }
    }
  });
  listener_->start();
}

base::Result<void, base::Error> AdminPort::adopt(const config::Config& config,
                                                 std::vector<std::string>& kept) {
  if (config.admin.listen != opened_.listen) {
    kept.emplace_back("admin.listen, and the token with it");
    return {};
  }
  auto access = access_of(config);
  if (!access) return base::fail(std::move(access.error()));
  access_ = std::move(*access);
  return {};
}

// On the admin thread.
void AdminPort::begin(const std::shared_ptr<Listener>& listener, Descriptor connection,
                      std::shared_ptr<const admin::Access> access, const std::string& peer) {
  try {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&name), &size);
    const asio::generic::stream_protocol protocol(name.ss_family, 0);
    admin::Socket socket(io_, protocol, connection.get());
    connection.release();
    asio::co_spawn(io_, live(service_, std::move(access), listener, connections_,
                             std::move(socket), peer),
                   asio::detached);
  } catch (const std::exception& error) {
    base::log_error("", "no answer for " + peer + ": " + error.what());
    listener->session_ended();
  }
}

asio::awaitable<void> AdminPort::live(std::shared_ptr<const admin::Service> service,
                                      std::shared_ptr<const admin::Access> access,
                                      std::shared_ptr<Listener> listener,
                                      std::shared_ptr<admin::Connections> connections,
                                      admin::Socket socket, std::string peer) {
  connections->enter();
  try {
    co_await admin::serve(std::move(socket), service, access, peer, connections);
  } catch (const std::exception& error) {
    base::log_error("", "admin: internal error: " + std::string(error.what()));
  }
  connections->leave();
  listener->session_ended();
}

}  // namespace proxy
