// Report files and stored policies as the report thread reads them back: gunzip stays within its
// limits whatever the octets are, and what is read as a report or a policy is written and read
// again as the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "report/composer.h"
#include "tlsrpt/gzip.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void read_text(std::string_view text) {
  const auto report = report::report_from_json(text);
  if (report) {
    const std::string written = tlsrpt::to_json(*report);
    const auto again = report::report_from_json(written);
    must(again.has_value() && tlsrpt::to_json(*again) == written);
    must(again->policies.size() == report->policies.size());
    (void)report::totals_of(*report);
  }
  const auto policy = report::policy_from_json(text);
  if (policy) {
    const std::string written = report::policy_to_json(*policy);
    const auto again = report::policy_from_json(written);
    must(again.has_value() && report::policy_to_json(*again) == written);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  read_text(octets);
  tlsrpt::GunzipLimits limits;
  limits.output = 1 << 20;
  limits.ratio = 50;
  const auto opened = tlsrpt::gunzip(octets, limits);
  if (opened) {
    must(opened->size() <= limits.output);
    read_text(*opened);
  }
  const auto whole = tlsrpt::gunzip(tlsrpt::gzip(octets));
  must(whole.has_value() && *whole == octets);
  return 0;
}
