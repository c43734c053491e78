#include "proxy/advisor.h"

#include <sys/socket.h>
#include <sysexits.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/tls_client.h"

namespace proxy {

namespace asio = boost::asio;

bool Advisor::wanted(const config::Config& config) {
  return config.socketmap.listen || config.socketmap.sendmail_listen ||
         !config.milter.socket.empty();
}

Advisor::Advisor(asio::io_context& home, Shared& shared) : home_(home), shared_(shared) {}

Advisor::~Advisor() {
  stop();
  if (board_) board_->close();  // Nobody waits for an answer any more.
  milter_.reset();
  guard_.reset();
  if (worker_) worker_->io().stop();
  if (thread_.joinable()) thread_.join();
}

base::Result<void, StartError> Advisor::open(std::shared_ptr<const Snapshot> snapshot,
                                             PassedSockets& passed) {
  const std::size_t few = base::limits::advisor_facts;
  auto worker = Worker::make(shared_, snapshot, {few, few});
  if (!worker) return base::fail(StartError{EX_CONFIG, worker.error().text});
  worker_ = std::move(*worker);
  map_ = std::make_unique<PolicyMap>(*worker_);
  const config::Socketmap& socketmap = snapshot->config->socketmap;
  auto opened = open_map(socketmap.listen, MapListener::postfix, passed);
  if (opened) opened = open_map(socketmap.sendmail_listen, MapListener::sendmail, passed);
  if (!opened) return opened;
  if (snapshot->config->milter.socket.empty()) return {};
  return open_milter(snapshot);
}

base::Result<void, StartError> Advisor::open_map(const std::optional<config::Address>& address,
                                                 MapListener kind, PassedSockets& passed) {
  if (!address) return {};
  auto socket = ListenSocket::open(*address, std::nullopt, "", passed);
  if (!socket) return base::fail(StartError{EX_UNAVAILABLE, socket.error().text});
  const bool from_systemd = socket->from_systemd();
  const std::size_t index = entries_.size();
  auto handover = [this, index](Descriptor connection, Peer peer) {
    auto carried = std::make_shared<Descriptor>(std::move(connection));
    const Entry& entry = entries_[index];
    asio::post(worker_->io(), [this, kind = entry.kind, listener = entry.listener, carried, peer] {
      begin(kind, listener, std::move(*carried), peer);
    });
  };
  auto listener = std::make_shared<Listener>(
      home_, std::move(*socket), static_cast<std::uint32_t>(base::limits::map_clients),
      std::move(handover));
  entries_.push_back(Entry{*address, kind, std::move(listener)});
  base::log_info("", "listening at " + config::text_of(*address) + " (" +
                         listening().back().protocol +
                         (from_systemd ? ", socket from systemd)" : ")"));
  return {};
}

base::Result<void, StartError> Advisor::open_milter(
    const std::shared_ptr<const Snapshot>& snapshot) {
  auto ask = [this](const OutlookQuestion& question) {
    asio::post(worker_->io(), [this, question] { forecaster_->answer(question); });
  };
  board_ = std::make_unique<OutlookBoard>(std::move(ask));
  forecaster_ = std::make_unique<Forecaster>(*worker_, *board_);
  desk_ = std::make_unique<MilterDesk>(*board_, shared_, snapshot);
  const std::string& socket = snapshot->config->milter.socket;
  auto milter = Milter::open(socket, *desk_);
  if (!milter) return base::fail(std::move(milter.error()));
  milter_ = std::move(*milter);
  socket_ = socket;
  base::log_info("", "milter: listens at " + socket);
  return {};
}

// On the worker's thread.
void Advisor::begin(MapListener kind, std::shared_ptr<Listener> listener, Descriptor connection,
                    Peer peer) {
  try {
    asio::io_context& io = worker_->io();
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    ::getsockname(connection.get(), reinterpret_cast<sockaddr*>(&name), &size);
    const asio::generic::stream_protocol protocol(name.ss_family, 0);
    Channel::Socket socket(io, protocol, connection.get());
    connection.release();
    asio::co_spawn(io, live(*map_, kind, listener, std::move(socket)), asio::detached);
  } catch (const std::exception& error) {
    base::log_error("", "no policy map for " + peer.str() + ": " + error.what());
    listener->session_ended();
  }
}

asio::awaitable<void> Advisor::live(PolicyMap& map, MapListener kind,
                                    std::shared_ptr<Listener> listener, Channel::Socket socket) {
  try {
    co_await map.serve(kind, std::move(socket));
  } catch (const std::exception& error) {
    base::log_error("", std::string("policy map: internal error: ") + error.what());
  }
  listener->session_ended();
}

void Advisor::start() {
  guard_.emplace(asio::make_work_guard(worker_->io()));
  thread_ = std::thread([this] { worker_->run(); });
  for (const Entry& entry : entries_) entry.listener->start();
  if (milter_) milter_->start();
}

base::Result<void, base::Error> Advisor::adopt(std::shared_ptr<const Snapshot> snapshot) {
  auto tls_client = TlsClient::make(*snapshot->config, *shared_.clock);
  if (!tls_client) return base::fail(std::move(tls_client.error()));
  asio::post(worker_->io(), [this, snapshot, client = std::move(*tls_client)]() mutable {
    worker_->adopt(snapshot, std::move(client));
    map_->answers().clear();
    if (!forecaster_) return;
    // In this order: what is asked from now on is answered by the new configuration.
    forecaster_->clear();
    board_->clear();
  });
  if (desk_) desk_->adopt(snapshot);
  return {};
}

void Advisor::stop() {
  for (const Entry& entry : entries_) entry.listener->stop();
}

void Advisor::forget(const base::Domain& domain) {
  asio::post(worker_->io(), [this, domain] { map_->answers().forget(domain); });
}

std::vector<Server::Listening> Advisor::listening() const {
  std::vector<Server::Listening> out;
  for (const Entry& entry : entries_) {
    Server::Listening one;
    one.address = config::text_of(entry.address);
    one.protocol = entry.kind == MapListener::postfix ? "socketmap" : "socketmap for Sendmail";
    one.sessions = entry.listener->sessions();
    one.max_sessions = static_cast<std::uint32_t>(base::limits::map_clients);
    one.port = entry.listener->port();
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace proxy
