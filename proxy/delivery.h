// Delivery: one recipient domain of one transaction at its MX. Gathers, plans, walks the hosts MX
// by MX, judges each session, and passes on what the MX says. It has its own budgets and never
// answers 2xx before the MX has. The order of calls is told in proxy/transport. Made by
// proxy/session_transfer.
#pragma once

#include <memory>

#include "base/domain.h"
#include "base/ip.h"
#include "proxy/channel.h"
#include "proxy/transport.h"

namespace proxy {

class Worker;
struct Snapshot;

class Delivery final : public Transport {
 public:
  // `snapshot`: the terms, those of the session or, for report mail of our own, the freed ones.
  Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const Transaction> transaction, base::Domain domain);
  // For recipients at address literals: no MX, no policies but the operator's default.
  Delivery(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
           std::shared_ptr<const Transaction> transaction, base::Ip literal);
  ~Delivery() override;

  // On the first, connects to the first good host and sends MAIL; returns the MX's reply or our
  // own.
  asio::awaitable<smtp::Reply> recipient(smtp::Mailbox mailbox, bool data_next) override;
  // nullopt: the MX said 354.
  asio::awaitable<std::optional<smtp::Reply>> begin_data() override;
  // Our Received field goes in front by itself. False: the MX is lost or stalled.
  asio::awaitable<bool> write(std::string_view octets, bool more) override;
  std::uint64_t octets_taken() const override;
  void drop(std::string reason) override;
  // Whether the MX session was started with it.
  bool has_smtputf8() const override;
  // Sends the dot, waits for the answer up to outbound.final_wait. `uncertain` is logged when the
  // MX is lost here.
  asio::awaitable<smtp::Reply> finish() override;
  // The log says uncertain where the reply was 2xx.
  void client_lost_reply() override;
  // The MX never sees a finished message. Outside DATA the connection goes back to the pool after
  // RSET.
  void abandon(std::string why) override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace proxy
