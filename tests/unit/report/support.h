// What the report tests share: an enforcement log that is written by hand, a store that fails when
// told to, sinks that answer as scripted and keep what they were given, and a World that runs
// report::Service over real files with a clock that the test moves: days in milliseconds.
#pragma once

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "report/service.h"
#include "store/sqlite_reports.h"
#include "store/sqlite_store.h"
#include "tests/unit/audit/support.h"
#include "tests/unit/policy/sts_support.h"

namespace report_test {

using namespace std::chrono_literals;
using audit_test::at;
using audit_test::Folder;
using audit_test::HandClock;
using nlohmann::json;
using store::Day;
using tlsrpt::FailureDetail;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;

inline constexpr Day day{2026y / 11 / 25};

inline tlsrpt::Policy sts_policy(const std::string& domain) {
  return {PolicyType::sts, domain, {"version: STSv1", "mode: enforce", "mx: mx." + domain,
                                    "max_age: 86400"}, {"mx." + domain}};
}
inline tlsrpt::SessionResult result(tlsrpt::Policy policy,
                                    std::vector<FailureDetail> failures = {}) {
  tlsrpt::SessionResult made;
  made.policy = std::move(policy);
  made.success = failures.empty();
  made.failures = std::move(failures);
  return made;
}
inline FailureDetail expired() { return {ResultType::certificate_expired, "expired"}; }

inline audit::Record session(const std::string& domain,
                             const std::vector<tlsrpt::SessionResult>& results) {
  audit::Record record;
  record.event = audit::Event::session;
  record.counted = true;
  record.domain = *base::Domain::parse(domain);
  record.mx = "mx." + domain;
  record.helo = "helo." + domain;
  record.ip = *base::Ip::parse("192.0.2.1");
  record.source_ip = *base::Ip::parse("192.0.2.2");
  record.results.emplace();
  for (const auto& one : results) record.results->push_back(audit::policy_result(one));
  return record;
}

// Lines as the enforcement log has them, numbered on and on.
class Log {
 public:
  Log(std::filesystem::path path, const base::Clock& clock)
      : path_(std::move(path)), clock_(clock) {}
  void add(const audit::Record& record) { add(record, clock_.wall()); }
  void add(const audit::Record& record, base::WallTime time) {
    raw(audit::to_json_line(record, ++seq_, std::string(64, 'a'), time) + "\n");
  }
  void raw(const std::string& text) {
    std::ofstream(path_, std::ios::binary | std::ios::app) << text;
  }
  void rotate() {
    std::string stamp = audit::rfc3339(clock_.wall());
    std::erase(stamp, '-');
    std::erase(stamp, ':');
    std::error_code none_yet;
    std::filesystem::rename(
        path_, audit::rotated_name(path_, stamp.substr(0, 15) + "Z", ++rotated_), none_yet);
  }
  std::uint64_t seq() const { return seq_; }
  void go_on_from(std::uint64_t seq) { seq_ = seq; }

 private:
  std::filesystem::path path_;
  const base::Clock& clock_;
  std::uint64_t seq_ = 0;
  unsigned rotated_ = 0;
};

inline std::unique_ptr<store::Reports> open_reports(const std::filesystem::path& file) {
  store::SqliteOptions options;
  options.file = file.string();
  auto whole = store::SqliteStore::open(options);  // makes the tables
  if (!whole) FAIL(whole.error().text);
  auto opened = store::open_sqlite_reports(file.string(), 1000ms);
  if (!opened) FAIL(opened.error().text);
  return std::move(*opened);
}

// Fails, before or after it did what it was to do, whenever `fails` says so of a call by its name.
class FlakyReports final : public store::Reports {
 public:
  enum class Fails { no, before, after };
  explicit FlakyReports(store::Reports& real) : real_(real) {}
  std::function<Fails(const std::string&)> fails = [](const std::string&) { return Fails::no; };

  base::Result<store::Progress, base::Error> progress() override {
    return call("progress", [&] { return real_.progress(); });
  }
  store::Outcome count_from(std::optional<std::uint64_t> counted) override {
    return call("count_from", [&] { return real_.count_from(counted); });
  }
  store::Outcome begin_counting(std::uint64_t counted, store::Day closed) override {
    return call("begin_counting", [&] { return real_.begin_counting(counted, closed); });
  }
  store::Outcome add(const store::CountBatch& batch) override {
    return call("add", [&] { return real_.add(batch); });
  }
  store::Outcome close_through(Day to) override {
    return call("close_through", [&] { return real_.close_through(to); });
  }
  base::Result<std::optional<Day>, base::Error> oldest_counted(Day last) override {
    return call("oldest_counted", [&] { return real_.oldest_counted(last); });
  }
  base::Result<std::vector<store::DomainCounts>, base::Error> counts(
      Day of, const std::string& after, std::size_t most) override {
    return call("counts", [&] { return real_.counts(of, after, most); });
  }
  base::Result<std::optional<store::DomainCounts>, base::Error> counts_of(
      Day of, const std::string& domain) override {
    return call("counts_of", [&] { return real_.counts_of(of, domain); });
  }
  store::Outcome put_reports(const std::vector<store::ReportRow>& rows) override {
    return call("put_reports", [&] { return real_.put_reports(rows); });
  }
  base::Result<std::vector<store::ReportRow>, base::Error> reports(Day of) override {
    return call("reports", [&] { return real_.reports(of); });
  }
  base::Result<std::optional<store::ReportRow>, base::Error> report(
      Day of, const std::string& domain) override {
    return call("report", [&] { return real_.report(of, domain); });
  }
  base::Result<std::vector<store::ReportRow>, base::Error> due(base::WallTime now,
                                                               std::size_t most) override {
    return call("due", [&] { return real_.due(now, most); });
  }
  store::Outcome put_report(const store::ReportRow& row) override {
    return call("put_report", [&] { return real_.put_report(row); });
  }
  base::Result<std::vector<store::EndpointRow>, base::Error> endpoints(
      Day of, const std::string& domain) override {
    return call("endpoints", [&] { return real_.endpoints(of, domain); });
  }
  store::Outcome put_endpoints(const store::ReportRow& row,
                               const std::vector<store::EndpointRow>& rows) override {
    return call("put_endpoints", [&] { return real_.put_endpoints(row, rows); });
  }
  store::Outcome put_endpoint(const store::EndpointRow& row) override {
    return call("put_endpoint", [&] { return real_.put_endpoint(row); });
  }
  base::Result<std::uint64_t, base::Error> backlog() override {
    return call("backlog", [&] { return real_.backlog(); });
  }
  store::Outcome forget_before(Day of) override {
    return call("forget_before", [&] { return real_.forget_before(of); });
  }

 private:
  template <class Work>
  auto call(const char* name, Work work) -> decltype(work()) {
    const Fails now = fails(name);
    if (now == Fails::before) return base::fail("the disk is full");
    auto done = work();
    if (now == Fails::after) return base::fail("the answer was lost");
    return done;
  }
  store::Reports& real_;
};

class FakeMail final : public report::MailSink {
 public:
  struct Mail {
    std::string reverse_path;
    std::string recipient;
    std::string message;
    bool operator==(const Mail&) const = default;
  };
  boost::asio::awaitable<report::Sent> submit(std::string reverse_path, std::string recipient,
                                              std::string message) override {
    mails.push_back({std::move(reverse_path), std::move(recipient), std::move(message)});
    report::Sent sent = answer(mails.back());
    co_return sent;
  }
  static report::Sent takes(const Mail&) { return {true, "250 2.0.0 Ok: queued as 4F"}; }
  static report::Sent refuses(const Mail&) { return {false, "451 4.3.0 not now"}; }
  std::vector<Mail> mails;
  std::function<report::Sent(const Mail&)> answer = takes;
};

class FakeHttps final : public report::HttpsSink {
 public:
  boost::asio::awaitable<report::Sent> post(tlsrpt::Endpoint endpoint, std::string body) override {
    posts.emplace_back(endpoint.uri, std::move(body));
    report::Sent sent = answer;
    co_return sent;
  }
  std::vector<std::pair<std::string, std::string>> posts;
  report::Sent answer{true, "HTTP 201"};
};

// The report service of one relay, over files that outlive it.
class World {
 public:
  explicit World(const char* now = "2026-11-25T10:00:00.000Z") : clock(at(now)) {
    settings.identity.submitter = {"Example Corp", "tls@example.com", "example.com"};
    settings.identity.relay = "edge.example.com";
    settings.identity.complete = true;
    settings.directory = folder.path() / "reports";
    settings.keep = std::chrono::days(400);
    settings.log = folder.log();
  }
  ~World() { kill(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void start() {
    kill();
    reports_ = open_reports(folder.path() / "state.db");
    flaky = std::make_unique<FlakyReports>(*reports_);
    io_ = std::make_unique<boost::asio::io_context>(1);
    report::Service::Parts parts;
    parts.executor = io_->get_executor();
    parts.clock = &clock;
    parts.reports = flaky.get();
    parts.strings = [this](const std::string& digest) -> std::optional<tlsrpt::Policy> {
      const auto found = policies.find(digest);
      return found == policies.end() ? std::nullopt : std::optional(found->second);
    };
    parts.resolver = &dns;
    parts.mail = &mail;
    parts.https = &https;
    parts.return_path = &return_path;
    service = std::make_unique<report::Service>(settings, std::move(parts));
    const auto opened = service->open();
    if (!opened) FAIL(opened.error().text);
  }
  // As kill -9: coroutines end where they stand.
  void kill() {
    service.reset();
    io_.reset();
    flaky.reset();
    reports_.reset();
  }
  void restart() { start(); }

  void poll() {
    io_->restart();
    while (io_->poll() > 0) {
    }
  }
  void work() {
    while (service->work()) poll();
    poll();
  }
  void until(base::WallTime end, std::chrono::milliseconds pause = 5min) {
    while (clock.wall() < end) {
      clock.set(std::min(end, clock.wall() + pause));
      work();
    }
  }
  // To the end of the four hours in which the day's reports go.
  void until_sent(Day of = day) { until(base::WallTime(of + std::chrono::days(1)) + 4h + 5min); }

  void asks(const std::string& domain, const std::string& record) {
    dns.txt("_smtp._tls." + domain, record, 300s);
  }
  void sessions(const std::string& domain, int count, std::vector<FailureDetail> failures = {}) {
    const tlsrpt::Policy policy = sts_policy(domain);
    policies[tlsrpt::policy_digest(policy)] = policy;
    for (; count > 0; --count) log.add(session(domain, {result(policy, failures)}));
  }
  json command(json request) {
    std::optional<json> reply;
    service->command(request, [&reply](json answer) { reply = std::move(answer); });
    poll();
    if (!reply) FAIL("no answer to " << request.dump());
    return std::move(*reply);
  }
  json list(const char* date = "2026-11-25") {
    return command({{"command", "report list"}, {"date", date}});
  }
  // Of the one report of the day that the domain has.
  json row(const std::string& domain, const char* date = "2026-11-25") {
    const json answer =
        command({{"command", "report list"}, {"date", date}, {"domain", domain}});
    if (answer["reports"].size() != 1) FAIL(answer.dump());
    return answer["reports"][0];
  }
  json send(const char* date = "2026-11-25") {
    return command({{"command", "report send"}, {"date", date}});
  }
  json shown(const std::string& domain, const char* date = "2026-11-25") {
    const json answer =
        command({{"command", "report show"}, {"date", date}, {"domain", domain}});
    if (answer["reports"].size() != 1) FAIL(answer.dump());
    return json::parse(answer["reports"][0]["report"].get<std::string>());
  }
  std::filesystem::path file(const std::string& domain, Day of = day) const {
    return report::ReportFiles(settings.directory).path(of, domain);
  }

  Folder folder;
  HandClock clock;
  Log log{folder.log(), clock};
  sts_test::TableResolver dns;
  FakeMail mail;
  FakeHttps https;
  std::map<std::string, tlsrpt::Policy> policies;
  report::Settings settings;
  tlsrpt::ReturnPath return_path{tlsrpt::ReturnPath::Secret{7},
                                 *base::Domain::parse("example.com")};
  std::unique_ptr<FlakyReports> flaky;
  std::unique_ptr<report::Service> service;

 private:
  std::unique_ptr<store::Reports> reports_;
  std::unique_ptr<boost::asio::io_context> io_;
};

}  // namespace report_test
