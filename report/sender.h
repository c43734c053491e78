// Sender: takes a composed report to those who ask for it (RFC 8460 §3, §5): looks up _smtp._tls
// when its time has come, makes the mail once and stores it before the first try, tries each
// endpoint with growing pauses for 24 hours, and records each acceptance at once, so that nobody
// gets it twice. Lives on the report thread. Called by report/service and its commands.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "dns/resolver.h"
#include "report/composer.h"
#include "report/files.h"
#include "report/sinks.h"
#include "store/reports.h"
#include "tlsrpt/dkim.h"
#include "tlsrpt/return_path.h"

namespace report {

class Sender {
 public:
  struct Parts {
    boost::asio::any_io_executor executor;
    std::string submitter;  // the domain that reports; what was composed for another is not sent
    const base::Clock* clock = nullptr;
    store::Reports* reports = nullptr;
    const ReportFiles* files = nullptr;
    dns::Resolver* resolver = nullptr;
    MailSink* mail = nullptr;
    HttpsSink* https = nullptr;
    const tlsrpt::ReturnPath* return_path = nullptr;  // all of these outlive the sender
    const tlsrpt::DkimSigner* signer = nullptr;       // null: whoever takes the mail in signs it
  };
  explicit Sender(Parts parts) : parts_(std::move(parts)) {}

  // Begins with reports whose time has come, a few at a time. False: there are more.
  bool begin_due();

  // One report now, whatever its time, those kept or given up too; returns when each of its
  // endpoints that has not taken it was tried. Not one that all have, or that is under way: false.
  boost::asio::awaitable<bool> send_now(store::Day day, std::string domain);

  // What would be sent for a report: each endpoint's message, or the head of the POST. The words
  // of why nothing would be, in `nothing`.
  struct Preview {
    std::vector<std::pair<std::string, std::string>> messages;  // uri, text
    std::string nothing;
  };
  boost::asio::awaitable<Preview> preview(tlsrpt::Report report, std::string gzipped);

 private:
  struct Discovered {
    std::optional<tlsrpt::Record> record;  // none: nobody asks for the report, `why` says so
    std::string why;
    bool unknown = false;                  // the look-up failed
  };
  static boost::asio::awaitable<void> run(Sender* self, store::ReportRow row);
  boost::asio::awaitable<void> deliver(store::ReportRow row, bool at_once);
  boost::asio::awaitable<Discovered> discover(std::string domain);
  bool foreign(const store::ReportRow& row) const;
  // From `waiting` to `sending` or to an end; the row is stored.
  boost::asio::awaitable<void> look_up(store::ReportRow& row);
  base::Result<std::vector<store::EndpointRow>, base::Error> endpoint_rows(
      const store::ReportRow& row, const tlsrpt::Record& record);
  base::Result<std::string, base::Error> message(const tlsrpt::Report& report,
                                                 std::string_view gzipped,
                                                 const std::string& recipient) const;
  base::Result<tlsrpt::Report, base::Error> read_report(const store::ReportRow& row,
                                                        std::string& gzipped) const;
  boost::asio::awaitable<void> attempt(const store::ReportRow& row, store::EndpointRow& endpoint,
                                       bool at_once);
  // Until when an https host that did not answer is left alone, so that many domains that report
  // there do not take everybody's turn; nullopt: it may be asked.
  std::optional<base::WallTime> left_alone(const std::string& host);
  boost::asio::awaitable<void> store_endpoint(const store::EndpointRow& endpoint);
  void settle(store::ReportRow& row, const std::vector<store::EndpointRow>& endpoints);

  Parts parts_;
  std::chrono::steady_clock::time_point complaint_due_{};
  std::map<std::string, base::WallTime> silent_hosts_;
  using Keys = std::set<std::pair<store::Day, std::string>>;
  std::shared_ptr<Keys> under_way_ = std::make_shared<Keys>();
};

}  // namespace report
