// From the configuration's words to those of policy/: the only place where the two meet.
#include "base/encode.h"
#include "proxy/worker.h"

namespace proxy {

namespace {

std::vector<policy::DomainPattern> patterns(const std::vector<config::DomainMatch>& matches) {
  std::vector<policy::DomainPattern> result;
  for (const config::DomainMatch& match : matches) {
    result.push_back({match.domain, match.subdomains});
  }
  return result;
}

policy::Rule rule(const config::Rule& from) {
  policy::Rule rule;
  rule.domains = patterns(from.domains);
  switch (from.require) {
    case config::Require::Encrypted: rule.require = policy::Require::encrypted; break;
    case config::Require::Verified: rule.require = policy::Require::verified; break;
    case config::Require::Dane: rule.require = policy::Require::dane; break;
  }
  rule.mx = from.mx;
  for (const config::Sha256& pin : from.spki_sha256) rule.spki_sha256.push_back(base::to_hex(pin));
  if (!from.ca_file.empty()) rule.ca_file = from.ca_file.string();
  return rule;
}

policy::Exception exception(const config::Exception& from) {
  policy::Exception exception;
  exception.domains = patterns(from.domains);
  exception.allow = from.allow == config::Allow::Encrypted ? policy::Allow::encrypted
                                                           : policy::Allow::opportunistic;
  exception.until = std::chrono::sys_days(from.until);
  exception.owner = from.owner;
  exception.reason = from.reason;
  exception.ignore_dnssec = from.dnssec == config::Dnssec::Ignore;
  return exception;
}

policy::OnError on_error(config::OnError from) {
  return from == config::OnError::Defer ? policy::OnError::defer : policy::OnError::deliver;
}

policy::Settings settings_of(const config::Config& config) {
  policy::Settings settings;
  const config::Policy& from = config.policy;
  settings.mode =
      from.mode == config::Mode::Observe ? policy::Mode::observe : policy::Mode::enforce;
  switch (from.combine) {
    case config::Combine::DaneFirst: settings.combine = policy::Combine::dane_first; break;
    case config::Combine::Both: settings.combine = policy::Combine::both; break;
    case config::Combine::DaneAlone: settings.combine = policy::Combine::dane_alone; break;
  }
  switch (from.default_requirement) {
    case config::Default::Opportunistic: settings.fallback = policy::Default::opportunistic; break;
    case config::Default::Encrypted: settings.fallback = policy::Default::encrypted; break;
    case config::Default::Verified: settings.fallback = policy::Default::verified; break;
  }
  settings.insecure_mx = config.dane.insecure_mx == config::InsecureMx::Dane
                             ? policy::InsecureMx::dane
                             : policy::InsecureMx::opportunistic;
  settings.on_lookup_error = on_error(config.mta_sts.on_lookup_error);
  settings.on_fetch_error = on_error(config.mta_sts.on_fetch_error);
  settings.on_downgrade = from.on_downgrade == config::OnDowngrade::Defer
                              ? policy::OnDowngrade::defer
                              : policy::OnDowngrade::log;
  settings.dane_enabled = config.dane.enabled;
  settings.sts_enabled = config.mta_sts.enabled;
  for (const config::Rule& one : from.rules) settings.rules.push_back(rule(one));
  for (const config::Exception& one : from.exceptions) {
    settings.exceptions.push_back(exception(one));
  }
  return settings;
}

// RFC 8460 §5.3: report mail is delivered despite any TLS failure. Nothing is asked that could hold
// it back, and its connections, which are not counted, serve no other mail.
config::Config freed(config::Config config) {
  const config::Mode mode = config.policy.mode;  // `would_be` of the log goes by it
  config.policy = config::Policy{};
  config.policy.mode = mode;
  config.dane.enabled = false;
  config.mta_sts.enabled = false;
  config.outbound.idle_keepalive = config::seconds(0);
  return config;
}

std::shared_ptr<Snapshot> snapshot_of(std::shared_ptr<const config::Config> config) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->settings = settings_of(*config);
  snapshot->config = std::move(config);
  return snapshot;
}

}  // namespace

std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const config::Config> config) {
  auto snapshot = snapshot_of(config);
  snapshot->freed = snapshot_of(std::make_shared<const config::Config>(freed(*config)));
  return snapshot;
}

}  // namespace proxy
