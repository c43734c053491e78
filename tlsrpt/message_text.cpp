#include "tlsrpt/message_text.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "tlsrpt/mail_encode.h"

namespace tlsrpt {
namespace {

constexpr std::size_t policies_shown = 20;

std::string_view in_words(ResultType type) {
  switch (type) {
    case ResultType::starttls_not_supported: return "the mail server offered no STARTTLS";
    case ResultType::certificate_host_mismatch: return "the certificate is for another name";
    case ResultType::certificate_not_trusted: return "the certificate is not one we can trust";
    case ResultType::certificate_expired: return "the certificate has expired";
    case ResultType::validation_failure: break;
    case ResultType::sts_policy_fetch_error: return "the MTA-STS policy could not be fetched";
    case ResultType::sts_policy_invalid: return "the MTA-STS policy is not well formed";
    case ResultType::sts_webpki_invalid:
      return "the certificate of the policy's web server was refused";
    case ResultType::tlsa_invalid: return "none of the TLSA records can be used";
    case ResultType::dnssec_invalid: return "answers of the DNS failed DNSSEC validation";
    case ResultType::dane_required: return "we ask for DANE here, and found no TLSA records";
  }
  return "the session broke the policy in another way";
}

std::string title(const Policy& policy) {
  const std::string domain = clean_text(policy.domain);
  switch (policy.type) {
    case PolicyType::tlsa: return "DANE: the TLSA records of " + domain;
    case PolicyType::sts: return "MTA-STS: the policy of " + domain;
    case PolicyType::no_policy_found: break;
  }
  return "Neither MTA-STS nor DANE: " + domain;
}

std::string figure(std::uint64_t count) {
  static constexpr std::size_t width = 10;
  const std::string digits = std::to_string(count);
  return std::string(width - std::min(width, digits.size()), ' ') + digits + "  ";
}

std::string policy_text(const PolicyRows& rows) {
  std::string out = "  " + title(rows.policy) + "\n";
  out += figure(rows.successes) + "sessions went well\n";
  out += figure(rows.failures) + "sessions failed\n";
  std::map<ResultType, std::uint64_t> counts;
  for (const FailureRow& row : rows.details) counts[row.type] += row.count;
  for (const auto& [type, count] : counts) {
    out += "  " + figure(count) + std::string(to_string(type)) + ":\n" + std::string(14, ' ') +
           std::string(in_words(type)) + "\n";
  }
  return out + "\n";
}

std::string head(const Report& report) {
  const Submitter& from = report.submitter;
  const std::string organization = clean_text(from.organization_name);
  const std::string domain = clean_text(report.domain);
  std::string out = "This is an automatic report on how mail to " + domain + "\n";
  out += "was protected by TLS on its way (SMTP TLS Reporting, RFC 8460).\n\n";
  out += "Reported by:  " + clean_text(organization.empty() ? from.domain : organization) + "\n";
  out += "Mail from:    servers of " + clean_text(from.domain) + "\n";
  out += "Mail to:      " + domain + "\n";
  out += "Day:          " + day_text(report.day) + ", 00:00 to 24:00 UTC\n";
  return out + "Report-ID:    " + clean_text(report.id) + "\n\n";
}

std::string tail(const Report& report) {
  std::string out =
      "A session can count under two policies, and a failed one can have several\n"
      "reasons. Its mail need not be lost: senders try again.\n"
      "\n"
      "The attachment has all details: the mail servers and addresses on both\n"
      "sides, and the policies as we read them. It is JSON, compressed with gzip;\n"
      "tools for TLS reports read it, and after gunzip any text editor does.\n"
      "\n"
      "You get this report because the TLS-RPT record at\n";
  out += "_smtp._tls." + clean_text(report.domain) + "\n";
  out += "names your address. Take the address out of the record to get no more.\n\n";
  return out + "Questions: " + clean_text(report.submitter.contact_info) + "\n";
}

}  // namespace

std::string message_text(const Report& report) {
  std::string out = head(report);
  out += "Sessions of our mail servers with yours, for each policy that applied:\n\n";
  const std::size_t shown = std::min(report.policies.size(), policies_shown);
  for (std::size_t i = 0; i < shown; ++i) out += policy_text(report.policies[i]);
  const std::size_t more = report.policies.size() - shown;
  if (more > 0) out += "  " + std::to_string(more) + " more in the attachment\n\n";
  return out + tail(report);
}

}  // namespace tlsrpt
