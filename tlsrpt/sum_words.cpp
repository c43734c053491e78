#include "tlsrpt/sum_words.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/encode.h"

namespace tlsrpt {
namespace {

// Unicode's control characters behind ASCII: C1, the marks and overrides of writing direction, line
// separators, zero width ones and the byte order mark.
bool is_control(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
         (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff);
}

std::uint32_t code_point(std::string_view character) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return at(0);
  std::uint32_t out = at(0) & (0x7fU >> character.size());
  for (std::size_t i = 1; i < character.size(); ++i) out = out << 6 | (at(i) & 0x3fU);
  return out;
}

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

std::string without_controls(std::string_view text) {
  // Most text is of this kind, and some of it comes by the million.
  if (std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return std::string(text);
  }
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = base::utf8_length_at(text);
    if (length == 0 || is_control(code_point(text.substr(0, length)))) {
      out += '?';
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string_view meaning_of(std::string_view result_type) {
  for (const auto& [type, meaning] : meanings) {
    if (type == result_type) return meaning;
  }
  return "Not a result type of RFC 8460.";
}

}  // namespace tlsrpt
