#include "proxy/session_transfer.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "proxy/delivery.h"
#include "proxy/discard.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

std::string seconds_text(config::Duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  std::string text = std::to_string(seconds);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text + " s";
}

// Of a transaction that is for one of them, in words.
std::string one_lane(MailKind kind, const std::string& name, bool same_domain) {
  switch (kind) {
    case MailKind::report: return "report mail to " + name;
    case MailKind::bounce: return "bounces of report mail";
    case MailKind::ordinary: break;
  }
  return same_domain ? "other mail to " + name : name;
}

}  // namespace

Transfer::Transfer(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                   std::shared_ptr<Transaction> transaction)
    : worker_(worker), snapshot_(std::move(snapshot)), transaction_(std::move(transaction)) {}

SteadyTime Transfer::now() const { return worker_.shared().clock->steady(); }

smtp::Reply Transfer::own(int code, smtp::EnhancedCode enhanced, const std::string& text) const {
  return smtp::with_id(smtp::make_reply(code, enhanced, text), id());
}

smtp::Reply Transfer::internal_error(const std::exception& error) const {
  base::log_error(id(), std::string("internal error in a delivery: ") + error.what());
  return own(451, smtp::EnhancedCode{4, 3, 0}, "Internal error");
}

void Transfer::spawn(asio::awaitable<void> step) {
  asio::co_spawn(worker_.io(), std::move(step), asio::detached);
}

void Transfer::notify() {
  change_ = true;
  event_.notify_all();
}

asio::awaitable<void> Transfer::changed(SteadyTime deadline) {
  if (!change_) {
    for (const auto& lane : lanes_) {
      if (const auto limit = lateness(*lane)) deadline = std::min(deadline, *limit);
    }
    co_await event_.wait(deadline);
  }
  change_ = false;
  apply_limits(now());
}

// ── recipients ──────────────────────────────────────────────────────────────────────────────────

void Transfer::answer(smtp::Reply reply) {
  Place place;
  place.reply = std::move(reply);
  places_.push_back(std::move(place));
}

std::unique_ptr<Transport> Transfer::make_transport(MailKind kind, const smtp::Mailbox& mailbox) {
  const auto* domain = std::get_if<base::Domain>(&mailbox.domain);
  if (kind == MailKind::bounce && domain) {
    return std::make_unique<Discard>(worker_, snapshot_, transaction_, *domain);
  }
  auto terms = kind == MailKind::report ? snapshot_->freed : snapshot_;
  if (domain) return std::make_unique<Delivery>(worker_, std::move(terms), transaction_, *domain);
  const auto& literal = std::get<base::Ip>(mailbox.domain);
  return std::make_unique<Delivery>(worker_, std::move(terms), transaction_, literal);
}

Transfer::LanePtr Transfer::make_lane(const std::string& name, MailKind kind,
                                      const smtp::Mailbox& mailbox) {
  auto lane = std::make_shared<Lane>();
  lane->name = name;
  lane->kind = kind;
  lane->transport = make_transport(kind, mailbox);
  lanes_.push_back(lane);
  return lane;
}

Transfer::LanePtr Transfer::lane_for(const smtp::Mailbox& mailbox,
                                     std::optional<smtp::Reply>& refusal) {
  const std::string name = destination_of(mailbox);
  const Shared& shared = worker_.shared();
  const MailKind kind = mail_kind(shared.report_mail, transaction_->envelope, mailbox,
                                  shared.clock->wall());
  const auto same = [&](const LanePtr& lane) { return lane->name == name && lane->kind == kind; };
  const auto found = std::ranges::find_if(lanes_, same);
  if (found != lanes_.end()) {
    if ((*found)->late) {
      refusal = own(451, smtp::EnhancedCode{4, 4, 1},
                    "The MX hosts of " + name + " did not answer in time");
      return nullptr;
    }
    return *found;
  }
  if (transaction_->lmtp) {
    if (lanes_.size() >= base::limits::domains_per_transaction) {
      refusal = own(452, smtp::EnhancedCode{4, 5, 3}, "Too many recipient domains");
      return nullptr;
    }
  } else if (!lanes_.empty()) {
    const LanePtr current = lanes_.back();
    if (current->accepted > 0) {
      // RFC 9422 §4: LIMITS RCPTDOMAINMAX=1.
      refusal = own(452, smtp::EnhancedCode{4, 5, 3},
                    "One recipient domain a transaction; this one is for " +
                        one_lane(current->kind, current->name, current->name == name));
      return nullptr;
    }
    // None accepted so far: the next recipient's domain becomes the transaction's.
    current->transport->abandon("another recipient domain took its place");
    lanes_.clear();
  }
  return make_lane(name, kind, mailbox);
}

void Transfer::recipient(smtp::Mailbox mailbox, bool data_next) {
  only_recipient_ = places_.empty() ? mailbox.address() : std::string();
  std::optional<smtp::Reply> refusal;
  LanePtr lane;
  try {
    lane = lane_for(mailbox, refusal);
  } catch (const std::exception& error) {
    refusal = internal_error(error);
  }
  if (refusal) {
    answer(std::move(*refusal));
    return;
  }
  const std::size_t index = places_.size();
  places_.push_back(Place{lane, std::nullopt});
  lane->waiting.push_back({index, std::move(mailbox), data_next && index == 0});
  if (lane->busy) return;
  lane->busy = true;
  spawn(ask(shared_from_this(), lane));
}

asio::awaitable<void> Transfer::ask(std::shared_ptr<Transfer> self, LanePtr lane) {
  while (!lane->waiting.empty() && !lane->late && !self->over_) {
    auto [index, mailbox, data_next] = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    lane->asked = index;
    lane->asked_since = self->now();
    smtp::Reply reply;
    try {
      reply = co_await lane->transport->recipient(std::move(mailbox), data_next);
    } catch (const std::exception& error) {
      reply = self->internal_error(error);
    }
    lane->asked.reset();
    if (self->first_ready_) {
      lane->waited += self->now() - std::max(*self->first_ready_, lane->asked_since);
    }
    if (lane->late || self->over_) break;
    if (reply.is_positive()) {
      ++lane->accepted;
      if (!self->first_ready_) self->first_ready_ = self->now();
    }
    self->places_[index].reply = std::move(reply);
    self->notify();
  }
  lane->busy = false;
  if (lane->late || self->over_) lane->transport->abandon("its recipients were answered before");
  self->notify();
}

std::size_t Transfer::accepted() const {
  return static_cast<std::size_t>(std::ranges::count_if(places_, [](const Place& place) {
    return place.reply && place.reply->is_positive();
  }));
}

std::optional<smtp::Reply> Transfer::next_reply() {
  if (told_ == places_.size()) return std::nullopt;
  auto& reply = places_[told_].reply;
  if (!reply) return std::nullopt;
  ++told_;
  return reply;
}

// ── lanes that hold others up ───────────────────────────────────────────────────────────────────

// When the lane has to answer: once another one is ready, it has lmtp_wait.
std::optional<SteadyTime> Transfer::lateness(const Lane& lane) const {
  if (!transaction_->lmtp || !lane.busy || lane.late || !first_ready_) return std::nullopt;
  if (!lane.asked && !opening_) return std::nullopt;
  const bool another = std::ranges::any_of(lanes_, [&](const LanePtr& other) {
    const bool ready = opening_ ? other->streaming : other->accepted > 0;
    return other.get() != &lane && ready && !other->late;
  });
  if (!another) return std::nullopt;
  return std::max(*first_ready_, lane.asked_since) + snapshot_->config->outbound.lmtp_wait -
         lane.waited;
}

void Transfer::make_late(Lane& lane) {
  const std::string wait = seconds_text(snapshot_->config->outbound.lmtp_wait);
  const smtp::Reply reply =
      own(451, smtp::EnhancedCode{4, 4, 1},
          "The MX hosts of " + lane.name + " did not answer within " + wait +
              " (outbound.lmtp_wait) of another recipient domain of this message");
  lane.late = true;
  if (lane.asked) places_[*lane.asked].reply = reply;
  for (const Waiting& one : lane.waiting) places_[one.place].reply = reply;
  lane.waiting.clear();
  if (lane.accepted > 0) lane.final = reply;
  base::log_info(id(), lane.name + " is late: the other recipient domains go on without it");
}

void Transfer::apply_limits(SteadyTime at) {
  for (const auto& lane : lanes_) {
    const auto limit = lateness(*lane);
    if (limit && at >= *limit) make_late(*lane);
  }
}

void Transfer::abandon(const std::string& why) {
  if (over_) return;
  over_ = true;
  for (const auto& lane : lanes_) {
    lane->waiting.clear();
    lane->streaming = false;
    // A late lane's attempt ends by itself: hosts are remembered by what comes of it.
    if (!lane->late) lane->transport->abandon(why);
  }
  notify();
}

}  // namespace proxy
