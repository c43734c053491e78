// Delivery: one recipient domain of one transaction, from its first RCPT to the MX's answer to the
// dot. Gathers, plans, walks the hosts MX by MX, judges each session, and passes on what the MX
// says. It has its own budgets and never answers 2xx before the MX has. Lives on one thread, that
// of its session. The session (SMTP) has one at a time, an LMTP transaction up to a hundred.
//
// Order of calls: recipient()* , then begin_data(), write()*, finish(); or abandon() at any time.
// Calls never overlap, but for abandon(). Every 4xx and 5xx of the relay's own carries the ID.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/domain.h"
#include "proxy/channel.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace proxy {

class Worker;
struct Snapshot;

// What the session knows of a transaction; shared by its deliveries. `queue_id` may become known
// only while the header streams: deliveries read it when they log.
struct Transaction {
  std::string id;        // the transaction's ID, in every reply and log line
  std::string queue_id;  // the MTA's, "" while unknown
  smtp::Envelope envelope;
  std::string received;  // our Received field, ready to send, "" with outbound.add_received false
  bool lmtp = false;
};

class Delivery {
 public:
  Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const Transaction> transaction, base::Domain domain);
  // For recipients at address literals: no MX, no policies but the operator's default.
  Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const Transaction> transaction, base::Ip literal);
  ~Delivery();
  Delivery(const Delivery&) = delete;
  Delivery& operator=(const Delivery&) = delete;

  // One RCPT: on the first, connects to the first good host and sends MAIL; returns the MX's reply
  // or our own. Ends within outbound.recipient_wait.
  asio::awaitable<smtp::Reply> recipient(smtp::Mailbox mailbox);
  std::size_t accepted() const;  // recipients with a 2xx so far

  // nullopt: the MX said 354. A reply: it is final for all accepted recipients; nothing was sent.
  asio::awaitable<std::optional<smtp::Reply>> begin_data();

  // Octets of the message as the client sent them (dots stuffed), without the terminator; our
  // Received field goes in front by itself. False: the MX is lost or stalled, finish() has the
  // reply. Octets must stay valid until it returns.
  asio::awaitable<bool> write(std::string_view octets);
  // How long ago the MX took octets last, and how many it took: for the session's rule on an MX
  // that holds others up.
  std::uint64_t octets_taken() const;
  // Drops the MX because it holds the others up; finish() will say so.
  void drop(std::string reason);
  // The message needs SMTPUTF8 after all (a non-ASCII header field was seen): whether the MX
  // session was started with it.
  bool has_smtputf8() const;

  // After the client's final dot: sends the dot, waits for the answer up to outbound.final_wait.
  // The reply is for every accepted recipient. `uncertain` is logged when the MX is lost here.
  asio::awaitable<smtp::Reply> finish();
  // The session could not hand the reply to the client: the log says uncertain where it was 2xx.
  void client_lost_reply();

  // The transaction ended before the dot (RSET, disconnect, refused data): the MX never sees a
  // finished message. Outside DATA the connection goes back to the pool after RSET.
  void abandon(std::string why);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace proxy
