// Service: TLS-RPT as it runs in the daemon: counts the enforcement log every second, closes the
// day at 00:00 UTC, composes its reports, sends them, hands results to a collector, forgets what is
// too old; and answers `report list|show|send`. All of it on the report thread's executor, where
// blocking on the disk is allowed and delivery never waits. Time comes from the clock alone. Made
// by proxy/reporting.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "report/composer.h"
#include "report/counter.h"
#include "report/feed.h"
#include "report/files.h"
#include "report/sender.h"

namespace report {

struct Settings {
  Identity identity;
  bool send = true;  // tls_rpt.send
  std::filesystem::path directory;
  std::chrono::milliseconds keep{0};
  std::filesystem::path log;  // the enforcement log
};

class Service {
 public:
  struct Parts {
    boost::asio::any_io_executor executor;
    const base::Clock* clock = nullptr;
    store::Reports* reports = nullptr;
    PolicyStrings strings;
    dns::Resolver* resolver = nullptr;
    MailSink* mail = nullptr;
    HttpsSink* https = nullptr;
    const tlsrpt::ReturnPath* return_path = nullptr;
    const tlsrpt::DkimSigner* signer = nullptr;
    Feed* feed = nullptr;  // null: no collector
  };
  Service(Settings settings, Parts parts);

  // Finds where counting left off.
  store::Outcome open() { return counter_.begin(); }
  // From now on, every second, until stop().
  void start();
  void stop();
  // What start() does, counting included: true where there is more to do at once. Tests call it to
  // run days in milliseconds.
  bool work();
  // Counts what the log holds now, and closes the day where it is over; for commands, and for the
  // last time before the end.
  void catch_up();

  // Reports that are neither sent nor given up, as of some seconds ago. Any thread.
  std::uint64_t backlog() const { return backlog_.load(std::memory_order_relaxed); }

  // `request`: {"command": "report list"|"report show"|"report send", "date", "domain",
  // "dry_run"}. Calls `answer` once; {"error": …} where it cannot be done.
  using Answer = std::function<void(nlohmann::json)>;
  void command(const nlohmann::json& request, Answer answer);

 private:
  using Json = nlohmann::json;
  enum class Counted { all, some, failed };
  void tick();
  bool day_is_over() const;
  Counted count(int steps);
  void close_day();
  bool compose_some();
  base::Result<bool, base::Error> compose_chunk(store::Day day);
  base::Result<std::vector<store::ReportRow>, base::Error> written(
      store::Day day, const std::vector<store::DomainCounts>& counts);
  void skip(store::Day day, const std::string& domain, const std::string& why);
  void forget();
  void tell_backlog();
  void complain(const std::string& text);
  tlsrpt::Report composed(store::Day day, const store::DomainCounts& counts) const;
  store::ReportRow row_for(const tlsrpt::Report& report) const;

  Json list(store::Day day, const std::optional<std::string>& domain);
  Json show(store::Day day, const std::optional<std::string>& domain);
  base::Result<Json, base::Error> running_rows(store::Day day,
                                               const std::optional<std::string>& domain);
  base::Result<Json, base::Error> composed_rows(store::Day day,
                                                const std::optional<std::string>& domain);
  Json row_json(const store::ReportRow& row);
  base::Result<std::vector<tlsrpt::Report>, base::Error> running_reports(
      store::Day day, const std::optional<std::string>& domain, std::size_t most) const;
  base::Result<std::vector<store::ReportRow>, base::Error> rows(
      store::Day day, const std::optional<std::string>& domain) const;
  static boost::asio::awaitable<void> send(Service* self, store::Day day,
                                           std::optional<std::string> domain, bool dry_run,
                                           Answer answer);
  boost::asio::awaitable<Json> send_rows(store::Day day, std::optional<std::string> domain);
  boost::asio::awaitable<Json> preview_rows(store::Day day, std::optional<std::string> domain);
  base::Result<std::string, base::Error> file_text(store::Day day,
                                                   const std::string& domain) const;
  bool is_closed(store::Day day) const;
  base::Result<std::string, base::Error> day_state(store::Day day, bool nothing_listed) const;
  const char* why_kept() const;
  std::optional<std::string> why_open(store::Day day) const;

  Settings settings_;
  Parts parts_;
  ReportFiles files_;
  Counter counter_;
  Sender sender_;
  boost::asio::steady_timer timer_;
  bool stopped_ = false;
  // Reports whose file could not be written, until they are tried again.
  std::set<std::pair<store::Day, std::string>> skipped_;
  base::SteadyTime skipped_due_{};
  base::WallTime forget_due_{};
  std::atomic<std::uint64_t> backlog_{0};
  base::SteadyTime backlog_due_{};
  std::chrono::steady_clock::time_point complaint_due_{};
};

}  // namespace report
