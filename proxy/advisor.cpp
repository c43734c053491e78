#include "proxy/advisor.h"

#include <sysexits.h>

#include <boost/asio/post.hpp>

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
  if (board_) board_->close();  // Nobody waits for an answer any more.
  milter_.reset();
  guard_.reset();
  if (worker_) worker_->io().stop();
  if (thread_.joinable()) thread_.join();
}

base::Result<void, StartError> Advisor::open(std::shared_ptr<const Snapshot> snapshot,
                                             PassedSockets&) {
  auto worker = Worker::make(shared_, snapshot);
  if (!worker) return base::fail(StartError{EX_CONFIG, worker.error().text});
  worker_ = std::move(*worker);
  if (snapshot->config->milter.socket.empty()) return {};
  return open_milter(snapshot);
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

void Advisor::start() {
  guard_.emplace(asio::make_work_guard(worker_->io()));
  thread_ = std::thread([this] { worker_->run(); });
  if (milter_) milter_->start();
}

base::Result<void, base::Error> Advisor::adopt(std::shared_ptr<const Snapshot> snapshot,
                                               std::vector<std::string>& kept) {
  auto tls_client = TlsClient::make(*snapshot->config, *shared_.clock);
  if (!tls_client) return base::fail(std::move(tls_client.error()));
  asio::post(worker_->io(), [this, snapshot, client = std::move(*tls_client)]() mutable {
    worker_->adopt(snapshot, std::move(client));
    if (!forecaster_) return;
    // In this order: what is asked from now on is answered by the new configuration.
    forecaster_->clear();
    board_->clear();
  });
  if (desk_) desk_->adopt(snapshot);
  if (snapshot->config->milter.socket != socket_) kept.push_back("milter.socket");
  return {};
}

void Advisor::stop() {}

}  // namespace proxy
