#include "proxy/attempt_log.h"

#include "base/log.h"

namespace proxy {

namespace {

std::optional<std::string> known(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return std::string(text);
}

audit::MxDnssec mx_dnssec(dns::Security security) {
  return security == dns::Security::secure ? audit::MxDnssec::secure : audit::MxDnssec::insecure;
}

audit::Record start(audit::Event event, const Transaction& transaction,
                    const std::optional<base::Domain>& domain) {
  audit::Record record;
  record.event = event;
  record.id = known(transaction.id);
  record.queue_id = known(transaction.queue_id);
  record.domain = domain;
  return record;
}

void set_policy(audit::Record& record, policy::PolicyKind kind, std::string_view mode,
                const policy::StsState* sts) {
  record.policy_type = std::string(policy::to_string(kind));
  record.policy_mode = known(mode);
  const auto* active = sts ? std::get_if<policy::StsActive>(sts) : nullptr;
  if (!active) return;
  record.policy_id = known(active->id);
  record.policy_source = std::string(policy::to_string(active->source));
}

// Of report mail: none was asked.
void name_no_policy(audit::Record& record) {
  record.policy_type.reset();
  record.policy_mode.reset();
}

void set_results(const LoggedMail& mail, audit::Record& record,
                 const std::vector<tlsrpt::SessionResult>& results) {
  if (mail.report_mail) return;
  Worker& worker = mail.worker;
  std::vector<audit::PolicyResult> told;
  for (const tlsrpt::SessionResult& result : results) {
    audit::PolicyResult one = audit::policy_result(result);
    if (worker.shared().keep_policy && worker.first_sight(one.policy_digest)) {
      worker.shared().keep_policy(result.policy, one.policy_digest);
    }
    told.push_back(std::move(one));
  }
  record.results = std::move(told);
}

void set_result(audit::Record& record, const std::optional<tlsrpt::ResultType>& result) {
  record.result = result ? std::string(tlsrpt::to_string(*result)) : std::string("success");
}

void set_peer(audit::Record& record, const MxPeer& peer) {
  record.ip = peer.ip;
  record.source_ip = peer.source;
  record.helo = known(peer.helo);
}

void set_tls(audit::Record& record, const policy::TlsSession& tls) {
  record.tls_version = known(tls.version);
  record.cipher = known(tls.cipher);
  record.group = known(tls.group);
  record.sni = known(tls.sni);
  record.resumed = tls.resumed;
  record.cert_sha256 = known(tls.cert_sha256);
  record.spki_sha256 = known(tls.spki_sha256);
}

// RFC 8460 §5.3: the sessions of report mail are in no report.
void append(const LoggedMail& mail, audit::Record record) {
  if (mail.report_mail) {
    name_no_policy(record);
    record.counted = false;
    std::string reason = "report mail of our own, freed from policies (RFC 8460 §5.3)";
    if (record.reason) reason += ": " + *record.reason;
    record.reason = std::move(reason);
  }
  mail.worker.shared().log->append(record);
}

// `reason`, behind a word that no mail went this way.
std::optional<std::string> reason_of(const AttemptNote& attempt, const std::string& reason) {
  if (!attempt.without_mail) return known(reason);
  return "a handshake without mail, to renew what is known of the host" +
         (reason.empty() ? std::string() : ": " + reason);
}

void set_authorized(audit::Record& record, const policy::Authorized& authorized) {
  record.peer_auth = std::string(policy::to_string(authorized.peer_auth()));
  record.protection = std::string(policy::to_string(authorized.protection()));
}

}  // namespace

void log_attempt(const LoggedMail& mail, const std::optional<base::Domain>& domain,
                 const policy::DomainPlan* plan, const AttemptNote& attempt) {
  audit::Record record = start(audit::Event::session, mail.transaction, domain);
  const policy::StsState* sts = plan ? &plan->sts : nullptr;
  set_policy(record, attempt.plan->kind,
             sts ? policy::policy_mode(*attempt.plan, *sts) : std::string_view(), sts);
  record.requirement = std::string(policy::to_string(attempt.plan->requirement));
  record.mx = known(attempt.host);
  record.ip = attempt.ip;
  record.mx_dnssec = mx_dnssec(attempt.mx_security);
  record.counted = attempt.counted && attempt.verdict != nullptr;
  record.reused = false;
  if (attempt.peer) set_peer(record, *attempt.peer);
  if (!attempt.verdict) {
    record.reason = reason_of(attempt, attempt.failure);
    record.verdict = audit::Verdict::refused;
    append(mail, std::move(record));
    return;
  }
  if (const auto* tls = std::get_if<policy::TlsSession>(attempt.evidence)) set_tls(record, *tls);
  const auto* authorized = std::get_if<policy::Authorized>(&attempt.verdict->outcome);
  if (authorized) set_authorized(record, *authorized);
  record.verdict = authorized ? audit::Verdict::usable : audit::Verdict::refused;
  set_result(record, attempt.verdict->result);
  record.reason = reason_of(attempt, attempt.verdict->reason);
  set_results(mail, record, attempt.verdict->results);
  append(mail, std::move(record));
}

void log_downgrade(const LoggedMail& mail, const std::optional<base::Domain>& domain,
                   const policy::DomainPlan* plan, const AttemptNote& attempt) {
  const policy::Downgrade& downgrade = *attempt.verdict->downgrade;
  audit::Record record = start(audit::Event::downgrade_suspected, mail.transaction, domain);
  const policy::StsState* sts = plan ? &plan->sts : nullptr;
  set_policy(record, attempt.plan->kind,
             sts ? policy::policy_mode(*attempt.plan, *sts) : std::string_view(), sts);
  record.requirement = std::string(policy::to_string(attempt.plan->requirement));
  record.mx = known(attempt.host);
  record.ip = attempt.ip;
  record.mx_dnssec = mx_dnssec(attempt.mx_security);
  if (attempt.peer) set_peer(record, *attempt.peer);
  // What the session had, whether or not it was used.
  using policy::Downgrade;
  const bool cleartext = downgrade.lost == Downgrade::Lost::starttls;
  record.protection = std::string(to_string(cleartext ? policy::Protection::cleartext
                                                      : policy::Protection::encrypted));
  if (const auto* tls = std::get_if<policy::TlsSession>(attempt.evidence)) set_tls(record, *tls);
  set_result(record, downgrade.result);
  record.reason = downgrade.reason;
  base::log_warn(mail.transaction.id, "downgrade suspected: MX " + attempt.host + " [" +
                                          (attempt.ip ? attempt.ip->str() : "") + "] " +
                                          downgrade.reason);
  mail.worker.shared().log->append(record);
}

void log_excluded(const LoggedMail& mail, const policy::DomainPlan& plan,
                  const policy::HostPlan& host, const policy::Excluded& excluded) {
  audit::Record record = start(audit::Event::session, mail.transaction, plan.domain);
  set_policy(record, excluded.kind, plan.policy_mode, &plan.sts);
  record.mx = host.host.str();
  record.mx_dnssec = mx_dnssec(host.mx_security);
  record.counted = !excluded.results.empty();
  set_results(mail, record, excluded.results);
  if (excluded.result) set_result(record, excluded.result);
  record.reason = known(excluded.reason);
  record.verdict = audit::Verdict::refused;
  append(mail, std::move(record));
}

void log_refused(const LoggedMail& mail, const base::Domain& domain,
                 const policy::Refused& refused) {
  if (refused.results.empty()) return;  // No TLS matter: the delivery line says it all.
  audit::Record record = start(audit::Event::session, mail.transaction, domain);
  set_policy(record, refused.kind, {}, nullptr);
  record.counted = true;
  set_results(mail, record, refused.results);
  if (refused.result) set_result(record, refused.result);
  record.reason = known(refused.reason);
  record.verdict = audit::Verdict::refused;
  append(mail, std::move(record));
}

void log_exception(const LoggedMail& mail, const base::Domain& domain,
                   const policy::Exception& exception) {
  audit::Record record = start(audit::Event::exception, mail.transaction, domain);
  record.policy_type = "operator";
  record.requirement =
      exception.allow == policy::Allow::encrypted ? "encrypted" : "opportunistic";
  const std::chrono::year_month_day until(exception.until);
  char day[16];
  std::snprintf(day, sizeof day, "%04d-%02u-%02u", static_cast<int>(until.year()),
                static_cast<unsigned>(until.month()), static_cast<unsigned>(until.day()));
  record.reason = exception.reason + " (owner " + exception.owner + ", until " + day +
                  (exception.ignore_dnssec ? ", DNSSEC ignored)" : ")");
  mail.worker.shared().log->append(record);
}

audit::Record outcome_record(const Transaction& transaction, const OutcomeNote& outcome) {
  audit::Record record = start(audit::Event::delivery, transaction, outcome.domain);
  record.recipients = outcome.recipients;
  if (outcome.host_plan) {
    const policy::StsState* sts = outcome.plan ? &outcome.plan->sts : nullptr;
    set_policy(record, outcome.host_plan->kind,
               sts ? policy::policy_mode(*outcome.host_plan, *sts) : std::string_view(), sts);
    record.requirement = std::string(policy::to_string(outcome.host_plan->requirement));
    record.mx = known(outcome.host);
    record.mx_dnssec = mx_dnssec(outcome.mx_security);
  } else if (outcome.plan) {
    set_policy(record, outcome.plan->kind, outcome.plan->policy_mode, &outcome.plan->sts);
    record.mx_dnssec = mx_dnssec(outcome.plan->mx_security);
  }
  if (outcome.report_mail) name_no_policy(record);
  if (outcome.link) {
    set_peer(record, outcome.link->session->peer());
    set_authorized(record, outcome.link->authorized);
    if (outcome.link->tls) set_tls(record, *outcome.link->tls);
    record.reused = outcome.link->reused;
    set_result(record, std::nullopt);
  } else if (outcome.result) {
    set_result(record, outcome.result);
  }
  record.reason = known(outcome.reason);
  record.verdict = outcome.verdict;
  record.would_be = outcome.would_be;
  record.reply = known(outcome.reply);
  record.local_parts = outcome.local_parts;
  return record;
}

}  // namespace proxy
