#include "report/composer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/domain.h"
#include "report/counter.h"

namespace report {

namespace {

using nlohmann::json;

tlsrpt::FailureRow failure_row(const store::FailureCount& from) {
  tlsrpt::FailureRow row;
  row.type = tlsrpt::result_type(from.result_type).value_or(tlsrpt::ResultType::validation_failure);
  row.sending_mta_ip = from.source_ip;
  row.receiving_mx_hostname = from.mx;
  row.receiving_mx_helo = from.helo;
  row.receiving_ip = from.ip;
  row.failure_reason_code = from.reason;
  row.count = from.count;
  return row;
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::vector<std::string> texts_of(const json& object, const char* key) {
  std::vector<std::string> texts;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return texts;
  for (const json& one : *found) {
    if (one.is_string()) texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::uint64_t count_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::optional<tlsrpt::Policy> policy_of(const json& object) {
  if (!object.is_object()) return std::nullopt;
  const auto type = tlsrpt::policy_type(text_of(object, "policy-type"));
  if (!type) return std::nullopt;
  return tlsrpt::Policy{*type, text_of(object, "policy-domain"), texts_of(object, "policy-string"),
                        texts_of(object, "mx-host")};
}

tlsrpt::FailureRow failure_of(const json& object) {
  tlsrpt::FailureRow row;
  const auto type = tlsrpt::result_type(text_of(object, "result-type"));
  row.type = type.value_or(tlsrpt::ResultType::validation_failure);
  row.sending_mta_ip = text_of(object, "sending-mta-ip");
  row.receiving_mx_hostname = text_of(object, "receiving-mx-hostname");
  row.receiving_mx_helo = text_of(object, "receiving-mx-helo");
  row.receiving_ip = text_of(object, "receiving-ip");
  row.failure_reason_code = text_of(object, "failure-reason-code");
  row.count = count_of(object, "failed-session-count");
  return row;
}

std::optional<tlsrpt::PolicyRows> rows_of(const json& object) {
  if (!object.is_object() || !object.contains("policy")) return std::nullopt;
  auto policy = policy_of(object["policy"]);
  const auto summary = object.find("summary");
  if (!policy || summary == object.end() || !summary->is_object()) return std::nullopt;
  tlsrpt::PolicyRows rows;
  rows.policy = std::move(*policy);
  rows.successes = count_of(*summary, "total-successful-session-count");
  rows.failures = count_of(*summary, "total-failure-session-count");
  const auto details = object.find("failure-details");
  if (details == object.end() || !details->is_array()) return rows;
  for (const json& one : *details) {
    if (one.is_object()) rows.details.push_back(failure_of(one));
  }
  return rows;
}

std::size_t place_of(const std::vector<store::PolicyCount>& policies, std::string_view digest) {
  const auto found = std::ranges::find(policies, digest, &store::PolicyCount::digest);
  return static_cast<std::size_t>(found - policies.begin());
}

// Where policies or failures are too many to be told apart, some failures have no policy of their
// own: they go to the row that policies of their type share, or else to the one with the most
// failures.
std::size_t home_of(const store::FailureCount& failure, const store::DomainCounts& counts,
                    const tlsrpt::Report& report, const PolicyStrings& strings) {
  const auto policy = failure.digest.empty() ? std::nullopt : strings(failure.digest);
  if (policy) {
    const auto folded = store::folded_digest(tlsrpt::to_string(policy->type));
    const std::size_t place = place_of(counts.policies, folded);
    if (place < report.policies.size()) return place;
  }
  const auto most = std::ranges::max_element(report.policies, {}, &tlsrpt::PolicyRows::failures);
  return static_cast<std::size_t>(most - report.policies.begin());
}

void add_strays(const store::DomainCounts& counts, const PolicyStrings& strings,
                tlsrpt::Report& report) {
  if (report.policies.empty()) return;
  for (const store::FailureCount& failure : counts.failures) {
    if (place_of(counts.policies, failure.digest) < counts.policies.size()) continue;
    tlsrpt::PolicyRows& rows = report.policies[home_of(failure, counts, report, strings)];
    tlsrpt::FailureRow row = failure_row(failure);
    const auto alike = std::ranges::find_if(rows.details, [&row](tlsrpt::FailureRow one) {
      one.count = row.count;
      return one == row;
    });
    if (alike != rows.details.end()) {
      alike->count += row.count;
    } else {
      rows.details.push_back(std::move(row));
    }
  }
}

}  // namespace

tlsrpt::Report compose(const Identity& identity, store::Day day, const store::DomainCounts& counts,
                       const PolicyStrings& strings) {
  tlsrpt::Report report;
  report.submitter = identity.submitter;
  report.domain = counts.domain;
  report.day = day;
  report.id = tlsrpt::report_id(day, counts.domain, identity.submitter.domain, identity.relay);
  for (const store::PolicyCount& count : counts.policies) {
    tlsrpt::PolicyRows rows;
    auto policy = count.digest.starts_with('*') ? std::nullopt : strings(count.digest);
    if (policy) {
      rows.policy = std::move(*policy);
    } else {
      rows.policy.type =
          tlsrpt::policy_type(count.policy_type).value_or(tlsrpt::PolicyType::no_policy_found);
      rows.policy.domain = count.policy_domain;
    }
    // RFC 8461 §6: the cached policy was applied though a new one could not be had; without one the
    // session had none (RFC 8460 §4.3).
    const bool applied = !rows.policy.strings.empty();
    rows.successes = count.fine + (applied ? count.noted : 0);
    rows.failures = count.failed + (applied ? 0 : count.noted);
    for (const store::FailureCount& failure : counts.failures) {
      if (failure.digest == count.digest) rows.details.push_back(failure_row(failure));
    }
    report.policies.push_back(std::move(rows));
  }
  add_strays(counts, strings, report);
  return report;
}

std::string policy_to_json(const tlsrpt::Policy& policy) {
  json out;
  out["policy-type"] = tlsrpt::to_string(policy.type);
  out["policy-domain"] = policy.domain;
  out["policy-string"] = policy.strings;
  if (!policy.mx_hosts.empty()) out["mx-host"] = policy.mx_hosts;
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<tlsrpt::Policy> policy_from_json(std::string_view text) {
  return policy_of(json::parse(text, nullptr, false));
}

std::optional<tlsrpt::Report> report_from_json(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  const auto range = object.find("date-range");
  const auto policies = object.find("policies");
  if (range == object.end() || !range->is_object()) return std::nullopt;
  if (policies == object.end() || !policies->is_array()) return std::nullopt;
  const auto day = tlsrpt::parse_day(text_of(*range, "start-datetime").substr(0, 10));
  if (!day) return std::nullopt;
  tlsrpt::Report report;
  report.day = *day;
  report.id = text_of(object, "report-id");
  report.submitter.organization_name = text_of(object, "organization-name");
  report.submitter.contact_info = text_of(object, "contact-info");
  const std::string& contact = report.submitter.contact_info;
  const auto domain = base::Domain::parse(contact.substr(contact.rfind('@') + 1));
  if (domain) report.submitter.domain = domain->str();
  for (const json& one : *policies) {
    auto rows = rows_of(one);
    if (!rows) return std::nullopt;
    report.policies.push_back(std::move(*rows));
  }
  return report;
}

Totals totals_of(const tlsrpt::Report& report) {
  Totals totals;
  for (const tlsrpt::PolicyRows& rows : report.policies) {
    totals.successes += rows.successes;
    totals.failures += rows.failures;
  }
  return totals;
}

std::chrono::seconds jitter(std::string_view domain, std::string_view relay) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a: spreads well, and needs no secret
  for (const std::string_view part : {relay, std::string_view("\0", 1), domain}) {
    for (const char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  hash ^= hash >> 32;
  return std::chrono::seconds(hash % static_cast<std::uint64_t>(spread.count()));
}

std::optional<std::chrono::milliseconds> back_off(std::uint32_t attempts,
                                                  std::chrono::milliseconds since_first) {
  constexpr std::chrono::milliseconds first = std::chrono::minutes(5);
  constexpr std::chrono::milliseconds longest = std::chrono::hours(4);
  constexpr std::chrono::milliseconds whole = std::chrono::hours(24);
  if (since_first >= whole) return std::nullopt;
  const std::uint32_t doublings = std::min<std::uint32_t>(attempts > 0 ? attempts - 1 : 0, 6);
  return std::min({first * (1 << doublings), longest, whole - since_first});
}

}  // namespace report
