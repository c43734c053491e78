// Discard: the transport of bounces of our own report mail. Nobody reads them, and to bounce or
// defer a bounce would only leave it in the MTA's queue: the recipient is accepted, the message is
// received to its end and dropped. The one case where the relay answers 2xx without an MX. Which
// recipients these are is told by proxy/mail_kind; what is refused of any message (size, bare
// line ends, a log that cannot be written) is refused here too. Made by proxy/session_transfer.
#pragma once

#include <memory>

#include "base/domain.h"
#include "proxy/attempt_log.h"
#include "proxy/transport.h"

namespace proxy {

class Worker;
struct Snapshot;

class Discard final : public Transport {
 public:
  Discard(Worker& worker, std::shared_ptr<const Snapshot> snapshot,
          std::shared_ptr<const Transaction> transaction, base::Domain domain);
  ~Discard() override;

  boost::asio::awaitable<smtp::Reply> recipient(smtp::Mailbox mailbox,
                                                bool data_next) override;
  boost::asio::awaitable<std::optional<smtp::Reply>> begin_data() override;
  boost::asio::awaitable<bool> write(std::string_view octets, bool more) override;
  std::uint64_t octets_taken() const override { return taken_; }
  void drop(std::string) override {}
  bool has_smtputf8() const override { return true; }
  // 451 4.3.0 where the log cannot be written: nothing goes without a record.
  boost::asio::awaitable<smtp::Reply> finish() override;
  // The MTA will bring the bounce again, and it is dropped again.
  void client_lost_reply() override {}
  void abandon(std::string why) override;

 private:
  OutcomeNote note(audit::Verdict verdict, std::string reason) const;

  Worker& worker_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::shared_ptr<const Transaction> transaction_;
  base::Domain domain_;
  std::uint32_t accepted_ = 0;
  std::uint64_t taken_ = 0;
  bool ended_ = false;
};

}  // namespace proxy
