#include "tlsrpt/sum_words.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/encode.h"

namespace tlsrpt {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 11> meanings{{
    {"starttls-not-supported",
     "The MX host offered no STARTTLS, or something on the way took the offer out. Turn STARTTLS "
     "on for every MX host."},
    {"certificate-host-mismatch",
     "No name in the certificate is that of the MX host. Put the MX host name into the "
     "certificate."},
    {"certificate-expired",
     "The certificate was out of date. Renew it, and see that the mail server loads the new one."},
    {"certificate-not-trusted",
     "The certificate led to no CA that the sender trusts. Often an intermediate certificate is "
     "missing."},
    {"validation-failure", "TLS failed for another reason, which the reason code tells."},
    {"sts-policy-fetch-error",
     "The MTA-STS policy could not be fetched by HTTPS from the host mta-sts of the domain."},
    {"sts-policy-invalid",
     "The MTA-STS policy was fetched but could not be understood. Mend its text."},
    {"sts-webpki-invalid",
     "The host mta-sts of the domain had no certificate that the sender trusts."},
    {"tlsa-invalid", "TLSA records were found, but none that can be used. Publish them anew."},
    {"dnssec-invalid", "DNSSEC validation failed for names of the domain or of its MX host."},
    {"dane-required", "The sender insists on DANE and found no TLSA records for the MX host."},
}};

}  // namespace

std::string with_noun(std::uint64_t count, const std::string& number, const char* noun) {
  return number + " " + noun + (count == 1 ? "" : "s");
}

std::string share_words(std::uint64_t part, std::uint64_t whole) {
  if (whole == 0) return "0 %";
  double tenths = 1000.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (part > 0) tenths = std::max(tenths, 1.0);
  if (part < whole) tenths = std::min(tenths, 999.0);
  const auto rounded = static_cast<std::uint64_t>(tenths + 0.5);
  return std::to_string(rounded / 10) + "." + std::to_string(rounded % 10) + " %";
}

std::string day_words(std::optional<std::chrono::sys_days> day) {
  if (!day) return {};
  const std::chrono::year_month_day date(*day);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text.data();
}

std::string span_words(const Sum& sum) {
  std::optional<std::chrono::sys_days> first;
  std::optional<std::chrono::sys_days> last;
  for (const DayLine& line : sum.days) {
    if (!line.day) continue;
    if (!first) first = line.day;
    last = line.day;
  }
  if (!first) return "no date";
  if (first == last) return day_words(first) + " (UTC)";
  return day_words(first) + " to " + day_words(last) + " (UTC)";
}

std::string_view meaning_of(std::string_view result_type) {
  for (const auto& [type, meaning] : meanings) {
    if (type == result_type) return meaning;
  }
  return "Not a result type of RFC 8460.";
}

}  // namespace tlsrpt
