#include "check/own_run.h"

#include <sysexits.h>

namespace check {

namespace {

config::Config as_any_sender(const config::Config& config) {
  config::Config plain = config;
  plain.policy = config::Policy{};
  plain.dane = config::Dane{};
  plain.mta_sts.enabled = true;
  plain.mta_sts.on_lookup_error = config::OnError::Deliver;
  plain.mta_sts.on_fetch_error = config::OnError::Deliver;
  plain.server.hostname = config.server.hostname;
  plain.tls = config::Tls{};
  plain.tls.ca_file = config.tls.ca_file;
  return plain;
}

}  // namespace

base::Result<OwnReport, Failure> run_own(const config::Config& config, const OwnOptions& options,
                                         const base::Clock& clock, const Progress& progress) {
  const auto deadline = std::chrono::steady_clock::now() + options.limit;
  const auto plain = std::make_shared<const config::Config>(as_any_sender(config));
  auto inquiry = Inquiry::open(plain, clock, DaemonCache(), progress);
  if (!inquiry) return base::fail(Failure{EX_UNAVAILABLE, inquiry.error().text});
  OwnSeen seen(options.domain);
  seen.time = clock.wall();
  seen.expire_within = options.expire_within;
  Inquiry& world = **inquiry;
  seen.gathered = world.gather(options.domain, deadline - options.limit / 2);
  if (seen.gathered.validation.state == dns::Validation::unknown) {
    return base::fail(
        Failure{EX_UNAVAILABLE, "no resolver answers: " + seen.gathered.validation.text});
  }
  seen.tls_rpt = world.look_up("_smtp._tls." + options.domain.str(), dns::Type::TXT);
  seen.body = world.fetch_policy(options.domain);
  seen.body_certificate_end = world.policy_certificate_end();
  const std::vector<SeenHost> untried = seen.gathered.seen;
  for (const proxy::KeyType key :
       {proxy::KeyType::rsa, proxy::KeyType::ecdsa, proxy::KeyType::eddsa}) {
    seen.gathered.seen = untried;
    world.connect(seen.gathered, deadline, Only{key, false});
    seen.keys.push_back({key, seen.gathered.seen});
  }
  seen.gathered.seen = without_handshake(untried, seen.keys);
  world.connect(seen.gathered, deadline, Only{std::nullopt, true});
  seen.old = std::move(seen.gathered.seen);
  seen.gathered.seen = untried;
  return judge_own(seen);
}

}  // namespace check
