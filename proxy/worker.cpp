#include "proxy/worker.h"

#include "base/limits.h"
#include "base/log.h"
#include "proxy/gather.h"
#include "proxy/near_histories.h"
#include "proxy/patience.h"
#include "proxy/pool.h"
#include "proxy/tls_client.h"

namespace proxy {
namespace {

// A client is watched from then on, while an MX is being waited for: longer than mail waits in line
// for a busy one, since watching costs two system calls.
constexpr std::chrono::milliseconds watched_after{500};

}  // namespace

Worker::Worker(Shared& shared, std::shared_ptr<const Snapshot> snapshot, Remembered remembered)
    : shared_(shared),
      snapshot_(std::move(snapshot)),
      gather_(std::make_unique<Gather>(shared, io_.get_executor(), remembered.facts)),
      plans_(remembered.plans),
      pool_(std::make_unique<Pool>(io_.get_executor(), shared.slots, shared.meters)),
      patience_(std::make_unique<Patience>(io_.get_executor(), watched_after)),
      histories_(shared.host_histories
                     ? std::make_unique<NearHistories>(*shared.host_histories, *shared.clock)
                     : nullptr) {}

Worker::~Worker() = default;

base::Result<std::unique_ptr<Worker>, base::Error> Worker::make(
    Shared& shared, std::shared_ptr<const Snapshot> snapshot, Remembered remembered) {
  auto tls = TlsClient::make(*snapshot->config, *shared.clock);
  if (!tls) return base::fail(std::move(tls.error()));
  std::unique_ptr<Worker> worker(new Worker(shared, std::move(snapshot), remembered));
  worker->tls_client_ = std::move(*tls);
  return worker;
}

void Worker::run() {
  for (;;) {
    try {
      io_.run();
      return;
    } catch (const std::exception& error) {
      base::log_error("", std::string("internal error in a worker: ") + error.what());
    }
  }
}

void Worker::adopt(std::shared_ptr<const Snapshot> snapshot,
                   std::shared_ptr<TlsClient> tls_client) {
  snapshot_ = std::move(snapshot);
  tls_client_ = std::move(tls_client);
  gather_->clear();
  plans_.clear();
  pool_->close_all();
}

bool Worker::first_sight(const std::string& digest) {
  const auto today = std::chrono::floor<std::chrono::days>(shared_.clock->wall());
  if (digests_.size() >= base::limits::domain_facts || digests_day_ != today) digests_.clear();
  digests_day_ = today;
  return digests_.insert(digest).second;
}

}  // namespace proxy
