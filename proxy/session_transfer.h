// Transfer: the session's side of one transaction, from MAIL to the last reply. One lane for each
// recipient domain and kind of mail (ordinary, report mail of our own, bounces of it), so that one
// kind never goes by the terms of another; each lane has its Transport. Replies stand in the order
// of the RCPTs, whichever lane answers first (RFC 2920 §3.2, RFC 2033 §4.2). Holds the rules for
// lanes that hold others up. It neither reads from nor writes to the client: proxy/session does.
// Lives on one thread; the coroutines of the lanes keep it alive when the session has gone.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/channel.h"
#include "proxy/event.h"
#include "proxy/mail_kind.h"
#include "proxy/transport.h"
#include "proxy/worker.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace proxy {

// How one MX keeps up with the others (only time spent waiting for it counts).
class Pace {
 public:
  // Called when the lane is given octets, and again at every look while it has not taken them all.
  void begin(SteadyTime now, std::uint64_t taken);
  void end(SteadyTime now, std::uint64_t taken);
  // Why the lane is to be dropped: no octet for 30 s, or under 1 KiB/s over a minute.
  std::optional<std::string> verdict(SteadyTime now, std::uint64_t taken);

 private:
  void look(SteadyTime now, std::uint64_t taken);
  SteadyTime looked_{};
  std::uint64_t taken_ = 0;
  SteadyTime::duration silent_{0};  // waited since the last octet was taken
  SteadyTime::duration window_{0};  // waited in this window
  std::uint64_t window_taken_ = 0;  // taken in this window
};

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<Transaction> transaction);

  const std::string& id() const { return transaction_->id; }
  const std::shared_ptr<Transaction>& transaction() const { return transaction_; }

  // ---- recipients. Each call takes the next place in the order of replies.
  void answer(smtp::Reply reply);
  // Finds or makes the lane and asks its Transport, one recipient after the other. `data_next`: the
  // client's next command, which is here already, is DATA.
  void recipient(smtp::Mailbox mailbox, bool data_next);
  std::size_t recipients() const { return places_.size(); }
  std::size_t accepted() const;
  // The address where there is just one RCPT, "" otherwise.
  const std::string& only_recipient() const { return only_recipient_; }
  // The next reply in order, once; nullopt while it is not known.
  std::optional<smtp::Reply> next_reply();
  bool all_answered() const { return told_ == places_.size(); }

  // ---- data. Lanes with accepted recipients only.
  boost::asio::awaitable<void> begin_data();
  bool any_streaming() const;
  // The reply that stands for the whole message where there is one lane and its MX refused DATA.
  std::optional<smtp::Reply> refused_data() const;
  // To all streaming lanes at the pace of the slowest. `more`: as Transport::write says.
  boost::asio::awaitable<void> write(std::string_view octets, bool more);
  // Ends the lanes whose MX session has no SMTPUTF8.
  void needs_smtputf8(const smtp::Reply& reply);
  // Every lane ends without its dot; `reply` is for all accepted recipients.
  void refuse(const smtp::Reply& reply);
  // Sends the dot in every streaming lane; final_reply() tells the outcomes.
  void finish();
  // For the accepted recipient number `index`, in order of RCPT; nullopt while not known.
  std::size_t finals() const;
  std::optional<smtp::Reply> final_reply(std::size_t index) const;
  // The client got the replies up to `index`, not beyond.
  void client_lost_from(std::size_t index);

  // RSET, disconnect, drain: nothing is finished that was not. Late lanes end by themselves.
  void abandon(const std::string& why);

  // Ends when something changed since the last call, or at `deadline` or the next time limit of a
  // lane (which is applied), whichever comes first.
  boost::asio::awaitable<void> changed(SteadyTime deadline);
  void notify();

 private:
  struct Waiting {
    std::size_t place = 0;
    smtp::Mailbox mailbox;
    bool data_next = false;
  };
  struct Lane {
    std::string name;  // the recipient domain, or the address literal
    MailKind kind = MailKind::ordinary;
    std::unique_ptr<Transport> transport;
    std::deque<Waiting> waiting;
    std::optional<std::size_t> asked;                           // place under way
    SteadyTime asked_since{};
    SteadyTime::duration waited{0};  // of lmtp_wait, by replies that came
    std::size_t accepted = 0;
    bool busy = false;       // a call to the Transport is under way
    bool late = false;       // out of lmtp_wait: only its memory of hosts counts
    bool streaming = false;  // the MX said 354, the dot was not sent
    bool broken = false;     // it was streaming; finish() has the reply
    bool reply_lost = false;
    std::optional<smtp::Reply> final;
    Pace pace;
  };
  using LanePtr = std::shared_ptr<Lane>;
  struct Place {
    LanePtr lane;  // null: answered by the relay itself
    std::optional<smtp::Reply> reply;
  };

  static boost::asio::awaitable<void> ask(std::shared_ptr<Transfer> self, LanePtr lane);
  static boost::asio::awaitable<void> open(std::shared_ptr<Transfer> self, LanePtr lane);
  static boost::asio::awaitable<void> push(std::shared_ptr<Transfer> self, LanePtr lane,
                                           std::string_view octets, bool more);
  static boost::asio::awaitable<void> push_and_tell(std::shared_ptr<Transfer> self, LanePtr lane,
                                                    std::string_view octets, bool more);
  static boost::asio::awaitable<void> end(std::shared_ptr<Transfer> self, LanePtr lane);
  void spawn(boost::asio::awaitable<void> step);

  LanePtr lane_for(const smtp::Mailbox& mailbox, std::optional<smtp::Reply>& refusal);
  LanePtr make_lane(const std::string& name, MailKind kind, const smtp::Mailbox& mailbox);
  std::unique_ptr<Transport> make_transport(MailKind kind, const smtp::Mailbox& mailbox);
  std::vector<LanePtr> ready_lanes() const;
  std::vector<LanePtr> streaming_lanes() const;
  std::optional<SteadyTime> lateness(const Lane& lane) const;
  void apply_limits(SteadyTime at);
  void make_late(Lane& lane);
  void drop_slow(const std::vector<LanePtr>& lanes, SteadyTime at);
  smtp::Reply own(int code, smtp::EnhancedCode enhanced, const std::string& text) const;
  smtp::Reply internal_error(const std::exception& error) const;
  SteadyTime now() const;

  Worker& worker_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<Transaction> transaction_;
  std::vector<LanePtr> lanes_;
  std::vector<Place> places_;
  std::size_t told_ = 0;
  std::string only_recipient_;
  std::vector<LanePtr> accepted_order_;  // one for each accepted recipient, once data began
  std::optional<SteadyTime> first_ready_;
  bool opening_ = false;  // from DATA to the last answer to it
  bool over_ = false;
  bool change_ = false;
  Event event_;
};

}  // namespace proxy
