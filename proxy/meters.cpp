#include "proxy/meters.h"

#include "audit/record.h"
#include "base/overloaded.h"
#include "config/choices.h"
#include "policy/judge.h"
#include "tlsrpt/result.h"

namespace proxy {

namespace {

using metrics::Label;
using Words = std::vector<std::string>;

template <class E>
Words words(std::initializer_list<E> values) {
  Words out;
  for (const E value : values) out.emplace_back(to_string(value));
  return out;
}

Label policy_types() {
  using policy::PolicyKind;
  Words all = words({PolicyKind::tlsa, PolicyKind::sts, PolicyKind::operator_rule,
                     PolicyKind::none});
  all.emplace_back("unknown");  // no policy was looked for, or it could not be found out
  return {"policy_type", std::move(all)};
}

Label verdicts() {
  using audit::Verdict;
  return {"verdict", words({Verdict::delivered, Verdict::deferred, Verdict::rejected,
                            Verdict::uncertain})};
}

Label session_verdicts() {
  return {"verdict", words({audit::Verdict::usable, audit::Verdict::refused})};
}

Label peer_auths() {
  using policy::PeerAuth;
  return {"peer_auth", words({PeerAuth::dane_ee, PeerAuth::dane_ta, PeerAuth::pkix,
                              PeerAuth::pin, PeerAuth::none})};
}

Label protections() {
  using policy::Protection;
  return {"protection",
          words({Protection::authenticated, Protection::encrypted, Protection::cleartext})};
}

Label report_policies() {
  using tlsrpt::PolicyType;
  return {"policy_type", words({PolicyType::tlsa, PolicyType::sts, PolicyType::no_policy_found})};
}

Label results() {
  using tlsrpt::ResultType;
  Words all{"success"};
  for (int i = 0; i <= static_cast<int>(ResultType::dane_required); ++i) {
    all.emplace_back(to_string(static_cast<ResultType>(i)));
  }
  return {"result", std::move(all)};
}

Label protocols() {
  Words all;
  for (const auto& [word, value] : config::Choices<config::Protocol>::table) {
    all.emplace_back(word);
  }
  return {"protocol", std::move(all)};
}

const std::vector<double> look_up_times{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60};
const std::vector<double> connect_times{0.005, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300};
const std::vector<double> delivery_times{0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900};

}  // namespace

Meters::Meters()
    : deliveries("sternpost_deliveries_total",
                 "Outcomes of transactions, one for each recipient domain and outcome, as the "
                 "enforcement log has them.",
                 {verdicts(), policy_types()}),
      recipients("sternpost_recipients_total", "Recipients of those outcomes.", {verdicts()}),
      delivered("sternpost_delivered_total",
                "Delivered transactions by how the MX was authenticated and what protection the "
                "message had.",
                {peer_auths(), protections()}),
      mx_sessions("sternpost_mx_sessions_total",
                  "Connections to MX hosts, and hosts ruled out before connecting, by whether mail "
                  "could go there.",
                  {session_verdicts()}),
      tls_results("sternpost_tls_results_total",
                  "What counted MX connections came to, one for each policy that applied and "
                  "result type, as TLS-RPT (RFC 8460) counts them.",
                  {report_policies(), results()}),
      exceptions("sternpost_exceptions_used_total",
                 "Transactions for which an exception of the configuration was in force."),
      downgrades("sternpost_downgrades_suspected_total",
                 "MX hosts that offered STARTTLS or were authenticated before and were not now.",
                 {{"lost", {"starttls", "authentication"}}}),
      accepted("sternpost_sessions_accepted_total", "Connections of MTAs that were taken.",
               {protocols()}),
      reused("sternpost_mx_connections_reused_total",
             "Transactions for which an open MX connection was there already."),
      sts_fetches("sternpost_mta_sts_fetches_total",
                  "Fetches of MTA-STS policies. refresh-failed: a cached policy stays in force.",
                  {{"outcome", {"fetched", "failed", "refresh-failed"}}}),
      sts_events("sternpost_mta_sts_events_total",
                 "What else happened to cached MTA-STS policies.",
                 {{"event",
                   {"record-gone", "record-unknown", "expired", "purged", "restore-failed"}}}),
      dane("sternpost_dane_lookups_total",
           "DANE look-ups for MX hosts by what they came to; answers from memory are not counted.",
           {{"outcome", {"ok", "unusable", "not-applicable", "insecure-chain", "failed"}}}),
      idle("sternpost_mx_connections_idle", "MX connections that wait for reuse."),
      plan("sternpost_plan_duration_seconds",
           "From the first recipient to a plan: MX, MTA-STS and what else is looked up first.",
           look_up_times),
      connect("sternpost_connect_duration_seconds",
              "From connecting to an MX to a session that may have mail: TCP, greeting, TLS, EHLO.",
              connect_times),
      delivery("sternpost_delivery_duration_seconds",
               "From the first recipient to the MX's answer to the message, of what it took.",
               delivery_times) {}

void Meters::count(const policy::StsEvent& event) {
  using Kind = policy::StsEvent::Kind;
  switch (event.kind) {
    case Kind::fetched: sts_fetches.add({"fetched"}); break;
    case Kind::fetch_failed: sts_fetches.add({"failed"}); break;
    case Kind::refresh_failed: sts_fetches.add({"refresh-failed"}); break;
    case Kind::record_gone: sts_events.add({"record-gone"}); break;
    case Kind::record_unknown: sts_events.add({"record-unknown"}); break;
    case Kind::expired: sts_events.add({"expired"}); break;
    case Kind::purged: sts_events.add({"purged"}); break;
    case Kind::restore_failed: sts_events.add({"restore-failed"}); break;
  }
}

void Meters::count(const dane::Status& status) {
  const std::string_view outcome = std::visit(
      base::overloaded{
          [](const dane::Usable&) -> std::string_view { return "ok"; },
          [](const dane::Unusable&) -> std::string_view { return "unusable"; },
          [](const dane::LookupFailed&) -> std::string_view { return "failed"; },
          [](const dane::NotApplicable& none) -> std::string_view {
            return none.insecure ? "insecure-chain" : "not-applicable";
          },
      },
      status);
  dane.add({outcome});
}

std::vector<metrics::Family> Meters::collect() const {
  return {deliveries.collect(), recipients.collect(),  delivered.collect(),
          mx_sessions.collect(), tls_results.collect(), exceptions.collect(),
          downgrades.collect(), accepted.collect(),    reused.collect(),
          sts_fetches.collect(), sts_events.collect(),  dane.collect(),
          idle.collect(),       plan.collect(),        connect.collect(),
          delivery.collect()};
}

}  // namespace proxy
