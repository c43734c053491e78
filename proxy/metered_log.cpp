#include "proxy/metered_log.h"

namespace proxy {

namespace {

void count_delivery(const audit::Record& record, Meters& meters) {
  const std::string_view verdict = to_string(record.verdict.value_or(audit::Verdict::deferred));
  std::string_view type = "unknown";
  if (record.policy_type) type = *record.policy_type;
  meters.deliveries.add({verdict, type});
  meters.recipients.add({verdict}, record.recipients.value_or(0));
  if (record.verdict == audit::Verdict::delivered && record.peer_auth && record.protection) {
    meters.delivered.add({*record.peer_auth, *record.protection});
  }
}

void count_session(const audit::Record& record, Meters& meters) {
  meters.mx_sessions.add({to_string(record.verdict.value_or(audit::Verdict::refused))});
  if (!record.counted.value_or(false) || !record.results) return;
  for (const audit::PolicyResult& result : *record.results) {
    const std::string_view type = to_string(result.policy_type);
    if (result.result_types.empty()) meters.tls_results.add({type, "success"});
    for (const std::string& failure : result.result_types) {
      meters.tls_results.add({type, failure});
    }
  }
}

}  // namespace

void MeteredLog::append(const audit::Record& record, audit::Reservation reservation) noexcept {
  switch (record.event) {
    case audit::Event::delivery: count_delivery(record, meters_); break;
    case audit::Event::session: count_session(record, meters_); break;
    case audit::Event::exception: meters_.exceptions.add(); break;
    case audit::Event::downgrade_suspected: {
      const bool cleartext = record.protection && *record.protection == "cleartext";
      meters_.downgrades.add({cleartext ? "starttls" : "authentication"});
      break;
    }
    case audit::Event::policy:
    case audit::Event::config:
    case audit::Event::start:
    case audit::Event::stop: break;
  }
  log_.append(record, std::move(reservation));
}

}  // namespace proxy
