#include "proxy/discard.h"

namespace proxy {

Discard::Discard(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
                 std::shared_ptr<const Transaction> transaction, base::Domain domain)
    : worker_(worker),
      snapshot_(std::move(snapshot)),
      transaction_(std::move(transaction)),
      domain_(std::move(domain)) {}

Discard::~Discard() { abandon("the transaction ended before the message"); }

boost::asio::awaitable<smtp::Reply> Discard::recipient(smtp::Mailbox, bool) {
  ++accepted_;
  co_return smtp::make_reply(250, {2, 1, 5}, "Bounces of report mail are dropped");
}

boost::asio::awaitable<std::optional<smtp::Reply>> Discard::begin_data() {
  co_return std::nullopt;
}

boost::asio::awaitable<bool> Discard::write(std::string_view octets, bool) {
  taken_ += octets.size();
  co_return true;
}

boost::asio::awaitable<smtp::Reply> Discard::finish() {
  ended_ = true;
  auto promised = worker_.shared().log->reserve();
  if (!promised) {
    smtp::Reply refusal = smtp::make_reply(
        451, {4, 3, 0}, "the enforcement log cannot be written: " + promised.error().text);
    refusal = smtp::with_id(std::move(refusal), transaction_->id);
    OutcomeNote told = note(audit::Verdict::deferred, {});
    told.reply = refusal.str();
    worker_.shared().log->append(outcome_record(*transaction_, told));
    co_return refusal;
  }
  smtp::Reply reply = smtp::make_reply(250, {2, 0, 0}, "A bounce of report mail, dropped");
  OutcomeNote told = note(audit::Verdict::dropped,
                          "a bounce of report mail of this relay's own, which nobody reads");
  told.reply = reply.str();
  worker_.shared().log->append(outcome_record(*transaction_, told), std::move(*promised));
  co_return reply;
}

void Discard::abandon(std::string why) {
  if (ended_ || accepted_ == 0) return;
  ended_ = true;
  const OutcomeNote told = note(audit::Verdict::deferred, std::move(why));
  worker_.shared().log->append(outcome_record(*transaction_, told));
}

OutcomeNote Discard::note(audit::Verdict verdict, std::string reason) const {
  OutcomeNote told;
  told.domain = domain_;
  told.recipients = accepted_;
  told.verdict = verdict;
  if (snapshot_->settings.mode == policy::Mode::observe) told.would_be = verdict;
  told.reason = std::move(reason);
  return told;
}

}  // namespace proxy
