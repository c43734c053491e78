#include "tlsrpt/report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace tlsrpt {
namespace {

using Json = nlohmann::ordered_json;  // members stay in the order in which they are put in

// RFC 7493 §2.2: a larger whole number may be read as another one.
constexpr std::uint64_t number_limit = (std::uint64_t{1} << 53) - 1;
constexpr std::size_t hash_digits = 16;

Json number(std::uint64_t count) { return std::min(count, number_limit); }

void put(Json& object, const char* member, const std::string& text) {
  if (!text.empty()) object[member] = text;
}

Json policy_json(const Policy& policy) {
  Json out;
  out["policy-type"] = to_string(policy.type);
  if (!policy.strings.empty()) out["policy-string"] = policy.strings;
  out["policy-domain"] = policy.domain;
  // RFC 8460 §4.4 has an array, its example a string: erratum 6241 says that the array is right.
  const bool has_hosts = policy.type == PolicyType::sts && !policy.mx_hosts.empty();
  if (has_hosts) out["mx-host"] = policy.mx_hosts;
  return out;
}

Json failure_json(const FailureRow& row) {
  Json out;
  out["result-type"] = to_string(row.type);
  put(out, "sending-mta-ip", row.sending_mta_ip);
  put(out, "receiving-mx-hostname", row.receiving_mx_hostname);
  put(out, "receiving-mx-helo", row.receiving_mx_helo);
  put(out, "receiving-ip", row.receiving_ip);
  out["failed-session-count"] = number(row.count);
  put(out, "failure-reason-code", row.failure_reason_code);
  return out;
}

Json rows_json(const PolicyRows& rows) {
  Json out;
  out["policy"] = policy_json(rows.policy);
  out["summary"]["total-successful-session-count"] = number(rows.successes);
  out["summary"]["total-failure-session-count"] = number(rows.failures);
  for (const FailureRow& row : rows.details) out["failure-details"].push_back(failure_json(row));
  return out;
}

// Octets of a noncharacter (U+FDD0 to U+FDEF, and the last two of each plane) at the start of
// `text`, which is UTF-8; 0 where it begins with anything else.
std::size_t noncharacter_at(std::string_view text) {
  const auto octet = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  if (octet(0) == 0xef) {
    const bool block = octet(1) == 0xb7 && octet(2) >= 0x90 && octet(2) <= 0xaf;
    const bool last = octet(1) == 0xbf && octet(2) >= 0xbe;
    return block || last ? 3 : 0;
  }
  const bool last = octet(0) >= 0xf0 && (octet(1) & 0x0f) == 0x0f && octet(2) == 0xbf &&
                    octet(3) >= 0xbe;
  return last ? 4 : 0;
}

// RFC 7493 §2.1: I-JSON holds no noncharacters. What an MX or a policy host wrote may.
std::string without_noncharacters(std::string text) {
  static constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char lead = static_cast<unsigned char>(text[i]);
    if (lead < 0xef) continue;
    const std::size_t octets = noncharacter_at(std::string_view(text).substr(i));
    if (octets > 0) text.replace(i, octets, replacement);
  }
  return text;
}

}  // namespace

std::string report_id(std::chrono::sys_days day, std::string_view domain,
                      std::string_view submitter_domain, std::string_view relay) {
  const std::chrono::year_month_day date(day);
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), "%04d%02u%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  const std::array<std::string_view, 4> texts{digits.data(), domain, submitter_domain, relay};
  std::string out = digits.data();
  out += '.';
  out += domain;
  out += '.';
  out += sha256_hex(texts).substr(0, hash_digits);
  out += '@';
  out += submitter_domain;
  return out;
}

std::string to_json(const Report& report) {
  Json out;
  const std::string day = day_text(report.day);
  out["organization-name"] = report.submitter.organization_name;
  out["date-range"]["start-datetime"] = day + "T00:00:00Z";
  // RFC 8460 §4.4: the last second, as in the example; the "24:00" of the text is no RFC 3339 time.
  out["date-range"]["end-datetime"] = day + "T23:59:59Z";
  out["contact-info"] = report.submitter.contact_info;
  out["report-id"] = report.id;
  out["policies"] = Json::array();
  for (const PolicyRows& rows : report.policies) out["policies"].push_back(rows_json(rows));
  return without_noncharacters(out.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

std::string file_name(const Report& report) {
  const std::chrono::sys_seconds begin = report.day;
  const std::chrono::sys_seconds end = report.day + std::chrono::days(1) - std::chrono::seconds(1);
  return report.submitter.domain + "!" + report.domain + "!" +
         std::to_string(begin.time_since_epoch().count()) + "!" +
         std::to_string(end.time_since_epoch().count()) + ".json.gz";
}

std::string day_text(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  std::array<char, 24> out{};
  std::snprintf(out.data(), out.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return out.data();
}

std::optional<std::chrono::sys_days> parse_day(std::string_view text) {
  static constexpr std::string_view shape = "dddd-dd-dd";
  if (text.size() != shape.size()) return std::nullopt;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (shape[i] == 'd' ? !digit : text[i] != '-') return std::nullopt;
  }
  const auto digits = [text](std::size_t from, std::size_t to) {
    unsigned value = 0;
    for (const char c : text.substr(from, to - from)) {
      value = value * 10 + static_cast<unsigned>(c - '0');
    }
    return value;
  };
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(digits(0, 4))),
                                         std::chrono::month(digits(5, 7)),
                                         std::chrono::day(digits(8, 10))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

}  // namespace tlsrpt
