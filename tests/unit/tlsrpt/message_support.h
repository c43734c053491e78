// Report mail for tests: a report with one policy, and the message taken apart the way a receiver
// does it. Used by the unit and the conformance tests.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>

#include "base/encode.h"
#include "tlsrpt/dkim_canon.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/message.h"

namespace message_test {

using namespace std::chrono_literals;

inline tlsrpt::Report report() {
  tlsrpt::Report out;
  out.submitter = {"Example Corp", "postmaster@example.com", "example.com"};
  out.domain = "recv.example";
  out.day = std::chrono::sys_days{2026y / 11 / 25};
  out.id = "20261125.recv.example.0123456789abcdef@example.com";
  tlsrpt::PolicyRows rows;
  rows.policy = {tlsrpt::PolicyType::sts, "recv.example", {"version: STSv1"}, {"mx.recv.example"}};
  rows.successes = 812;
  rows.failures = 6;
  tlsrpt::FailureRow row;
  row.type = tlsrpt::ResultType::starttls_not_supported;
  row.count = 4;
  rows.details.push_back(row);
  row.receiving_mx_hostname = "mx.recv.example";
  row.count = 1;
  rows.details.push_back(row);
  row.type = tlsrpt::ResultType::certificate_expired;
  rows.details.push_back(row);
  out.policies = {rows};
  return out;
}

inline std::string message(const tlsrpt::Report& of, std::string recipient = "tls@recv.example") {
  const std::string octets = tlsrpt::gzip(tlsrpt::to_json(of));
  tlsrpt::MessageFacts facts;
  facts.report = &of;
  facts.gzipped = octets;
  facts.recipient = std::move(recipient);
  facts.date = std::chrono::sys_days{2026y / 11 / 26} + 3h + 25min + 7s + 999ms;
  return tlsrpt::report_message(facts);
}

// The same with names and addresses that need encoding and folding, and without zlib's part in it:
// what DkimSigner makes of this stands in signed/*.eml, which other verifiers read, too.
inline std::string odd_message() {
  tlsrpt::Report of = report();
  of.submitter.organization_name =
      "\xc3\x84rzte \"Q\" \\ GmbH, mit einem ganz langen Namen, der umbrochen wird";
  tlsrpt::MessageFacts facts;
  facts.report = &of;
  facts.gzipped = "no gzip, yet octets: \x01\xff";
  facts.recipient = "\xe7\x94\xa8@a-rather-long-name-of-a-host-that-takes-a-line.recv.example";
  facts.date = std::chrono::sys_days{2026y / 11 / 26};
  return tlsrpt::report_message(facts);
}

// The fields unfolded, by name in lower case.
using Header = std::map<std::string, std::string>;
inline Header header(std::string_view text) {
  Header out;
  for (const std::string_view field : tlsrpt::message_parts(text).fields) {
    const std::string relaxed = tlsrpt::relaxed_field(field);
    const std::size_t colon = relaxed.find(':');
    out[relaxed.substr(0, colon)] = relaxed.substr(colon + 1);
  }
  return out;
}

struct Parts {
  std::string text;    // with its header
  std::string report;  // the same
};
inline Parts parts(const std::string& text) {
  const std::string type = header(text).at("content-type");
  const std::size_t at = type.find("boundary=\"") + 10;
  const std::string line = "--" + type.substr(at, type.find('"', at) - at);
  const std::string body = "\r\n" + std::string(tlsrpt::message_parts(text).body);
  const std::size_t first = body.find("\r\n" + line + "\r\n");
  const std::size_t second = body.find("\r\n" + line + "\r\n", first + 1);
  const std::size_t last = body.find("\r\n" + line + "--\r\n", second + 1);
  if (first == std::string::npos || second == std::string::npos || last == std::string::npos) {
    return {};
  }
  const std::size_t skip = line.size() + 4;
  return {body.substr(first + skip, second - first - skip),
          body.substr(second + skip, last - second - skip)};
}

// The gzip file in the second part.
inline std::string attachment(const std::string& text) {
  std::string flat;
  const std::string part = parts(text).report;
  for (const char c : tlsrpt::message_parts(part).body) {
    if (c != '\r' && c != '\n') flat += c;
  }
  const auto octets = base::from_base64(flat);
  return octets ? std::string(octets->begin(), octets->end()) : "not base64";
}

struct Lines {
  std::size_t longest = 0;
  bool bare = false;  // CR or LF alone
};
inline Lines lines(std::string_view text) {
  Lines out;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find("\r\n"));
    out.longest = std::max(out.longest, line.size());
    out.bare = out.bare || line.find_first_of("\r\n") != std::string_view::npos;
    text.remove_prefix(std::min(text.size(), line.size() + 2));
  }
  return out;
}

}  // namespace message_test
