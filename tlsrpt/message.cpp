#include "tlsrpt/message.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/encode.h"
#include "base/mail_date.h"
#include "tlsrpt/mail_encode.h"
#include "tlsrpt/message_text.h"
#include "tlsrpt/result.h"

namespace tlsrpt {
namespace {

using Words = std::vector<std::string>;

constexpr std::size_t text_line = 78;  // RFC 5322 §2.1.1

// RFC 2046 §5.1.1: no line of a part begins with it. "=_" is in no quoted-printable and in no
// base64 text, and the text part has no lines of its own making that begin with "--".
std::string boundary(const Report& report) {
  static constexpr std::size_t hash_digits = 32;
  const std::array<std::string_view, 2> texts{"boundary", report.id};
  return "=_tlsrpt_" + sha256_hex(texts).substr(0, hash_digits);
}

// RFC 5322 §3.6.4: one id for each message: two recipients of one report get two messages.
std::string message_id(const MessageFacts& facts) {
  static constexpr std::size_t hash_digits = 12;
  const std::string& id = facts.report->id;
  const std::size_t at = std::min(id.rfind('@'), id.size());
  const std::array<std::string_view, 3> texts{"message", id, facts.recipient};
  return "<" + id.substr(0, at) + "." + sha256_hex(texts).substr(0, hash_digits) +
         (at < id.size() ? id.substr(at) : "@" + facts.report->submitter.domain) + ">";
}

std::string header(const MessageFacts& facts) {
  const Report& report = *facts.report;
  const Submitter& submitter = report.submitter;
  const auto field = [](std::string_view name, const Words& words) { return folded(name, words); };
  Words from = display_name(submitter.organization_name);
  from.push_back("<" + submitter.contact_info + ">");
  const std::chrono::sys_seconds date = std::chrono::floor<std::chrono::seconds>(facts.date);

  std::string out = field("From", from);
  out += field("To", {"<" + facts.recipient + ">"});
  out += field("Date", {base::mail_date(date, std::chrono::minutes(0))});
  out += field("Message-ID", {message_id(facts)});
  // RFC 8460 §5.3: these words in this order, any white space between them.
  out += field("Subject", {"Report", "Domain:", report.domain, "Submitter:", submitter.domain,
                           "Report-ID:", "<" + report.id + ">"});
  out += field("MIME-Version", {"1.0"});
  out += field("Content-Type", {"multipart/report;", "report-type=\"tlsrpt\";",
                                "boundary=\"" + boundary(report) + "\""});
  out += field("TLS-Report-Domain", {report.domain});
  out += field("TLS-Report-Submitter", {submitter.domain});
  out += field("Auto-Submitted", {"auto-generated"});  // RFC 3834 §5
  // RFC 8460 §3: a report is delivered despite any TLS failure; RFC 8689 §3 tells the next hops.
  out += field("TLS-Required", {"No"});
  return out;
}

bool has_long_line(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > text_line) return true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return false;
}

std::string with_crlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

std::string text_part(const Report& report) {
  const std::string text = message_text(report);
  const bool plain = base::is_ascii(text) && !has_long_line(text);
  return "Content-Type: text/plain; charset=utf-8\r\n"
         "Content-Transfer-Encoding: " +
         std::string(plain ? "7bit" : "quoted-printable") + "\r\n\r\n" +
         (plain ? with_crlf(text) : quoted_printable(text));
}

std::string report_part(const MessageFacts& facts) {
  const Words disposition{"attachment;", "filename=\"" + file_name(*facts.report) + "\""};
  return "Content-Type: application/tlsrpt+gzip\r\n"
         "Content-Transfer-Encoding: base64\r\n" +
         folded("Content-Disposition", disposition) + "\r\n" + base64_lines(facts.gzipped);
}

}  // namespace

std::string report_message(const MessageFacts& facts) {
  const std::string line = "--" + boundary(*facts.report);
  std::string out = header(facts) + "\r\n";
  out += line + "\r\n" + text_part(*facts.report);
  out += line + "\r\n" + report_part(facts);
  return out + line + "--\r\n";
}

}  // namespace tlsrpt
