// Dialled: the address that an MTA dialled before the firewall redirected it to a transparent
// listener, and the connection that is opened to it before the MTA is greeted, so that an address
// that is not there can be told as the MTA would have seen it. The first transaction that goes to
// that address takes the connection over; the MX sees one. It belongs to one session and lives on
// its thread; a coroutine of its own keeps it alive while it connects. Made by proxy/session, used
// by proxy/walk.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/event.h"
#include "proxy/mx_connection.h"
#include "proxy/worker.h"

namespace proxy {

class Dialled : public std::enable_shared_from_this<Dialled> {
 public:
  Dialled(Worker& worker, std::shared_ptr<const Snapshot> snapshot, config::Tcp where);

  const config::Tcp& where() const { return where_; }
  // Begins to connect, within outbound.recipient_wait; at an address that is refused anyway, or
  // that has its max_connections_per_mx, there is nothing to do: the transaction will say so.
  void begin();
  // Ends when is_known() is true.
  asio::awaitable<void> known();
  bool is_known() const { return known_; }
  // Why the address is not there, in words for the MTA; nullopt: it answered, or was not asked.
  const std::optional<std::string>& failure() const { return failure_; }

  bool has_connection() const { return connection_ != nullptr; }
  // The connection, once; nullptr: there is none, or none any more that the MX has kept open.
  std::unique_ptr<PlainMx> take();
  // QUIT where nobody has taken it.
  void close();

 private:
  static asio::awaitable<void> open(std::shared_ptr<Dialled> self, MxSlots::Slot slot);
  void finish(std::optional<std::string> failure);
  std::string key() const;

  Worker& worker_;
  std::shared_ptr<const Snapshot> snapshot_;
  config::Tcp where_;
  std::unique_ptr<PlainMx> connection_;
  std::optional<std::string> failure_;
  bool known_ = false;
  bool closed_ = false;
  Event event_;
};

}  // namespace proxy
