#include "proxy/server_services.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/encode.h"
#include "base/log.h"
#include "report/composer.h"
#include "store/sqlite_reports.h"

namespace proxy {

namespace {

constexpr std::chrono::milliseconds busy_timeout{5000};
// A daemon that ends may still have the lock; one that runs on keeps it.
constexpr std::chrono::milliseconds lock_wait{5000};

constexpr std::string_view command_word = "a command";

StartError unavailable(std::string text) { return {EX_UNAVAILABLE, std::move(text)}; }

// As take_state_lock() wrote it.
std::string lock_holder(int fd) {
  std::array<char, 64> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  if (got <= 0) return "it has not said which";
  return base::printable({text.data(), static_cast<std::size_t>(got)});
}

// The daemon has these signals blocked before it takes them.
bool told_to_end() {
  sigset_t pending;
  sigemptyset(&pending);
  (void)sigpending(&pending);
  return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

dns::UnboundOptions resolver_options(const config::Dns& dns, bool validating) {
  dns::UnboundOptions options;
  if (validating) options.trust_anchor_file = dns.trust_anchor_file.string();
  for (const auto& forwarder : dns.forwarders) {
    options.forwarders.push_back(forwarder.address.str() + "@" + std::to_string(forwarder.port));
  }
  options.unbound_config = dns.unbound_config.string();
  options.timeout = dns.timeout;
  return options;
}

// A log line names them as long as the log is kept, a report as long as it is.
std::chrono::days strings_kept(const config::Config& config) {
  const auto longest = std::max(config.log.retention, config.tls_rpt.keep);
  return std::chrono::ceil<std::chrono::days>(longest) + std::chrono::days(2);
}

}  // namespace

base::Result<std::unique_ptr<dns::UnboundResolver>, base::Error> make_resolver(
    boost::asio::io_context& home, const config::Config& config, bool validating) {
  return dns::UnboundResolver::create(home, resolver_options(config.dns, validating));
}

audit::LogOptions log_options(const config::Log& log, const std::string& start_reason,
                              std::function<void()> before_write) {
  audit::LogOptions options;
  options.before_write = std::move(before_write);
  options.path = log.enforcement;
  options.rotate = std::chrono::duration_cast<std::chrono::seconds>(log.rotate);
  options.retention = std::chrono::duration_cast<std::chrono::seconds>(log.retention);
  options.on_failure = log.on_failure == config::OnLogFailure::Defer
                           ? audit::OnFailure::defer
                           : audit::OnFailure::proceed;
  options.start_reason = start_reason;
  return options;
}

policy::StsFetchSettings fetch_settings(const config::Config& config) {
  policy::StsFetchSettings settings;
  settings.port = config.mta_sts.https_port;
  settings.timeout = config.mta_sts.fetch_timeout;
  settings.max_body = config.mta_sts.max_policy_size;
  settings.order = address_order(config.outbound.ip_preference);
  settings.private_destinations = config.outbound.private_destinations;
  return settings;
}

policy::AddressOrder address_order(config::IpPreference preference) {
  switch (preference) {
    case config::IpPreference::System: return policy::AddressOrder::system;
    case config::IpPreference::Ipv4: return policy::AddressOrder::ipv4;
    case config::IpPreference::Ipv6: return policy::AddressOrder::ipv6;
    case config::IpPreference::Ipv4Only: return policy::AddressOrder::ipv4_only;
    case config::IpPreference::Ipv6Only: return policy::AddressOrder::ipv6_only;
  }
  return policy::AddressOrder::system;
}

base::Result<Descriptor, StartError> take_state_lock(const config::Path& state_dir,
                                                     LockHolder who,
                                                     std::chrono::milliseconds patience) {
  using std::chrono::steady_clock;
  const std::string file = (state_dir / "lock").string();
  Descriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    return base::fail(unavailable("server.state_dir cannot be used: " + file + ": " +
                                  std::strerror(errno)));
  }
  const auto end = steady_clock::now() + patience;
  auto tell = steady_clock::time_point();
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    const std::string holder = lock_holder(fd.get());
    const bool waits = who == LockHolder::daemon && holder.starts_with(command_word);
    if ((!waits && steady_clock::now() >= end) || told_to_end()) {
      return base::fail(unavailable(file + ": another sternpost process has it: " + holder));
    }
    if (steady_clock::now() >= tell) {
      tell = steady_clock::now() + std::chrono::minutes(1);
      base::log_info("", file + ": another sternpost process has it, which is waited for: " +
                             holder);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  const std::string words = std::string(who == LockHolder::daemon ? "serve" : command_word) +
                            ", process " + std::to_string(::getpid());
  // Only words for who waits: without them it waits as for a daemon.
  if (::ftruncate(fd.get(), 0) == 0) (void)!::pwrite(fd.get(), words.data(), words.size(), 0);
  return fd;
}

Services::Services(const base::Clock& clock) : clock_(clock) {}

base::Result<std::unique_ptr<Services>, StartError> Services::open(
    boost::asio::io_context& home, const config::Config& config,
    const std::string& start_reason, const base::Clock& clock) {
  std::unique_ptr<Services> made(new Services(clock));
  auto lock = take_state_lock(config.server.state_dir, LockHolder::daemon, lock_wait);
  if (!lock) return base::fail(std::move(lock.error()));
  made->lock_ = std::move(*lock);

  store::SqliteOptions store_options;
  store_options.file = config.store.sqlite_file().string();
  store_options.on_error = [](const std::string& text) { base::log_error("", text); };
  auto opened = store::SqliteStore::open(std::move(store_options));
  if (!opened) return base::fail(unavailable(opened.error().text));
  made->store_ = std::move(*opened);

  auto resolver = make_resolver(home, config, true);
  if (!resolver) return base::fail(StartError{EX_CONFIG, resolver.error().text});
  made->resolver_ = std::move(*resolver);
  auto plain = make_resolver(home, config, false);
  if (!plain) return base::fail(StartError{EX_CONFIG, plain.error().text});
  made->plain_resolver_ = std::move(*plain);

  made->head_ = std::make_unique<audit::StoredHead>(*made->store_);
  // A digest in the log whose strings a kill has lost would say nothing: strings first.
  Services* const self = made.get();
  auto strings_first = [self] {
    if (!self->strings_posted_.exchange(false)) return;
    if (!self->store_->flush()) self->strings_posted_ = true;
  };
  auto log = audit::EnforcementLog::open(
      log_options(config.log, start_reason, std::move(strings_first)), *made->head_, made->clock_);
  if (!log) return base::fail(unavailable("log.enforcement " + log.error().text));
  made->log_ = std::move(*log);
  made->metered_log_ = std::make_unique<MeteredLog>(*made->log_, made->meters_);

  auto sts = made->open_sts(home, config);
  if (!sts) return base::fail(std::move(sts.error()));

  made->host_histories_ =
      std::make_unique<HostHistories>(home.get_executor(), *made->store_, made->clock_);
  const auto hosts = made->host_histories_->load();
  if (!hosts) return base::fail(unavailable(hosts.error().text));
  base::log_info("", std::to_string(*hosts) + " MX hosts are remembered");

  auto reporting = made->open_reporting(config);
  if (!reporting) return base::fail(std::move(reporting.error()));

  Shared& shared = made->shared_;
  shared.clock = &clock;
  shared.sts = made->sts_.get();
  shared.resolver = made->resolver_.get();
  shared.plain_resolver = made->plain_resolver_.get();
  shared.log = made->metered_log_.get();
  shared.meters = &made->meters_;
  shared.host_histories = made->host_histories_.get();
  shared.host_memory = &made->host_memory_;
  shared.slots = &made->slots_;
  if (!config.milter.socket.empty()) shared.seen_hosts = &made->seen_hosts_;
  // Also with `send` off: reports of before may still be on their way.
  if (made->reporting_) shared.report_mail = made->reporting_->return_path();
  made->strings_kept_ = strings_kept(config);
  shared.keep_policy = [self](const tlsrpt::Policy& policy, const std::string& digest) {
    self->keep_policy(policy, digest);
  };
  return made;
}

base::Result<void, StartError> Services::open_sts(boost::asio::io_context& home,
                                                  const config::Config& config) {
  auto context = policy::make_fetch_context(config.tls.ca_file.string());
  if (!context) return base::fail(StartError{EX_CONFIG, context.error().text});
  fetcher_ = std::make_unique<policy::HttpsFetcher>(fetch_settings(config), *resolver_, clock_,
                                                    std::move(*context));
  policy::StsEngine::Parts parts;
  parts.home = home.get_executor();
  parts.clock = &clock_;
  parts.resolver = resolver_.get();
  parts.fetcher = fetcher_.get();
  parts.store = store_.get();
  parts.random = &random_;
  parts.on_event = [this](const policy::StsEvent& event) { record(event); };
  policy::StsEngineSettings settings;
  settings.refresh_interval =
      std::chrono::duration_cast<std::chrono::seconds>(config.mta_sts.refresh_interval);
  sts_ = std::make_unique<policy::StsEngine>(std::move(parts), settings);
  const auto loaded = sts_->load();
  if (!loaded) return base::fail(unavailable(loaded.error().text));
  base::log_info("", std::to_string(*loaded) + " MTA-STS policies in the cache");
  if (config.mta_sts.enabled) sts_->start();
  return {};
}

base::Result<void, StartError> Services::open_reporting(const config::Config& config) {
  if (!config.tls_rpt.enabled) {
    // Where it is turned on again, it begins with that day, not with what went by meanwhile.
    auto reports = store::open_sqlite_reports(config.store.sqlite_file().string(), busy_timeout);
    if (!reports) return base::fail(unavailable(reports.error().text));
    auto off = (*reports)->count_from(std::nullopt);
    if (!off) return base::fail(unavailable(off.error().text));
    return {};
  }
  auto opened = Reporting::open(config, clock_, *store_, *resolver_);
  if (!opened) return base::fail(std::move(opened.error()));
  reporting_ = std::move(*opened);
  return {};
}

// Any thread. Once a day what no line and no report can name any more goes.
void Services::keep_policy(const tlsrpt::Policy& policy, const std::string& digest) {
  const auto today = std::chrono::floor<std::chrono::days>(clock_.wall());
  const std::int64_t number = today.time_since_epoch().count();
  if (strings_day_.exchange(number) != number) store_->forget_policy_strings(today - strings_kept_);
  if (store_->has_policy_strings(digest, today)) return;
  store_->put_policy_strings(digest, report::policy_to_json(policy), today);
  strings_posted_ = true;
}

audit::Record record_of(const policy::StsEvent& event) {
  audit::Record record;
  record.event = audit::Event::policy;
  record.policy_type = "sts";
  record.reason = std::string(policy::to_string(event.kind)) + ": " + event.text;
  if (const auto domain = base::Domain::parse(event.domain)) record.domain = *domain;
  return record;
}

void Services::record(const policy::StsEvent& event) {
  const std::string text =
      event.domain + ": " + std::string(policy::to_string(event.kind)) + ": " + event.text;
  base::log(event.alert ? base::LogLevel::warn : base::LogLevel::info, "", text);
  meters_.count(event);
  log().append(record_of(event));
}

base::Result<void, base::Error> Services::adopt(const config::Config& config) {
  auto context = policy::make_fetch_context(config.tls.ca_file.string());
  if (!context) return base::fail(std::move(context.error()));
  fetcher_->reconfigure(fetch_settings(config), std::move(*context));
  return {};
}

void Services::close(const std::string& reason) {
  log_->stop(reason);
  if (reporting_) reporting_->stop();  // It counts what the log has just written.
  const auto flushed = store_->flush();
  if (!flushed) base::log_error("", flushed.error().text);
}

Services::~Services() = default;

}  // namespace proxy
