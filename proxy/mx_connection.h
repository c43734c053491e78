// The client side of SMTP towards one MX address, in two types. PlainMx has greeted and said EHLO
// in cleartext and can only become an MxSession, by start_tls() or stay_in_cleartext(); all it
// learnt before TLS is gone with it, and start_tls() fails when octets are left over (injection).
// MxSession speaks SMTP after that: EHLO again, MAIL (only with an Authorized from judge()), RCPT,
// DATA, the body, the dot. Every reply is bounded in size and in time as a whole, so one octet a
// second does not help a peer. Decides nothing about policies. Used by proxy/delivery and the pool.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "config/config.h"
#include "policy/judge.h"
#include "proxy/channel.h"
#include "proxy/mx_slots.h"
#include "smtp/envelope.h"
#include "smtp/extensions.h"
#include "smtp/reply.h"

namespace proxy {

struct MxFailure {
  enum class Kind {
    unreachable,  // no TCP connection, or no greeting in time
    refused,      // 4yz or 5yz to the greeting or EHLO; `reply` says what
    broken,       // it went away, or a time-out, after the greeting
    garbled,      // what it sent is no SMTP, or is too much of it
    tls,          // the handshake failed
  };
  Kind kind = Kind::broken;
  std::string text;
  std::optional<smtp::Reply> reply;
  bool timed_out = false;
};
template <class T>
using MxResult = base::Result<T, MxFailure>;

// Command and reply over one channel.
class SmtpWire {
 public:
  explicit SmtpWire(Channel::Socket socket) : channel(std::move(socket)) {}
  // `deadline`: for the whole reply.
  asio::awaitable<MxResult<smtp::Reply>> read_reply(SteadyTime deadline);
  asio::awaitable<MxResult<void>> send(std::string_view octets, SteadyTime deadline);
  // What came though nothing was asked: a reply, or why there will be none. nullopt: the peer is
  // silent, as it should be. Looked for before each command and before the dot, so that no reply
  // sent in advance can stand for the answer.
  asio::awaitable<std::optional<MxResult<smtp::Reply>>> unasked(SteadyTime deadline);
  // The same look for who is about to send a command: it stands for the next unasked().
  bool is_silent() { return looked_ = !channel.has_pending_input(); }
  // MxFailure garbled where something unasked was there, but for a 421, which is the answer to
  // whatever comes (RFC 5321 §3.8).
  asio::awaitable<MxResult<smtp::Reply>> command(std::string_view line, SteadyTime deadline);
  // The same for who has just looked with unasked().
  asio::awaitable<MxResult<smtp::Reply>> ask(std::string_view line, SteadyTime deadline);

  Channel channel;

 private:
  smtp::ReplyParser parser_;
  bool looked_ = false;
};

struct MxPeer {
  base::Ip ip;
  base::Ip source;
  std::uint16_t port = 25;
  std::string helo;  // the name it announced
};

// Ends of waits: each step's own, and the budget over all.
struct MxTimes {
  SteadyTime budget;
  const config::Outbound* limits = nullptr;
  SteadyTime at_most(std::chrono::milliseconds step) const;
};

class MxSession;

class PlainMx {
 public:
  // Connects from outbound.source_… (any where absent), reads the greeting, says EHLO (HELO where
  // EHLO is not known, RFC 5321 §3.2).
  static asio::awaitable<MxResult<std::unique_ptr<PlainMx>>> open(
      Executor executor, config::Tcp where, const config::Outbound& outbound,
      std::string hostname, MxTimes times, MxSlots::Slot slot);

  bool offers_starttls() const { return !helo_only_ && extensions_.starttls; }
  bool helo_only() const { return helo_only_; }
  const MxPeer& peer() const { return peer_; }
  // It closed, or said something unasked, while nobody was using it.
  bool is_stale() { return wire_->channel.has_pending_input(); }

  // STARTTLS and the handshake. Three ends: a session; an MxFailure of kind `refused` (4yz or 5yz
  // to STARTTLS), `tls` (handshake, leftover octets), or `broken`.
  asio::awaitable<MxResult<std::unique_ptr<MxSession>>> start_tls(SslPtr ssl, MxTimes times) &&;
  std::unique_ptr<MxSession> stay_in_cleartext() &&;
  void quit();

 private:
  PlainMx(std::unique_ptr<SmtpWire> wire, MxPeer peer, MxSlots::Slot slot)
      : slot_(std::move(slot)), wire_(std::move(wire)), peer_(std::move(peer)) {}
  MxSlots::Slot slot_;  // the next one may connect when it ends: behind the socket
  std::unique_ptr<SmtpWire> wire_;
  MxPeer peer_;
  smtp::Extensions extensions_;
  bool helo_only_ = false;
};

inline constexpr std::string_view data_line = "DATA\r\n";

class MxSession {
 public:
  MxSession(std::unique_ptr<SmtpWire> wire, MxPeer peer, MxSlots::Slot slot);

  // Under TLS the EHLO of before does not count (RFC 3207 §4.2); in cleartext `known` carries on.
  asio::awaitable<MxResult<void>> ehlo(std::string hostname, MxTimes times);
  void know(smtp::Extensions extensions) { extensions_ = std::move(extensions); }

  const smtp::Extensions& extensions() const { return extensions_; }
  const MxPeer& peer() const { return peer_; }
  MxSlots::Slot& slot() { return slot_; }
  Channel& channel() { return wire_->channel; }
  SmtpWire& wire() { return *wire_; }
  bool cleartext() const { return !wire_->channel.is_tls(); }

  // MAIL and the first RCPT, in one write where the MX offers PIPELINING. The second reply is
  // absent when MAIL was refused. With `data_next` DATA goes out with them there: `data_sent` says
  // that its reply is still to be read, which is so only where both were accepted.
  struct Opened {
    smtp::Reply mail;
    std::optional<smtp::Reply> rcpt;
    bool data_sent = false;
    bool over = false;  // DATA in vain ended the transaction there, or the connection
  };
  asio::awaitable<MxResult<Opened>> mail_and_rcpt(const policy::Authorized& authorized,
                                                  const smtp::Envelope& envelope,
                                                  const smtp::Mailbox& first, bool data_next,
                                                  MxTimes times);
  asio::awaitable<MxResult<smtp::Reply>> rcpt(const smtp::Mailbox& mailbox, MxTimes times);
  bool sent_smtputf8() const { return sent_smtputf8_; }

  // Says QUIT without waiting for the answer, and closes.
  void quit();
  void abort();

  // ---- for the pool
  std::uint32_t transactions = 0;
  SteadyTime idle_since{};

 private:
  std::string mail_command(const smtp::Envelope& envelope);
  asio::awaitable<MxResult<Opened>> open_pipelined(std::string commands,
                                                   const smtp::Mailbox& first, bool data_next,
                                                   MxTimes times);
  asio::awaitable<bool> take_back_data(MxTimes times);
  MxSlots::Slot slot_;  // the next one may connect when it ends: behind the socket
  std::unique_ptr<SmtpWire> wire_;
  MxPeer peer_;
  smtp::Extensions extensions_;
  bool sent_smtputf8_ = false;
};

}  // namespace proxy
