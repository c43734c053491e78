// Transport: where one recipient domain of one transaction goes, from its first RCPT to the reply
// behind the dot. Two of them: Delivery asks the MX and passes on what it says; Discard takes
// bounces of our own report mail and asks nobody. The session has one at a time over SMTP, an LMTP
// transaction up to a hundred. Lives on one thread, that of its session.
//
// Order of calls: recipient()* , then begin_data(), write()*, finish(); or abandon() at any time.
// Calls never overlap, but for abandon() and drop(). Every 4xx and 5xx of the relay's own carries
// the ID.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "smtp/envelope.h"
#include "smtp/reply.h"

namespace proxy {

class Dialled;

// What the session knows of a transaction; shared by its transports. `queue_id` may become known
// only while the header streams: they read it when they log.
struct Transaction {
  std::string id;        // the transaction's ID, in every reply and log line
  std::string queue_id;  // the MTA's, "" while unknown
  smtp::Envelope envelope;
  std::string received;  // our Received field, ready to send, "" with outbound.add_received false
  bool lmtp = false;
  std::shared_ptr<Dialled> dialled;  // where the MTA was going; null: it came to us
};

class Transport {
 public:
  Transport() = default;
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  // One RCPT and its reply. Ends within outbound.recipient_wait. `data_next`: it is the only one,
  // and begin_data() follows at once if it is accepted, or abandon().
  virtual boost::asio::awaitable<smtp::Reply> recipient(smtp::Mailbox mailbox,
                                                        bool data_next) = 0;

  // nullopt: octets may come. A reply: it is final for all accepted recipients; nothing was sent.
  virtual boost::asio::awaitable<std::optional<smtp::Reply>> begin_data() = 0;

  // Octets of the message as the client sent them (dots stuffed), without the terminator. `more`:
  // others or finish() follow at once, so that few octets may wait to go out with them. False: no
  // more are taken, finish() has the reply. Octets must stay valid until it returns.
  virtual boost::asio::awaitable<bool> write(std::string_view octets, bool more) = 0;
  // How many octets were taken: for the session's rule on an MX that holds others up.
  virtual std::uint64_t octets_taken() const = 0;
  // Ends it because it holds the others up; finish() will say so.
  virtual void drop(std::string reason) = 0;
  // The message needs SMTPUTF8 after all (a non-ASCII header field was seen): whether it will do.
  virtual bool has_smtputf8() const = 0;

  // After the client's final dot. The reply is for every accepted recipient.
  virtual boost::asio::awaitable<smtp::Reply> finish() = 0;
  // The session could not hand that reply to the client.
  virtual void client_lost_reply() = 0;

  // The transaction ended before the dot (RSET, disconnect, refused data).
  virtual void abandon(std::string why) = 0;
};

}  // namespace proxy
