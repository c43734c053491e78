#include "check/inquiry.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "dns/await.h"
#include "policy/plan_words.h"
#include "proxy/gather.h"
#include "proxy/server_services.h"
#include "proxy/survey.h"

namespace check {

namespace asio = boost::asio;

namespace {

constexpr std::size_t addresses_most = 64;  // of all hosts together
constexpr std::size_t visits_at_once = 8;

}  // namespace

policy::Try terms_of(const policy::HostPlan& host) {
  if (const auto* decided = std::get_if<policy::Try>(&host.decision)) return *decided;
  policy::Try terms = host.unprotected;
  terms.requirement = host.demanded;
  terms.why = policy::words::requirement(host.demanded);
  terms.pkix_by_sts = policy::pkix_of(host.demanded) && terms.sts &&
                      terms.sts->mode == policy::StsMode::enforce;
  return terms;
}

// A store with the one policy that the daemon has, and nowhere to write to.
class Inquiry::CacheRow final : public store::Store {
 public:
  explicit CacheRow(std::optional<store::PolicyRow> row) : row_(std::move(row)) {}
  void put_policy(store::PolicyRow) override {}
  void erase_policy(const std::string&) override {}
  void put_host(store::HostRow) override {}
  void erase_host(const std::string&) override {}
  void put_value(std::string, std::string, store::Done) override {}
  void erase_value(std::string) override {}
  void put_policy_strings(const std::string&, std::string, std::chrono::sys_days,
                          store::Done) override {}
  void forget_policy_strings(std::chrono::sys_days) override {}
  base::Result<void, base::Error> each_policy(
      const std::function<void(store::PolicyRow)>& take) override {
    if (row_) take(*row_);
    return {};
  }
  base::Result<std::optional<std::string>, base::Error> value(const std::string&) override {
    return std::optional<std::string>();
  }
  base::Result<std::vector<std::pair<std::string, std::string>>, base::Error> values(
      const std::string&) override {
    return std::vector<std::pair<std::string, std::string>>();
  }
  base::Result<std::optional<std::string>, base::Error> policy_strings(
      const std::string&) override {
    return std::optional<std::string>();
  }
  bool has_policy_strings(const std::string&, std::chrono::sys_days) override { return false; }
  base::Result<std::vector<store::HostRow>, base::Error> load_hosts() override {
    return std::vector<store::HostRow>();
  }
  std::optional<std::string> trouble() const override { return std::nullopt; }
  store::Outcome flush() override { return {}; }

 private:
  std::optional<store::PolicyRow> row_;
};

Inquiry::Inquiry(std::shared_ptr<const proxy::Snapshot> snapshot, const base::Clock& clock)
    : snapshot_(std::move(snapshot)), clock_(clock) {}
Inquiry::~Inquiry() = default;

base::Result<std::unique_ptr<Inquiry>, base::Error> Inquiry::open(
    std::shared_ptr<const config::Config> config, const base::Clock& clock,
    const DaemonCache& cache, Progress progress) {
  std::unique_ptr<Inquiry> made(new Inquiry(proxy::make_snapshot(std::move(config)), clock));
  made->progress_ = progress;
  made->shared_.clock = &clock;
  made->shared_.slots = &made->slots_;
  auto worker = proxy::Worker::make(made->shared_, made->snapshot_, {1000, 1000});
  if (!worker) return base::fail(std::move(worker.error()));
  made->worker_ = std::move(*worker);
  if (auto ok = made->open_resolvers(progress); !ok) return base::fail(std::move(ok.error()));
  if (auto ok = made->open_sts(cache); !ok) return base::fail(std::move(ok.error()));
  return made;
}

base::Result<void, base::Error> Inquiry::open_resolvers(const Progress& progress) {
  const std::function<void(const std::string&)> tell = [progress](const std::string& question) {
    if (progress) progress("asking the DNS: " + question);
  };
  auto resolver = proxy::make_resolver(worker_->io(), *snapshot_->config, true);
  if (!resolver) return base::fail(std::move(resolver.error()));
  resolver_ = std::move(*resolver);
  auto plain = proxy::make_resolver(worker_->io(), *snapshot_->config, false);
  if (!plain) return base::fail(std::move(plain.error()));
  plain_resolver_ = std::move(*plain);
  recorder_ = std::make_unique<Recorder>(*resolver_, tell);
  plain_recorder_ = std::make_unique<Recorder>(*plain_resolver_, tell);
  shared_.resolver = recorder_.get();
  shared_.plain_resolver = plain_recorder_.get();
  return {};
}

base::Result<void, base::Error> Inquiry::open_sts(const DaemonCache& cache) {
  const config::Config& config = *snapshot_->config;
  auto context = policy::make_fetch_context(config.tls.ca_file.string());
  if (!context) return base::fail(std::move(context.error()));
  policy_certificate_ = std::make_unique<policy::HostCertificate>(**context);
  fetcher_ = std::make_unique<policy::HttpsFetcher>(proxy::fetch_settings(config), *recorder_,
                                                    clock_, std::move(*context));
  store_ = std::make_unique<CacheRow>(cache.row);
  policy::StsEngine::Parts parts;
  parts.home = worker_->io().get_executor();
  parts.clock = &clock_;
  parts.resolver = recorder_.get();
  parts.fetcher = fetcher_.get();
  parts.store = store_.get();
  parts.random = &random_;
  policy::StsEngineSettings settings;
  settings.refresh_interval =
      std::chrono::duration_cast<std::chrono::seconds>(config.mta_sts.refresh_interval);
  sts_ = std::make_unique<policy::StsEngine>(std::move(parts), settings);
  auto loaded = sts_->load();
  if (!loaded) return base::fail(std::move(loaded.error()));
  shared_.sts = sts_.get();
  return {};
}

void Inquiry::run(asio::awaitable<void> work) {
  asio::io_context& io = worker_->io();
  io.restart();
  std::exception_ptr thrown;
  bool ended = false;
  asio::co_spawn(io, std::move(work), [&thrown, &ended](std::exception_ptr error) {
    thrown = error;
    ended = true;
  });
  while (!ended && io.run_one() > 0) {
  }
  if (thrown) std::rethrow_exception(thrown);
}

// ---- facts and plan -----------------------------------------------------------------------------

Gathered Inquiry::gather(const base::Domain& domain, proxy::SteadyTime deadline) {
  Gathered gathered;
  gathered.snapshot = snapshot_;
  gathered.op = proxy::operator_today(clock_, snapshot_->settings, domain);
  run(find_out(domain, deadline, gathered));
  plan(gathered);
  gathered.asked = recorder_->asked();
  for (Asked& one : plain_recorder_->asked()) gathered.asked.push_back(std::move(one));
  return gathered;
}

void Inquiry::plan(Gathered& gathered) {
  gathered.seen.clear();
  gathered.survey.reset();
  if (!gathered.facts) return;
  gathered.survey = policy::plan_all(snapshot_->settings, gathered.op, *gathered.facts);
  for (const policy::HostPlan& host : gathered.survey->hosts) {
    SeenHost seen;
    seen.own = host.host.str() == snapshot_->config->server.hostname;
    for (const base::Ip& ip : host.addresses) {
      seen.own = seen.own || worker_->gather().is_own(ip);
      seen.addresses.emplace_back(ip);
    }
    gathered.seen.push_back(std::move(seen));
  }
}

asio::awaitable<void> Inquiry::find_out(base::Domain domain, proxy::SteadyTime deadline,
                                        Gathered& into) {
  using Reports = std::function<void(dns::ValidationReport)>;
  std::function<void(Reports)> begin = [this](Reports done) {
    resolver_->check_validation(std::move(done));
  };
  auto validating = dns::async_callback<dns::ValidationReport>(std::move(begin), deadline);
  const auto report = co_await std::move(validating);
  into.validation.text = "the resolver did not answer in time";
  if (report) into.validation = *report;
  if (into.validation.state == dns::Validation::unknown) co_return;
  const bool validates = into.validation.state == dns::Validation::validates;
  shared_.validation = validates ? proxy::Validation::validates : proxy::Validation::broken;
  auto facts = co_await proxy::gather_all(*worker_, snapshot_, domain, deadline);
  if (!facts) co_return;
  into.facts = std::move(*facts);
  // With a cached policy nobody has waited for the record.
  if (!snapshot_->config->mta_sts.enabled) co_return;
  auto asking = dns::async_lookup(*recorder_, "_mta-sts." + domain.str(), dns::Type::TXT);
  const auto record = co_await std::move(asking);
  (void)record;  // It stands in the recorder.
}

dns::RawLookup Inquiry::look_up(const std::string& name, dns::Type type) {
  std::optional<dns::RawLookup> answer;
  run(look_up_into(name, type, answer));
  return std::move(*answer);
}

asio::awaitable<void> Inquiry::look_up_into(std::string name, dns::Type type,
                                            std::optional<dns::RawLookup>& into) {
  into = co_await dns::async_lookup(*recorder_, std::move(name), type);
}

policy::StsBody Inquiry::fetch_policy(const base::Domain& domain) {
  if (progress_) progress_("fetching the policy of " + domain.str());
  std::optional<policy::StsBody> body;
  run(fetch_into(domain, body));
  return std::move(*body);
}

asio::awaitable<void> Inquiry::fetch_into(base::Domain domain,
                                          std::optional<policy::StsBody>& into) {
  into = co_await fetcher_->fetch(domain);
}

// ---- RFC 8461 §5.1 ------------------------------------------------------------------------------

bool Inquiry::recheck(Gathered& gathered, proxy::SteadyTime deadline) {
  bool changed = false;
  run(ask_again(gathered, deadline, changed));
  if (changed) plan(gathered);
  gathered.asked = recorder_->asked();
  for (Asked& one : plain_recorder_->asked()) gathered.asked.push_back(std::move(one));
  return changed;
}

asio::awaitable<void> Inquiry::ask_again(Gathered& gathered, proxy::SteadyTime deadline,
                                         bool& changed) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
      deadline - std::chrono::steady_clock::now());
  const std::chrono::milliseconds most = snapshot_->config->mta_sts.first_contact_wait;
  const auto wait = std::clamp(left, std::chrono::milliseconds(0), most);
  policy::StsState state = co_await sts_->recheck(gathered.facts->domain.domain, wait);
  const auto* before = std::get_if<policy::StsActive>(&gathered.facts->domain.sts);
  const auto* now = std::get_if<policy::StsActive>(&state);
  changed = before && now ? before->id != now->id || before->policy.lines != now->policy.lines
                          : gathered.facts->domain.sts.index() != state.index();
  if (changed) gathered.facts->domain.sts = std::move(state);
}

// ---- handshakes ---------------------------------------------------------------------------------

struct Inquiry::Target {
  std::string host;
  std::shared_ptr<const policy::Try> terms;
  SeenAddress* seen = nullptr;
  Only only;
};

void Inquiry::connect(Gathered& gathered, proxy::SteadyTime deadline, Only only) {
  if (!gathered.survey) return;
  const auto& allowed = snapshot_->config->outbound.private_destinations;
  std::vector<Target> targets;
  for (std::size_t i = 0; i < gathered.survey->hosts.size(); ++i) {
    const policy::HostPlan& host = gathered.survey->hosts[i];
    const auto* out = std::get_if<policy::Excluded>(&host.decision);
    if (gathered.seen[i].own || (out && !out->by_policy)) continue;
    const auto terms = std::make_shared<const policy::Try>(terms_of(host));
    for (SeenAddress& seen : gathered.seen[i].addresses) {
      if (base::is_private_destination(seen.ip) && !base::any_contains(allowed, seen.ip)) {
        seen.state = SeenAddress::State::private_address;
      } else if (targets.size() < addresses_most) {
        targets.push_back({host.host.str(), terms, &seen, only});
      }
    }
  }
  run(visit_all(targets, deadline));
}

asio::awaitable<void> Inquiry::visit_all(std::vector<Target>& targets,
                                         proxy::SteadyTime deadline) {
  auto next = std::make_shared<std::size_t>(0);
  auto at_work = std::make_shared<std::size_t>(std::min(visits_at_once, targets.size()));
  auto done = std::make_shared<proxy::Event>();
  const std::size_t visitors = *at_work;
  for (std::size_t i = 0; i < visitors; ++i) {
    asio::co_spawn(worker_->io(), visit(targets, deadline, next, at_work, done), asio::detached);
  }
  // Every visit keeps to the deadline, and refers to `targets`.
  while (*at_work > 0) co_await done->wait(proxy::SteadyTime::max());
}

asio::awaitable<void> Inquiry::visit(std::vector<Target>& targets, proxy::SteadyTime deadline,
                                     std::shared_ptr<std::size_t> next,
                                     std::shared_ptr<std::size_t> at_work,
                                     std::shared_ptr<proxy::Event> done) {
  while (*next < targets.size()) {
    Target& target = targets[(*next)++];
    if (progress_) progress_("connecting to " + target.host + " [" + target.seen->ip.str() + "]");
    try {
      co_await handshake(*worker_, *snapshot_->config, *target.terms, deadline, *target.seen,
                         target.only);
    } catch (const std::exception& bug) {  // the others, and who waits for all, go on
      target.seen->failure = proxy::MxFailure{proxy::MxFailure::Kind::broken,
                                              std::string("internal error: ") + bug.what(),
                                              std::nullopt, false};
    }
  }
  --*at_work;
  done->notify_all();
}

}  // namespace check
