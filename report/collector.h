// The datagram by which an MTA hands its TLS-RPT results to a libtlsrpt collector (protocol
// version 1), and the Unix socket that takes it. One JSON object for each delivery, members in
// libtlsrpt's order and spelling, so that equal policies of different senders add up there. Loses
// rather than waits: mail never stands still for a collector. Not responsible for aggregation nor
// for reports, which are the collector's. Called by report/ for `tls_rpt.collector`.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tlsrpt/result.h"

namespace report {

// RFC 8460 §4.4 failure-details of one session. What is empty is left out.
struct CollectedFailure {
  tlsrpt::ResultType type = tlsrpt::ResultType::validation_failure;
  std::string sending_mta_ip;
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::string failure_reason_code;
};

struct CollectedPolicy {
  tlsrpt::Policy policy;
  std::vector<CollectedFailure> failures;
  bool success = false;  // the session's final result under this policy
};

// `domain`: the recipient domain, an A-label name; `record_text`: its `_smtp._tls` record as
// published, by which the collector finds where reports go. Without policies there is nothing to
// say: "". Octets that are no UTF-8 become U+FFFD, as a JSON reader would drop the whole.
std::string collector_datagram(std::string_view domain, std::string_view record_text,
                               std::span<const CollectedPolicy> policies);

// For any number of threads.
class Collector {
 public:
  // Fails where `path` does not fit a socket's address. Whether somebody listens there is not
  // asked: a collector may come and go.
  static base::Result<std::unique_ptr<Collector>, base::Error> make(std::string path);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // False: it is lost (nobody listens, the collector's queue is full, too long), and counted.
  // Never waits, never throws. An empty one is not sent.
  bool send(std::string_view datagram) noexcept;
  std::uint64_t lost() const { return lost_; }
  // The errno of the last loss; 0 where there was none.
  int last_error() const { return last_error_; }

 private:
  explicit Collector(std::string path) : path_(std::move(path)) {}
  int send_once(std::string_view datagram) noexcept;  // errno, or 0

  std::string path_;
  std::mutex lock_;
  int socket_ = -1;
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<int> last_error_{0};
};

}  // namespace report
