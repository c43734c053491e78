#include "proxy/dialled.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "proxy/host_memory.h"
#include "proxy/pool.h"

namespace proxy {

Dialled::Dialled(Worker& worker, std::shared_ptr<const Snapshot> snapshot, config::Tcp where)
    : worker_(worker), snapshot_(std::move(snapshot)), where_(where) {}

// As proxy/walk names an address to the memory of hosts.
std::string Dialled::key() const {
  return "a|" + where_.address.str() + "|" + std::to_string(where_.port);
}

void Dialled::begin() {
  const config::Outbound& outbound = snapshot_->config->outbound;
  const base::Ip& ip = where_.address;
  if (base::is_private_destination(ip) &&
      !base::any_contains(outbound.private_destinations, ip)) {
    finish(std::nullopt);
    return;
  }
  const auto look = worker_.shared().host_memory->look(key(), std::chrono::steady_clock::now(),
                                                       outbound.host_memory);
  if (look.marked) {
    finish(look.reason + " (seen within the last " +
           std::to_string(outbound.host_memory.count() / 1000) + " s and not tried again before)");
    return;
  }
  auto slot = worker_.shared().slots->take(ip, outbound.max_connections_per_mx);
  if (!slot && worker_.pool().make_place(ip)) {
    slot = worker_.shared().slots->take(ip, outbound.max_connections_per_mx);
  }
  if (!slot) {
    finish(std::nullopt);
    return;
  }
  asio::co_spawn(worker_.io(), open(shared_from_this(), std::move(*slot)), asio::detached);
}

void Dialled::finish(std::optional<std::string> failure) {
  failure_ = std::move(failure);
  known_ = true;
  event_.notify_all();
}

asio::awaitable<void> Dialled::known() {
  while (!known_) co_await event_.wait(SteadyTime::max());
}

asio::awaitable<void> Dialled::open(std::shared_ptr<Dialled> self, MxSlots::Slot slot) {
  const config::Config& config = *self->snapshot_->config;
  const config::Outbound& outbound = config.outbound;
  const MxTimes times{std::chrono::steady_clock::now() + outbound.recipient_wait, &outbound};
  std::string failure;
  try {
    auto opened = co_await PlainMx::open(self->worker_.io().get_executor(), self->where_, outbound,
                                         config.server.hostname, times, std::move(slot));
    HostMemory& memory = *self->worker_.shared().host_memory;
    if (opened) {
      memory.clear(self->key());
      self->connection_ = std::move(*opened);
      if (self->closed_) self->close();
      self->finish(std::nullopt);
      co_return;
    }
    const MxFailure& why = opened.error();
    failure = self->where_.address.literal() + ": " + why.text;
    if (why.kind == MxFailure::Kind::unreachable || why.timed_out) {
      memory.mark(self->key(), failure, std::chrono::steady_clock::now(), outbound.host_memory);
    }
  } catch (const std::exception& error) {
    base::log_error("", std::string("internal error while connecting: ") + error.what());
    failure = "internal error";
  }
  self->finish(std::move(failure));
}

std::unique_ptr<PlainMx> Dialled::take() {
  if (connection_ && connection_->is_stale()) close();
  return std::move(connection_);
}

void Dialled::close() {
  closed_ = true;
  if (connection_) connection_->quit();
  connection_.reset();
}

}  // namespace proxy
