// Daemon, what the HTTP interface shows of it.
#include <algorithm>

#include "audit/record.h"
#include "proxy/meters.h"
#include "proxy/policy_commands.h"
#include "proxy/server_daemon.h"

namespace proxy {

namespace {

using metrics::Family;
using metrics::gauge;

double seconds_of(base::WallTime time) {
  return static_cast<double>(time.time_since_epoch().count()) / 1000;
}

// Listeners of one protocol are one sample.
void add_listeners(const std::vector<Server::Listening>& listening, std::vector<Family>& out) {
  Family sessions = gauge("sternpost_sessions", "Open connections of MTAs and of policy maps.", 0);
  Family most = gauge("sternpost_sessions_limit", "How many of them are taken at most.", 0);
  sessions.samples.clear();
  most.samples.clear();
  for (const char* const protocol : {"smtp", "lmtp", "transparent", "socketmap"}) {
    double open = 0;
    double limit = 0;
    for (const Server::Listening& one : listening) {
      if (!one.protocol.starts_with(protocol)) continue;
      open += one.sessions;
      limit += one.max_sessions;
    }
    sessions.samples.push_back({{{"protocol", protocol}}, open});
    most.samples.push_back({{{"protocol", protocol}}, limit});
  }
  out.push_back(std::move(sessions));
  out.push_back(std::move(most));
}

void add_policies(const policy::StsSummary& summary, base::WallTime now,
                  std::vector<Family>& out) {
  Family policies = gauge("sternpost_mta_sts_policies", "Cached MTA-STS policies.", 0);
  policies.samples = {{{{"mode", "enforce"}}, static_cast<double>(summary.enforce)},
                      {{{"mode", "testing"}}, static_cast<double>(summary.testing)},
                      {{{"mode", "none"}}, static_cast<double>(summary.none)}};
  out.push_back(std::move(policies));
  out.push_back(gauge("sternpost_mta_sts_refresh_failing",
                      "Cached MTA-STS policies whose last refresh failed.",
                      static_cast<double>(summary.refresh_failing)));
  const double age = summary.oldest ? seconds_of(now) - seconds_of(*summary.oldest) : 0;
  out.push_back(gauge("sternpost_mta_sts_oldest_policy_age_seconds",
                      "How long ago the cached policy that was fetched first was fetched.",
                      std::max(0.0, age)));
}

void add_log(const audit::EnforcementLog& log, std::vector<Family>& out) {
  out.push_back(gauge("sternpost_audit_log_healthy",
                      "1 where records can be written to the enforcement log.",
                      log.healthy() ? 1 : 0));
  out.push_back(gauge("sternpost_audit_log_head_seq",
                      "Running number of the last record of the enforcement log's hash chain.",
                      static_cast<double>(log.head().seq)));
  Family dropped = gauge("sternpost_audit_log_dropped_total",
                         "Records that were dropped since the start because the enforcement log "
                         "could not be written.",
                         static_cast<double>(log.dropped()));
  dropped.type = metrics::Type::counter;
  out.push_back(std::move(dropped));
}

Family build_info() {
  Family info = gauge("sternpost_build_info", "1; the version is the label.", 1);
  info.samples[0].labels = {{"version", STERNPOST_VERSION}};
  return info;
}

}  // namespace

std::vector<Server::Listening> Daemon::listening() const {
  auto listening = server_->listening();
  if (advisor_) {
    for (auto& one : advisor_->listening()) listening.push_back(std::move(one));
  }
  return listening;
}

// Why mail would not be relayed now.
std::vector<std::string> Daemon::not_ready() const {
  std::vector<std::string> why;
  if (ending_) why.push_back("it is ending");
  if (services_->shared().validation != Validation::validates) {
    why.push_back("whether the resolver validates: " + validation_text_);
  }
  if (const auto trouble = services_->store().trouble()) why.push_back("the store: " + *trouble);
  if (!services_->log().healthy() &&
      started_with_->log.on_failure == config::OnLogFailure::Defer) {
    why.push_back("the enforcement log cannot be written");
  }
  return why;
}

admin::Facts Daemon::facts() const {
  admin::Facts facts;
  facts.not_ready = not_ready();
  facts.status = status();
  std::vector<Family>& out = facts.families;
  const Validation validation = services_->shared().validation;
  out.push_back(build_info());
  out.push_back(gauge("process_start_time_seconds", "When the process began, in Unix time.",
                      seconds_of(started_at_)));
  out.push_back(gauge("sternpost_ready", "1 where /readyz says so.",
                      facts.not_ready.empty() ? 1 : 0));
  out.push_back(gauge("sternpost_resolver_validating", "1 where the resolver was seen to validate.",
                      validation == Validation::validates ? 1 : 0));
  out.push_back(gauge("sternpost_store_healthy", "1 where the last write of the store worked.",
                      services_->store().trouble() ? 0 : 1));
  out.push_back(gauge("sternpost_config_last_reload_successful",
                      "0 where the last reload was refused and the old configuration stays.",
                      reload_refused_ ? 0 : 1));
  out.push_back(gauge("sternpost_config_last_reload_success_timestamp_seconds",
                      "When the configuration in force was read, in Unix time.",
                      seconds_of(adopted_at_)));
  add_listeners(listening(), out);
  out.push_back(gauge("sternpost_mx_connections_open",
                      "Connections to MX hosts, those that wait for reuse too.",
                      static_cast<double>(services_->shared().slots->open())));
  const Reporting* const reporting = services_->reporting();
  out.push_back(gauge("sternpost_report_backlog",
                      "TLS-RPT reports that are neither sent nor given up.",
                      reporting ? static_cast<double>(reporting->backlog()) : 0));
  add_log(services_->log(), out);
  return facts;
}

base::Result<void, StartError> Daemon::open_admin(PassedSockets& passed) {
  if (!config_->admin.listen) return {};
  AdminPort::Parts parts;
  parts.facts = [this] { return facts(); };
  parts.any_thread = [this](admin::Facts& facts) {
    for (Family& one : services_->shared().meters->collect()) {
      facts.families.push_back(std::move(one));
    }
    add_policies(services_->sts().summary(), clock_.wall(), facts.families);
  };
  parts.policies.page = [this](const std::string& after, std::size_t most) {
    nlohmann::json page = nlohmann::json::array();
    for (const auto& one : services_->sts().page(after, most)) {
      nlohmann::json short_one = listed_json(one, false);
      short_one.erase("mx");  // may be long; it is in the answer about one domain
      page.push_back(std::move(short_one));
    }
    return page;
  };
  parts.policies.one = [this](const std::string& name) -> std::optional<nlohmann::json> {
    const auto domain = base::Domain::parse(name);
    if (!domain) return std::nullopt;
    const auto found = services_->sts().show(*domain);
    if (!found) return std::nullopt;
    return listed_json(*found, true);
  };
  admin_ = std::make_unique<AdminPort>(home_, std::move(parts));
  return admin_->open(*config_, passed);
}

}  // namespace proxy
