// Reports of others: whatever the file holds, what comes out is UTF-8, within its limits and sums
// up to something that prints; the JSON can be read again and no text of theirs is markup.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/encode.h"
#include "tlsrpt/read.h"
#include "tlsrpt/read_time.h"
#include "tlsrpt/sum.h"
#include "tlsrpt/sum_print.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void must_fit(const tlsrpt::ReadResult& read, const tlsrpt::ReadLimits& limits) {
  must(read.reports.size() <= limits.reports && read.problems.size() <= limits.problems);
  std::size_t rows = 0;
  for (const auto& report : read.reports) {
    must(base::is_utf8(report.organization) && base::is_utf8(report.id));
    must(report.organization.size() <= limits.text && report.policies.size() <= limits.policies);
    must(!report.begin || !report.end || *report.begin <= *report.end);
    for (const auto& policy : report.policies) {
      rows += 1 + policy.details.size();
      must(policy.strings.size() <= limits.strings && policy.mx_hosts.size() <= limits.strings);
      for (const auto& detail : policy.details) {
        must(base::is_utf8(detail.failure_reason_code) && detail.count < std::uint64_t{1} << 53);
      }
    }
  }
  must(rows <= limits.rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  tlsrpt::ReadLimits limits;
  limits.file = 1 << 20;
  limits.expanded = 4 << 20;
  limits.json_depth = 12;
  limits.json_tokens = 4000;
  limits.reports = 50;
  limits.policies = 20;
  limits.details = 40;
  limits.rows = 200;
  limits.strings = 20;
  limits.text = 200;
  (void)tlsrpt::read_time(octets.substr(0, 64));
  const tlsrpt::ReadResult read = tlsrpt::read_reports(octets, limits);
  must_fit(read, limits);
  tlsrpt::Summing summing({10, 100, 10});
  for (const auto& report : read.reports) summing.add(report);
  for (const auto& why : read.problems) summing.add_problem("file", why);
  const tlsrpt::Sum sum = summing.sum();
  must(sum.tally.reports + sum.duplicates == read.reports.size());
  if (size % (sum.tally.reports > 0 ? 4 : 32) != 0) return 0;  // the printers take the most time
  const std::string json = tlsrpt::sum_json(sum);
  must(base::is_utf8(json) && nlohmann::json::parse(json)["schema"] == 1);
  must(base::is_ascii(tlsrpt::sum_text(sum, {})));
  must(base::is_utf8(tlsrpt::sum_text(sum, {true, 50})));
  const std::string page = tlsrpt::sum_html(sum);
  must(base::is_utf8(page) && page.find("<script") == std::string::npos);
  return 0;
}
