// Transfer, from DATA to the replies behind the dot.
#include <algorithm>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/session_transfer.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds silence_limit{30};
constexpr std::chrono::seconds pace_window{60};
constexpr std::uint64_t pace_octets = 60 * 1024;  // 1 KiB/s over the window
constexpr std::chrono::seconds look_interval{1};

bool any_busy(const auto& lanes) {
  return std::ranges::any_of(lanes, [](const auto& lane) { return lane->busy && !lane->late; });
}

}  // namespace

void Pace::begin(SteadyTime now, std::uint64_t taken) {
  looked_ = now;
  taken_ = taken;
}

void Pace::look(SteadyTime now, std::uint64_t taken) {
  const auto waited = now - looked_;
  const std::uint64_t more = taken - taken_;
  looked_ = now;
  taken_ = taken;
  window_ += waited;
  window_taken_ += more;
  if (more > 0) {
    silent_ = {};
  } else {
    silent_ += waited;
  }
}

void Pace::end(SteadyTime now, std::uint64_t taken) {
  look(now, taken);
  silent_ = {};  // It has taken all that there was.
}

std::optional<std::string> Pace::verdict(SteadyTime now, std::uint64_t taken) {
  look(now, taken);
  if (silent_ >= silence_limit) return "took no data for 30 s";
  if (window_ < pace_window) return std::nullopt;
  const bool slow = window_taken_ < pace_octets;
  window_ = {};
  window_taken_ = 0;
  if (slow) return "took under 1 KiB/s over a minute";
  return std::nullopt;
}

std::vector<Transfer::LanePtr> Transfer::ready_lanes() const {
  std::vector<LanePtr> lanes;
  std::ranges::copy_if(lanes_, std::back_inserter(lanes), [](const LanePtr& lane) {
    return lane->accepted > 0 && !lane->late;
  });
  return lanes;
}

std::vector<Transfer::LanePtr> Transfer::streaming_lanes() const {
  std::vector<LanePtr> lanes;
  std::ranges::copy_if(lanes_, std::back_inserter(lanes),
                       [](const LanePtr& lane) { return lane->streaming; });
  return lanes;
}

// ── DATA ────────────────────────────────────────────────────────────────────────────────────────

asio::awaitable<void> Transfer::open(std::shared_ptr<Transfer> self, LanePtr lane) {
  std::optional<smtp::Reply> refusal;
  try {
    refusal = co_await lane->transport->begin_data();
  } catch (const std::exception& error) {
    refusal = self->internal_error(error);
  }
  lane->busy = false;
  if (lane->late || self->over_) {
    lane->transport->abandon("the message went on without it");
  } else if (refusal) {
    lane->final = std::move(refusal);
  } else {
    lane->streaming = true;
    if (!self->first_ready_) self->first_ready_ = self->now();
  }
  self->notify();
}

asio::awaitable<void> Transfer::begin_data() {
  for (const auto& place : places_) {
    if (place.reply && place.reply->is_positive()) accepted_order_.push_back(place.lane);
  }
  opening_ = true;
  first_ready_.reset();
  const std::vector<LanePtr> lanes = ready_lanes();
  for (const auto& lane : lanes) {
    lane->busy = true;
    lane->asked_since = now();
    lane->waited = {};
  }
  if (lanes.size() == 1) {
    co_await open(shared_from_this(), lanes.front());
  } else {
    for (const auto& lane : lanes) spawn(open(shared_from_this(), lane));
    while (any_busy(lanes)) co_await changed(SteadyTime::max());
  }
  opening_ = false;
}

bool Transfer::any_streaming() const {
  return std::ranges::any_of(lanes_, [](const LanePtr& lane) { return lane->streaming; });
}

std::optional<smtp::Reply> Transfer::refused_data() const {
  if (any_streaming() || accepted_order_.empty()) return std::nullopt;
  return accepted_order_.front()->final;
}

// ── the body ────────────────────────────────────────────────────────────────────────────────────

asio::awaitable<void> Transfer::push(std::shared_ptr<Transfer> self, LanePtr lane,
                                     std::string_view octets, bool more) {
  bool taken = false;
  try {
    taken = co_await lane->transport->write(octets, more);
  } catch (const std::exception& error) {
    lane->final = self->internal_error(error);
    lane->transport->abandon("internal error");
  }
  lane->busy = false;
  if (!taken && lane->streaming) {
    lane->streaming = false;
    lane->broken = !lane->final;
  }
}

asio::awaitable<void> Transfer::write(std::string_view octets, bool more) {
  const std::vector<LanePtr> lanes = streaming_lanes();
  if (lanes.size() == 1) {
    lanes.front()->busy = true;
    co_await push(shared_from_this(), lanes.front(), octets, more);
    co_return;
  }
  for (const auto& lane : lanes) {
    lane->busy = true;
    lane->pace.begin(now(), lane->transport->octets_taken());
    spawn(push_and_tell(shared_from_this(), lane, octets, more));
  }
  while (any_busy(lanes)) {
    co_await changed(now() + look_interval);
    drop_slow(lanes, now());
  }
}

asio::awaitable<void> Transfer::push_and_tell(std::shared_ptr<Transfer> self, LanePtr lane,
                                              std::string_view octets, bool more) {
  co_await push(self, lane, octets, more);
  lane->pace.end(self->now(), lane->transport->octets_taken());
  self->notify();
}

void Transfer::drop_slow(const std::vector<LanePtr>& lanes, SteadyTime at) {
  for (const auto& lane : lanes) {
    if (!lane->busy) continue;
    const auto reason = lane->pace.verdict(at, lane->transport->octets_taken());
    if (!reason) continue;
    base::log_warn(id(), "the MX of " + lane->name + " is dropped: it " + *reason +
                             " and held the other recipient domains up");
    lane->transport->drop("it " + *reason + " while other recipient domains waited");
  }
}

void Transfer::needs_smtputf8(const smtp::Reply& reply) {
  for (const auto& lane : streaming_lanes()) {
    if (lane->transport->has_smtputf8()) continue;
    lane->streaming = false;
    lane->final = reply;
    lane->transport->abandon("a header field needs SMTPUTF8, which the MX does not have");
  }
}

void Transfer::refuse(const smtp::Reply& reply) {
  for (const auto& lane : lanes_) {
    if (lane->accepted == 0 || lane->late || lane->final) continue;
    lane->streaming = false;
    lane->broken = false;
    lane->final = reply;
    lane->transport->abandon(reply.str());
  }
}

// ── behind the dot ──────────────────────────────────────────────────────────────────────────────

asio::awaitable<void> Transfer::end(std::shared_ptr<Transfer> self, LanePtr lane) {
  try {
    lane->final = co_await lane->transport->finish();
  } catch (const std::exception& error) {
    lane->final = self->internal_error(error);
  }
  lane->busy = false;
  if (lane->reply_lost && lane->final->is_positive()) lane->transport->client_lost_reply();
  self->notify();
}

void Transfer::finish() {
  for (const auto& lane : lanes_) {
    if ((!lane->streaming && !lane->broken) || lane->final) continue;
    lane->streaming = false;
    lane->busy = true;
    spawn(end(shared_from_this(), lane));
  }
}

std::size_t Transfer::finals() const { return accepted_order_.size(); }

std::optional<smtp::Reply> Transfer::final_reply(std::size_t index) const {
  return accepted_order_.at(index)->final;
}

void Transfer::client_lost_from(std::size_t index) {
  for (; index < accepted_order_.size(); ++index) {
    Lane& lane = *accepted_order_[index];
    if (lane.reply_lost) continue;
    lane.reply_lost = true;
    if (lane.final && lane.final->is_positive()) lane.transport->client_lost_reply();
  }
}

}  // namespace proxy
