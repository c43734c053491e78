#include "proxy/server_daemon.h"

#include <malloc.h>
#include <sysexits.h>

#include <boost/asio/post.hpp>
#include <csignal>

#include "base/log.h"
#include "proxy/notify.h"

namespace proxy {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::seconds probe_again{10};
constexpr std::chrono::seconds probe_on{60};  // Mostly out of libunbound's memory.

sigset_t signals_taken() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts) {
    if (!out.empty()) out += between;
    out += part;
  }
  return out;
}

std::string weak_text(const config::Config& config) {
  const auto weak = global_weakenings(config);
  return weak.empty() ? std::string() : "; weaker for every domain: " + joined(weak, ", ");
}

// Sections that a running daemon does not change, by name, where old and new differ.
std::vector<std::string> needs_restart(const config::Config& before, const config::Config& now) {
  std::vector<std::string> keys;
  if (before.server.threads != now.server.threads) keys.push_back("server.threads");
  if (before.server.state_dir != now.server.state_dir) keys.push_back("server.state_dir");
  if (before.server.control != now.server.control) keys.push_back("server.control");
  if (before.dns != now.dns) keys.push_back("dns");
  if (before.log != now.log) keys.push_back("log");
  if (before.store != now.store) keys.push_back("store");
  if (before.tls_rpt != now.tls_rpt) keys.push_back("tls_rpt");
  if (before.socketmap.listen != now.socketmap.listen) keys.push_back("socketmap.listen");
  if (before.socketmap.sendmail_listen != now.socketmap.sendmail_listen) {
    keys.push_back("socketmap.sendmail_listen");
  }
  if (before.milter.socket != now.milter.socket) keys.push_back("milter.socket");
  if (!before.admin.listen && now.admin.listen) keys.push_back("admin.listen");
  if (before.mta_sts.refresh_interval != now.mta_sts.refresh_interval) {
    keys.push_back("mta_sts.refresh_interval");
  }
  return keys;
}

}  // namespace

std::vector<std::string> global_weakenings(const config::Config& config) {
  std::vector<std::string> weak;
  if (config.policy.mode == config::Mode::Observe) weak.push_back("policy.mode = observe");
  if (!config.dane.enabled) weak.push_back("dane.enabled = false");
  if (!config.mta_sts.enabled) weak.push_back("mta_sts.enabled = false");
  if (config.policy.combine == config::Combine::DaneAlone) {
    weak.push_back("policy.combine = dane-alone");
  }
  return weak;
}

Daemon::Daemon(std::string config_path, std::shared_ptr<const config::Config> config,
               const base::Clock& clock)
    : config_path_(std::move(config_path)),
      clock_(clock),
      config_(std::move(config)),
      started_with_(config_),
      probe_timer_(home_),
      watchdog_timer_(home_),
      started_at_(clock.wall()),
      adopted_at_(started_at_) {
  // Before there are other threads, which inherit it.
  const sigset_t taken = signals_taken();
  pthread_sigmask(SIG_BLOCK, &taken, nullptr);
}

Daemon::~Daemon() { leave_signals(); }

base::Result<void, StartError> Daemon::open() {
  const std::string started = "sternpost " STERNPOST_VERSION " with " + config_path_;
  auto services = Services::open(home_, *config_, started + weak_text(*config_), clock_);
  if (!services) return base::fail(std::move(services.error()));
  services_ = std::move(*services);
  for (const auto& weak : global_weakenings(*config_)) {
    base::log_warn("", "enforcement is weaker for every domain: " + weak);
  }
  PassedSockets passed = PassedSockets::from_systemd();
  server_ = std::make_unique<Server>(home_, services_->shared());
  const auto snapshot = make_snapshot(config_);
  auto opened = server_->open(snapshot, passed);
  if (!opened) return opened;
  if (Advisor::wanted(*config_)) {
    advisor_ = std::make_unique<Advisor>(home_, services_->shared());
    opened = advisor_->open(snapshot, passed);
    if (!opened) return opened;
  }
  opened = open_admin(passed);
  if (!opened) return opened;
  if (passed.left() > 0) {
    base::log_warn("", std::to_string(passed.left()) +
                           " sockets passed by systemd belong to no address to listen at");
  }
  auto control = Control::open_socket(config_->server.control);
  if (!control) {
    return base::fail(StartError{EX_UNAVAILABLE, "server.control " + control.error().text});
  }
  control_ = std::make_shared<Control>(home_, std::move(*control), commands());
  return {};
}

int Daemon::run() {
  take_signals();
  server_->start();
  if (advisor_) advisor_->start();
  if (services_->reporting() != nullptr) services_->reporting()->start();
  if (admin_) admin_->start();
  control_->start();
  probe_validation();
  feed_watchdog();
  base::log_info("", "sternpost " STERNPOST_VERSION " runs with " + config_path_ + ", " +
                         std::to_string(server_->threads()) + " threads");
  tell_status();
  for (;;) {
    try {
      home_.run();
      break;
    } catch (const std::exception& error) {
      base::log_error("", std::string("internal error: ") + error.what());
    }
  }
  leave_signals();
  admin_.reset();  // It asks the others.
  server_.reset();
  advisor_.reset();
  services_->close("SIGTERM or SIGINT");
  base::log_info("", "ended");
  return 0;
}

void Daemon::feed_watchdog() {
  const auto interval = notify::watchdog_interval();
  if (!interval) return;
  notify::watchdog();
  watchdog_timer_.expires_after(*interval);
  watchdog_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) feed_watchdog();
  });
}

// ── whether the resolver validates ──────────────────────────────────────────────────────────────

void Daemon::probe_validation() {
  services_->resolver().check_validation([this](const dns::ValidationReport& report) {
    asio::post(home_, [this, report] { on_validation(report); });
  });
}

void Daemon::on_validation(const dns::ValidationReport& report) {
  if (ending_) return;
  const bool changed = validation_text_ != report.text;
  validation_text_ = report.text;
  auto& validation = services_->shared().validation;
  if (report.state == dns::Validation::validates) {
    const bool before = validation.exchange(Validation::validates) == Validation::validates;
    if (!before) base::log_info("", "the resolver validates: " + report.text);
    if (!before) tell_status();
    probe_after(probe_on);
    return;
  }
  const bool broken = report.state == dns::Validation::does_not_validate;
  validation = broken ? Validation::broken : Validation::unknown;
  if (changed) {
    base::log_error("", (broken ? "THE RESOLVER DOES NOT VALIDATE: no session is called DANE: "
                                : "whether the resolver validates is not known yet: ") +
                            report.text);
  }
  tell_status();
  probe_after(probe_again);
}

void Daemon::probe_after(std::chrono::seconds time) {
  probe_timer_.expires_after(time);
  probe_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) probe_validation();
  });
}

bool Daemon::ready() const {
  return !ending_ && services_->shared().validation == Validation::validates;
}

std::string Daemon::status_text() const {
  if (ending_) return "ending";
  return ready() ? "relaying" : "not ready: " + validation_text_;
}

void Daemon::tell_status() {
  if (ready() && !told_ready_) {
    told_ready_ = true;
    notify::ready(status_text());
    // What was only needed to start goes back to the system.
    ::malloc_trim(0);
    base::log_info("", "ready");
  } else {
    notify::status(status_text());
  }
}

// ── signals ─────────────────────────────────────────────────────────────────────────────────────

// A thread of their own takes the signals, which all others block: libunbound gives up for good
// when a signal interrupts its reading or writing of the pipe between its threads.
void Daemon::take_signals() {
  signal_thread_ = std::thread([this] {
    const sigset_t taken = signals_taken();
    for (;;) {
      // Not sigwait(), which the linker gives to libmilter's thread (proxy/milter.cpp).
      const int number = sigwaitinfo(&taken, nullptr);
      if (number < 0) continue;
      if (signals_over_) return;
      if (number == SIGHUP && reload_due_.exchange(true)) continue;
      asio::post(home_, [this, number] { on_signal(number); });
    }
  });
}

void Daemon::leave_signals() {
  if (!signal_thread_.joinable()) return;
  signals_over_ = true;
  pthread_kill(signal_thread_.native_handle(), SIGTERM);
  signal_thread_.join();
}

void Daemon::on_signal(int number) {
  if (ending_) return;
  if (number == SIGHUP) {
    reload_due_ = false;
    reload();
  } else {
    end();
  }
}

void Daemon::record_config(const std::string& reason) {
  audit::Record record;
  record.event = audit::Event::config;
  record.reason = reason;
  services_->log().append(record);
}

void Daemon::reload() {
  // Before the first READY=1 there is nothing that systemd could take for reloaded.
  if (told_ready_) notify::reloading();
  config::LoadResult loaded = config::load(config_path_, clock_);
  for (const auto& issue : loaded.warnings) {
    base::log_warn("", config::text_of(issue, "warning"));
  }
  if (!loaded.config) {
    for (const auto& issue : loaded.errors) {
      base::log_error("", config::text_of(issue, "error"));
    }
    base::log_error("", "the configuration stays as it was: " + config_path_ + " is wrong");
    record_config("reload refused: " + config_path_ + " is wrong; the old configuration stays");
    reload_refused_ = true;
  } else {
    adopt(std::move(loaded.config));
  }
  if (told_ready_) {
    notify::ready(status_text());
  } else {
    notify::status(status_text());
  }
}

void Daemon::adopt(std::shared_ptr<const config::Config> config) {
  std::vector<std::string> kept;
  const auto snapshot = make_snapshot(config);
  auto adopted = server_->adopt(snapshot, kept);
  if (adopted && advisor_) adopted = advisor_->adopt(snapshot);
  if (adopted && admin_) adopted = admin_->adopt(*config, kept);
  if (adopted) adopted = services_->adopt(*config);
  reload_refused_ = !adopted;
  if (!adopted) {
    base::log_error("", "the configuration stays as it was: " + adopted.error().text);
    record_config("reload refused: " + adopted.error().text);
    return;
  }
  for (auto& key : needs_restart(*started_with_, *config)) kept.push_back(std::move(key));
  for (const auto& key : kept) base::log_warn("", "changes only at a restart: " + key);
  for (const auto& weak : global_weakenings(*config)) {
    base::log_warn("", "enforcement is weaker for every domain: " + weak);
  }
  std::string reason = "configuration reloaded from " + config_path_ + weak_text(*config);
  if (!kept.empty()) reason += "; only at a restart: " + joined(kept, ", ");
  record_config(reason);
  adopted_at_ = clock_.wall();
  config_ = std::move(config);
  base::log_info("", "configuration reloaded from " + config_path_);
}

void Daemon::end() {
  ending_ = true;
  probe_timer_.cancel();
  notify::stopping(status_text());
  base::log_info("", "ending: no more connections, open transactions are waited for");
  if (advisor_) advisor_->stop();
  auto done = [this] {
    control_->stop();
    home_.stop();
  };
  server_->drain(config_->server.drain, config_->outbound.final_wait, std::move(done));
}

}  // namespace proxy
