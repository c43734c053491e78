#include "proxy/reporting.h"

#include <sysexits.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <iterator>

#include "base/log.h"
#include "config/choices.h"
#include "dns/await.h"
#include "dns/decode.h"
#include "proxy/report_mail.h"
#include "proxy/server_services.h"
#include "report/https_post.h"
#include "report/secret.h"
#include "report/strings.h"
#include "store/sqlite_reports.h"

namespace proxy {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::chrono::milliseconds busy_timeout{5000};
// Endpoints that hang must not hold up the reports of others, and there is another try.
constexpr std::chrono::milliseconds post_timeout{20000};

StartError unavailable(std::string text) { return {EX_UNAVAILABLE, std::move(text)}; }
StartError wrong(std::string text) { return {EX_CONFIG, std::move(text)}; }

// Where the identity is not configured, records are kept all the same, under the host's name.
report::Identity identity_of(const config::Config& config) {
  const config::TlsRpt& from = config.tls_rpt;
  report::Identity identity;
  identity.relay = config.server.hostname;
  identity.complete =
      !from.organization_name.empty() && !from.contact_info.empty() && from.report_domain;
  identity.submitter.organization_name = from.organization_name.empty()
                                             ? config.server.hostname
                                             : from.organization_name;
  identity.submitter.domain =
      from.report_domain ? from.report_domain->str() : config.server.hostname;
  identity.submitter.contact_info = from.contact_info.empty()
                                        ? "postmaster@" + identity.submitter.domain
                                        : from.contact_info;
  return identity;
}

report::Settings settings_of(const config::Config& config) {
  report::Settings settings;
  settings.identity = identity_of(config);
  settings.send = config.tls_rpt.send;
  settings.directory = config.tls_rpt.directory;
  settings.keep = config.tls_rpt.keep;
  settings.log = config.log.enforcement;
  return settings;
}

base::Result<std::string, base::Error> read_file(const config::Path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) return base::fail(path.string() + " cannot be read");
  return {boost::system::in_place_value, std::move(text)};
}

}  // namespace

Reporting::Reporting(const config::Config& config, const base::Clock& clock,
                     dns::Resolver& resolver)
    : clock_(clock),
      resolver_(resolver),
      settings_(settings_of(config)),
      nobody_named_(config.tls_rpt.organization_name.empty() &&
                    config.tls_rpt.contact_info.empty() && !config.tls_rpt.report_domain) {}

base::Result<std::unique_ptr<Reporting>, StartError> Reporting::open(const config::Config& config,
                                                                     const base::Clock& clock,
                                                                     store::Store& strings,
                                                                     dns::Resolver& resolver) {
  std::unique_ptr<Reporting> made(new Reporting(config, clock, resolver));
  auto reports = store::open_sqlite_reports(config.store.sqlite_file().string(), busy_timeout);
  if (!reports) return base::fail(unavailable(reports.error().text));
  made->reports_ = std::move(*reports);
  auto identity = made->open_identity(config);
  if (!identity) return base::fail(std::move(identity.error()));
  auto ways_out = made->open_ways_out(config);
  if (!ways_out) return base::fail(std::move(ways_out.error()));

  report::PolicyStrings policies = report::stored_policies(strings);
  if (made->collector_) {
    made->feed_ = std::make_unique<report::Feed>(made->io_.get_executor(), resolver, policies,
                                                 *made->collector_);
  }
  report::Service::Parts parts;
  parts.executor = made->io_.get_executor();
  parts.clock = &clock;
  parts.reports = made->reports_.get();
  parts.strings = std::move(policies);
  parts.resolver = &resolver;
  parts.mail = made->mail_.get();
  parts.https = made->https_.get();
  parts.return_path = made->return_path();
  parts.signer = made->signer_ ? &*made->signer_ : nullptr;
  parts.feed = made->feed_.get();
  made->service_ = std::make_unique<report::Service>(made->settings_, std::move(parts));
  auto opened = made->service_->open();
  if (!opened) return base::fail(unavailable("TLS reports: " + opened.error().text));
  return made;
}

base::Result<void, StartError> Reporting::open_identity(const config::Config& config) {
  const config::TlsRpt& from = config.tls_rpt;
  if (from.report_domain) {
    auto secret = report::take_secret(config.server.state_dir / "report.secret");
    if (!secret) return base::fail(unavailable(secret.error().text));
    return_path_.emplace(*secret, *from.report_domain);
  }
  if (from.dkim_key.empty() || !from.report_domain) return {};
  auto pem = read_file(from.dkim_key);
  if (!pem) return base::fail(wrong("tls_rpt.dkim_key: " + pem.error().text));
  auto signer = tlsrpt::DkimSigner::make(*pem, from.report_domain->str(), from.dkim_selector);
  if (!signer) {
    return base::fail(wrong("tls_rpt.dkim_key " + from.dkim_key.string() + ": " +
                            signer.error().text));
  }
  signer_.emplace(std::move(*signer));
  return {};
}

base::Result<void, StartError> Reporting::open_ways_out(const config::Config& config) {
  mail_ = std::make_unique<SubmitMail>(config.tls_rpt.submit_via, config.server.hostname);
  report::HttpsPostSettings post;
  post.timeout = post_timeout;
  post.order = address_order(config.outbound.ip_preference);
  post.private_destinations = config.outbound.private_destinations;
  https_ = std::make_unique<report::HttpsPost>(std::move(post), resolver_);
  if (config.tls_rpt.collector.empty()) return {};
  auto collector = report::Collector::make(config.tls_rpt.collector.string());
  if (!collector) return base::fail(wrong("tls_rpt.collector: " + collector.error().text));
  collector_ = std::move(*collector);
  return {};
}

// What a receiver may hold against our key is told once, when the day's first report is far away.
asio::awaitable<void> Reporting::look_at_key_record() {
  const std::string name = signer_->record_name();
  auto raw = co_await dns::async_lookup(resolver_, name, dns::Type::TXT);
  auto answer = dns::decode_all<std::string>(std::move(raw), dns::decode_txt);
  if (!answer) {
    base::log_warn("", "the DKIM key record of the report mail could not be looked up: " +
                           answer.error().text);
    co_return;
  }
  // Without any it is like an empty one: the words say what should stand there.
  std::optional<std::string> problem = signer_->record_problem("");
  for (const std::string& text : answer->records) {
    problem = signer_->record_problem(text);
    if (!problem) co_return;
  }
  base::log_warn("", "report mail may be ignored by its receivers (RFC 8460 §3): " + *problem);
}

void Reporting::start() {
  // Where only a part of it is set, the loader has warned and named what is missing.
  if (settings_.send && nobody_named_) {
    base::log_warn("", "TLS reports are kept in " + settings_.directory.string() +
                           " and not sent: tls_rpt.organization_name, contact_info and "
                           "report_domain must all be set for that");
  }
  std::error_code not_made;
  std::filesystem::create_directories(settings_.directory, not_made);
  if (not_made || ::access(settings_.directory.c_str(), W_OK | X_OK) != 0) {
    base::log_warn("", "tls_rpt.directory " + settings_.directory.string() +
                           " cannot be written: no report can be composed until it can");
  }
  if (signer_) asio::co_spawn(io_, look_at_key_record(), asio::detached);
  service_->start();
  guard_.emplace(asio::make_work_guard(io_));
  thread_ = std::thread([this] {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception& error) {
        base::log_error("", std::string("internal error in the report thread: ") + error.what());
      }
    }
  });
}

void Reporting::stop() {
  if (!thread_.joinable()) return;
  io_.stop();
  thread_.join();
  service_->stop();
  service_->catch_up();
}

Reporting::~Reporting() { stop(); }

void Reporting::command(json request, report::Service::Answer answer) {
  asio::post(io_, [this, request = std::move(request), answer = std::move(answer)]() mutable {
    try {
      service_->command(request, answer);
    } catch (const json::exception&) {
      json refused;
      refused["error"] = "a value of the request has another type than the command expects";
      answer(std::move(refused));
    } catch (const std::exception& error) {
      json refused;
      refused["error"] = error.what();
      answer(std::move(refused));
    }
  });
}

json Reporting::run_command(const json& request) {
  std::optional<json> reply;
  service_->command(request, [this, &reply](json answer) {
    reply = std::move(answer);
    io_.stop();
  });
  if (!reply) io_.run();
  return reply ? std::move(*reply) : json{{"error", "the command has no answer"}};
}

}  // namespace proxy
