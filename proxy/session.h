// Session: one connection of an MTA, SMTP (RFC 5321) or LMTP (RFC 2033) at the server's side, from
// the greeting to the end. Speaks, keeps order, streams the data; whether and where a message goes
// is told by the deliveries of its Transfer. Never answers 2xx to a recipient or to data before
// the MX has. Born on one worker's thread, lives and dies there. Started by proxy/server.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "proxy/channel.h"
#include "proxy/dialled.h"
#include "proxy/listener.h"
#include "proxy/patience.h"
#include "proxy/session_transfer.h"
#include "proxy/tls_server.h"
#include "proxy/worker.h"
#include "smtp/command.h"
#include "smtp/data_scanner.h"

namespace proxy {

// What a session needs of its listener; immutable, made at start and at each good SIGHUP, one for
// each listener and thread.
struct ListenTerms {
  config::Listen listen;
  std::shared_ptr<const TlsServer> tls;  // null: no STARTTLS
  bool lmtp() const { return listen.protocol == config::Protocol::Lmtp; }
  bool transparent() const { return listen.protocol == config::Protocol::Transparent; }
};

class Session {
 public:
  Session(Worker& worker, std::shared_ptr<const ListenTerms> terms, Channel::Socket socket,
          Peer peer);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The whole session; never throws.
  asio::awaitable<void> run();

  // ---- from the same thread, when the daemon is to end.
  // A session without a transaction gets 421 at once; one with, when it is over.
  void drain();
  // A transaction before its final dot is given up with 421; behind it nothing changes.
  void end_before_dot();

 private:
  enum class Phase { idle, open, final };

  // session.cpp
  asio::awaitable<void> converse();
  asio::awaitable<bool> read_proxy_header();
  asio::awaitable<bool> reach_dialled();
  asio::awaitable<base::Result<config::Tcp, base::Error>> find_dialled();
  asio::awaitable<void> await_dialled();
  void greet();
  asio::awaitable<std::optional<std::string>> next_line();
  std::optional<std::string> take_line();
  asio::awaitable<void> skip_long_line();
  asio::awaitable<void> idle_read();
  void input_error(const IoError& error);
  asio::awaitable<void> await_change(SteadyTime deadline);
  asio::awaitable<void> await_transfer(SteadyTime deadline);
  Patience::Ticket be_patient();
  void watch_client();
  bool read_now();
  asio::awaitable<bool> settle();
  asio::awaitable<void> flush();
  void tell_known();
  void say(const smtp::Reply& reply);
  void say_own(int code, smtp::EnhancedCode enhanced, std::string_view text);
  smtp::Reply own(int code, smtp::EnhancedCode enhanced, std::string_view text) const;
  void hang_up(std::string_view text, smtp::EnhancedCode enhanced);
  const std::string& id() const;
  SteadyTime now() const;
  bool draining() const;
  // It sends no more, and nothing of what it sent is left to be obeyed.
  bool client_gone() const { return input_closed_ && channel_.buffered().empty(); }

  // session_commands.cpp
  asio::awaitable<void> obey(std::string line);
  asio::awaitable<void> act(smtp::Command command);
  void bad_command(const smtp::Reply& reply);
  void on_hello(std::string name, bool extended);
  void say_extensions();
  void on_mail(smtp::Mail mail);
  void on_rcpt(smtp::Rcpt rcpt);
  std::optional<smtp::Reply> recipient_refusal();
  void on_xforward(const smtp::Xforward& xforward);
  asio::awaitable<void> on_starttls();
  void end_transfer(const std::string& why);
  std::string received_field() const;

  // session_data.cpp
  asio::awaitable<void> on_data();
  asio::awaitable<bool> receive_message();
  asio::awaitable<bool> need_data();
  std::optional<smtp::Reply> data_refusal(const smtp::DataScanner& scanner) const;
  asio::awaitable<void> tell_finals();

  Worker& worker_;
  std::shared_ptr<const ListenTerms> terms_;
  std::shared_ptr<const Snapshot> snapshot_;
  Channel channel_;
  Peer peer_;    // who connected
  Peer client_;  // on whose behalf: the address in a PROXY header, otherwise the same
  std::string id_;
  std::string helo_;
  std::string ident_;  // XFORWARD IDENT
  std::string out_;    // replies not sent yet
  std::shared_ptr<Transfer> transfer_;
  std::shared_ptr<Dialled> dialled_;  // of a transparent listener's session
  Phase phase_ = Phase::idle;
  std::uint8_t bad_commands_ = 0;
  bool lmtp_ = false;
  bool extended_ = false;      // EHLO or LHLO
  bool may_relay_ = false;
  bool told_no_relay_ = false;
  bool over_ = false;          // ends when what is to be said was said
  bool input_closed_ = false;  // the client sends no more
  bool output_lost_ = false;   // the client takes no more
  bool impatient_ = false;     // the wait of be_patient() was long
  bool readable_ = false;      // something came from the client while a transfer was waited for
  bool reading_ = false;       // waits for a command, nothing open: drain() may interrupt
};

}  // namespace proxy
