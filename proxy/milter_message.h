// MilterMessage: what the milter says of one message: at each RCPT whether the domain's mail can be
// sent as its policy demands, at the end whether a `[[milter.rule]]` holds it back, whether the
// whole of it goes into quarantine, and the header field. Knows nothing of libmilter
// (proxy/milter). MilterDesk: what all messages share. Every wait has an end, at which mail passes;
// what holds mail up is logged. The MTA's connection later is what enforces; this is advice.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "proxy/milter_recipient.h"
#include "proxy/outlook_board.h"
#include "proxy/worker.h"

namespace proxy {

class MilterDesk {
 public:
  struct Waits {
    std::chrono::milliseconds recipient{5000};  // Sendmail gives a milter ten seconds by itself
    std::chrono::milliseconds rules{20000};     // at the end of the message
  };

  MilterDesk(OutlookBoard& board, const Shared& shared, std::shared_ptr<const Snapshot> snapshot);
  MilterDesk(OutlookBoard& board, const Shared& shared, std::shared_ptr<const Snapshot> snapshot,
             Waits waits);

  // Messages that begin from now on have this configuration; any thread.
  void adopt(std::shared_ptr<const Snapshot> snapshot);
  std::shared_ptr<const Snapshot> snapshot() const;
  std::string new_id();
  OutlookBoard& board() { return board_; }
  const Shared& shared() const { return shared_; }
  const Waits& waits() const { return waits_; }

 private:
  OutlookBoard& board_;
  const Shared& shared_;
  Waits waits_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;
  base::Random random_;
};

struct MilterReply {
  enum class Kind { pass, tempfail, reject };
  Kind kind = Kind::pass;
  int code = 0;
  std::string enhanced;
  std::string text;  // one line, printable ASCII, ends in " [ID]"
};

class MilterMessage {
 public:
  // `simulated`: the MTA plays a session for mail that came in another way (Postfix's
  // non_smtpd_milters), where no recipient may be refused.
  explicit MilterMessage(MilterDesk& desk, bool simulated = false);
  MilterMessage(const MilterMessage&) = delete;
  MilterMessage& operator=(const MilterMessage&) = delete;

  const std::string& id() const { return id_; }
  // The MTA's queue id, as soon as it is known; "" changes nothing.
  void queue_id(std::string_view id);
  // argv[0] of MAIL: report mail of our own is known by it, and is not held up (RFC 8460 §5.3).
  void sender(std::string_view argument) { sender_ = argument; }
  MilterReply recipient(const RecipientMacros& macros, std::string_view argument);
  // One header field, folded or not.
  void header(std::string_view name, std::string_view body);

  struct End {
    MilterReply reply;           // where it does not pass, nothing else counts
    std::size_t forged = 0;      // fields of our name to take out, counted from 1
    std::string field_body;      // of our own field; "": none
    std::string quarantine;      // why the MTA shall hold the message; "": it shall not
    bool by_rule = false;        // a rule says so: where the MTA does not hold it, it may not pass
  };
  End end();

 private:
  struct Recipient {
    policy::Outlook outlook;
    MilterReply reply;           // the same for every recipient of the domain
    std::uint32_t accepted = 0;
    bool rule_unknown = false;
  };

  bool is_report_mail(std::string_view argument) const;
  MilterReply judge(const base::Domain& domain, const policy::Outlook& outlook);
  void prepare_rules();
  bool apply_rules(End& out);
  bool apply_rule(const config::MilterRule& rule, OutlookBoard::Time deadline, End& out);
  bool apply_answer(const config::MilterRule& rule, const std::optional<base::Domain>& domain,
                    const policy::Outlook& outlook, End& out);
  MilterReply reply_of(MilterReply::Kind kind, const smtp::Reply& reply,
                       std::string_view why) const;
  bool apply_to_literal(const config::MilterRule& rule, End& out);
  void not_looked_at(const std::string& why);
  void log(const std::optional<base::Domain>& domain, const policy::Outlook& outlook,
           const MilterReply& reply, std::string_view what, bool acted) const;

  MilterDesk& desk_;
  std::shared_ptr<const Snapshot> snapshot_;
  const config::Milter& config_;
  const OutlookBoard::Time began_ = std::chrono::steady_clock::now();
  bool simulated_ = false;
  std::string id_;
  std::string queue_id_;
  std::string sender_;
  std::map<base::Domain, Recipient> domains_;
  std::vector<base::Domain> order_;       // of their first RCPT
  bool literal_ = false;      // a recipient is at an address literal
  std::size_t unseen_ = 0;    // recipients that go out and were not looked at
  std::vector<bool> matched_;             // one for each rule
  std::size_t forged_ = 0;
  std::string quarantine_;
};

}  // namespace proxy
