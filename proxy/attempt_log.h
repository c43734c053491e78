// What the enforcement log says of attempts and deliveries: from plans, evidence and verdicts to
// audit::Record. Decides nothing. Used by proxy/walk and proxy/delivery.
#pragma once

#include <optional>
#include <string>

#include "audit/log.h"
#include "audit/record.h"
#include "policy/judge.h"
#include "policy/plan.h"
#include "proxy/delivery.h"
#include "proxy/mx_connection.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

namespace proxy {

// Whose mail the lines are about. Report mail of our own is never counted; its lines name no
// policy, since none was asked, and say why (RFC 8460 §5.3).
struct LoggedMail {
  Worker& worker;
  const Transaction& transaction;
  bool report_mail = false;
};

// One connection to an MX address, up to its verdict.
struct AttemptNote {
  std::string host;  // "" for an address literal
  std::optional<base::Ip> ip;
  dns::Security mx_security = dns::Security::insecure;
  const policy::Try* plan = nullptr;
  std::optional<MxPeer> peer;
  const policy::Evidence* evidence = nullptr;  // null: failed before TLS
  const policy::Verdict* verdict = nullptr;
  std::string failure;                         // why it failed before TLS
  bool counted = false;
  bool without_mail = false;                   // a handshake to renew what is known (proxy/probe.h)
};
void log_attempt(const LoggedMail& mail, const std::optional<base::Domain>& domain,
                 const policy::DomainPlan* plan, const AttemptNote& attempt);
// The attempt falls behind what its host showed before: a line of its own, and one in the
// operational log.
void log_downgrade(const LoggedMail& mail, const std::optional<base::Domain>& domain,
                   const policy::DomainPlan* plan, const AttemptNote& attempt);
// A host, or the whole domain, ruled out before any connection.
void log_excluded(const LoggedMail& mail, const policy::DomainPlan& plan,
                  const policy::HostPlan& host, const policy::Excluded& excluded);
void log_refused(const LoggedMail& mail, const base::Domain& domain,
                 const policy::Refused& refused);
void log_exception(const LoggedMail& mail, const base::Domain& domain,
                   const policy::Exception& exception);

// The outcome of a transaction for some recipients of one domain.
struct OutcomeNote {
  std::optional<base::Domain> domain;
  bool report_mail = false;  // of our own: no policy was asked
  std::uint32_t recipients = 0;
  audit::Verdict verdict = audit::Verdict::deferred;
  std::optional<audit::Verdict> would_be;  // in observe mode: what enforce would have said
  const policy::DomainPlan* plan = nullptr;
  const policy::Try* host_plan = nullptr;
  std::string host;
  dns::Security mx_security = dns::Security::insecure;
  const MxLink* link = nullptr;       // null: no MX had it
  std::optional<tlsrpt::ResultType> result;
  std::string reason;
  std::string reply;
  std::vector<std::string> local_parts;
};
audit::Record outcome_record(const Transaction& transaction, const OutcomeNote& outcome);

}  // namespace proxy
