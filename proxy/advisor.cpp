#include "proxy/advisor.h"

#include <sysexits.h>

#include <boost/asio/post.hpp>

#include "proxy/tls_client.h"

namespace proxy {

namespace asio = boost::asio;

bool Advisor::wanted(const config::Config& config) {
  return config.socketmap.listen || config.socketmap.sendmail_listen ||
         !config.milter.socket.empty();
}

Advisor::Advisor(asio::io_context& home, Shared& shared) : home_(home), shared_(shared) {}

Advisor::~Advisor() {
  guard_.reset();
  if (worker_) worker_->io().stop();
  if (thread_.joinable()) thread_.join();
}

base::Result<void, StartError> Advisor::open(std::shared_ptr<const Snapshot> snapshot,
                                             PassedSockets&) {
  auto worker = Worker::make(shared_, snapshot);
  if (!worker) return base::fail(StartError{EX_CONFIG, worker.error().text});
  worker_ = std::move(*worker);
  return {};
}

void Advisor::start() {
  guard_.emplace(asio::make_work_guard(worker_->io()));
  thread_ = std::thread([this] { worker_->run(); });
}

base::Result<void, base::Error> Advisor::adopt(std::shared_ptr<const Snapshot> snapshot,
                                               std::vector<std::string>&) {
  auto tls_client = TlsClient::make(*snapshot->config, *shared_.clock);
  if (!tls_client) return base::fail(std::move(tls_client.error()));
  asio::post(worker_->io(), [this, snapshot, client = std::move(*tls_client)]() mutable {
    worker_->adopt(snapshot, std::move(client));
  });
  return {};
}

void Advisor::stop() {}

}  // namespace proxy
