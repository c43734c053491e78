#include "tlsrpt/sum.h"

#include <algorithm>
#include <functional>

#include "base/encode.h"
#include "tlsrpt/result.h"

namespace tlsrpt {
namespace {

constexpr const char* others = "(others)";
constexpr std::uint64_t most = (std::uint64_t{1} << 53) - 1;  // RFC 7493 §2.2: what JSON can hold
constexpr std::size_t most_reporters = 1000;                  // told apart of one result type
constexpr std::size_t most_results = 20;                      // told apart of one source
constexpr std::size_t most_octets = 256;                      // of one text that lines are told by

void raise(std::uint64_t& to, std::uint64_t by) { to = by > most - to ? most : to + by; }

void raise(Tally& to, const Tally& by) {
  raise(to.reports, by.reports);
  raise(to.successes, by.successes);
  raise(to.failures, by.failures);
}

// Length before text, so that no two lists of texts run together to the same octets.
void append(std::string& out, std::string_view text) {
  out.append(std::to_string(text.size())).append(":").append(text);
}

std::string all_of(const ReadReport& report) {
  std::string out;
  append(out, report.organization);
  append(out, report.id);
  for (const auto& time : {report.begin, report.end}) {
    append(out, time ? std::to_string(time->time_since_epoch().count()) : "");
  }
  for (const ReadPolicy& policy : report.policies) {
    append(out, policy.type);
    append(out, policy.domain);
    append(out, std::to_string(policy.successes));
    append(out, std::to_string(policy.failures));
    for (const std::string& text : policy.strings) append(out, text);
    for (const ReadDetail& detail : policy.details) {
      append(out, detail.result_type);
      append(out, detail.sending_mta_ip);
      append(out, detail.receiving_mx_hostname);
      append(out, detail.failure_reason_code);
      append(out, std::to_string(detail.count));
    }
  }
  return out;
}

// What is remembered of a text is as long for a hostile report as for any other.
std::string digest_of(std::string_view text) {
  const std::string_view texts[] = {text};
  return sha256_hex(texts);
}

std::string cut(std::string text) {
  if (text.size() <= most_octets) return text;
  std::size_t end = most_octets;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  text.resize(end);
  return text + "…";
}

// RFC 8461 §3.2: the mode of a policy that a report quotes.
std::string mode_of(const ReadPolicy& policy) {
  for (const std::string& text : policy.strings) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) continue;
    if (!base::iequals(base::trim(std::string_view(text).substr(0, colon)), "mode")) continue;
    return base::to_lower(base::trim(std::string_view(text).substr(colon + 1)));
  }
  return {};
}

// Most failures first; equal ones by their words, so that equal input prints equal output.
template <class Line, class Failures>
void most_first(std::vector<Line>& lines, Failures failures) {
  std::stable_sort(lines.begin(), lines.end(), [&](const Line& a, const Line& b) {
    return failures(a) > failures(b);
  });
}

Tally total_of(const ReadReport& report) {
  Tally total{1, 0, 0};
  for (const ReadPolicy& policy : report.policies) {
    raise(total, {0, policy.successes, policy.failures});
  }
  return total;
}

}  // namespace

std::optional<std::chrono::sys_days> day_of(const ReadReport& report) {
  const auto begin = report.begin ? report.begin : report.end;
  if (!begin) return std::nullopt;
  const auto end = report.end ? *report.end : *begin;
  return std::chrono::floor<std::chrono::days>(*begin + (end - *begin) / 2);
}

template <class Value>
Value& Summing::line(std::map<Texts, Value>& lines, Texts key) {
  for (std::string& text : key) text = cut(std::move(text));
  const auto found = lines.find(key);
  if (found != lines.end()) return found->second;
  if (lines.size() < limits_.lines) return lines[std::move(key)];
  std::fill(key.begin(), key.end(), std::string());
  key.front() = others;
  return lines[std::move(key)];
}

bool Summing::is_new(const ReadReport& report) {
  const std::string said = digest_of(all_of(report));
  std::string known_by = said;
  if (!report.id.empty()) {
    std::string name;
    append(name, report.organization);
    append(name, report.id);
    known_by = digest_of(name);
  }
  const auto known = seen_.find(known_by);
  if (known == seen_.end()) {
    if (seen_.size() < limits_.reports) seen_.emplace(std::move(known_by), said);
    return true;
  }
  ++sum_.duplicates;
  if (known->second != said) ++sum_.differing;
  return false;
}

bool Summing::add(const ReadReport& report) {
  if (!is_new(report)) return false;
  const Tally total = total_of(report);
  raise(sum_.tally, total);
  raise(line(reporters_, {report.organization}), total);
  std::optional<std::chrono::sys_days> day = day_of(report);
  if (days_.size() >= limits_.lines && days_.find(day) == days_.end()) day = std::nullopt;
  raise(days_[day], total);
  if (report.begin && (!sum_.begin || *report.begin < *sum_.begin)) sum_.begin = report.begin;
  if (report.end && (!sum_.end || *report.end > *sum_.end)) sum_.end = report.end;
  std::vector<Texts> counted;
  for (const ReadPolicy& policy : report.policies) {
    const Texts key{policy.domain, policy.type, mode_of(policy)};
    Tally& tally = line(policies_, key);
    raise(tally.successes, policy.successes);
    raise(tally.failures, policy.failures);
    if (std::find(counted.begin(), counted.end(), key) == counted.end()) {
      ++tally.reports;
      if (counted.size() < 100) counted.push_back(key);
    }
    std::uint64_t told = 0;
    for (const ReadDetail& detail : policy.details) {
      add_detail(report, detail);
      raise(told, detail.count);
    }
    if (told < policy.failures) raise(sum_.without_details, policy.failures - told);
  }
  for (const std::string& note : report.notes) ++line(notes_, {report.organization, note});
  return true;
}

void Summing::add_detail(const ReadReport& report, const ReadDetail& detail) {
  raise(sum_.detailed, detail.count);
  Result& result = line(results_, {detail.result_type});
  raise(result.failures, detail.count);
  if (result.reporters.size() < most_reporters) {
    result.reporters.insert(std::hash<std::string>()(report.organization));
  }
  Source& source = line(sources_, {detail.sending_mta_ip, report.organization});
  raise(source.failures, detail.count);
  const std::string type = cut(detail.result_type);
  const bool told_apart = source.results.size() < most_results || source.results.contains({type});
  raise(source.results[{told_apart ? type : std::string(others)}], detail.count);
  raise(line(failures_, {detail.result_type, detail.receiving_mx_hostname,
                         detail.failure_reason_code}),
        detail.count);
}

void Summing::add_problem(std::string file, std::string why) {
  if (sum_.problems.size() >= limits_.problems) return;
  sum_.problems.push_back({std::move(file), std::move(why)});
}

Sum Summing::sum() const {
  Sum out = sum_;
  for (const auto& [key, tally] : policies_) {
    out.policies.push_back({key[0], key[1], key[2], tally});
  }
  for (const auto& [key, result] : results_) {
    out.results.push_back({key[0], result.failures, result.reporters.size()});
  }
  for (const auto& [key, source] : sources_) {
    SourceLine entry{key[0], key[1], source.failures, {}};
    for (const auto& [type, failures] : source.results) {
      entry.results.emplace_back(type[0], failures);
    }
    most_first(entry.results, [](const auto& result) { return result.second; });
    out.sources.push_back(std::move(entry));
  }
  for (const auto& [key, failures] : failures_) {
    out.failures.push_back({key[0], key[1], key[2], failures});
  }
  for (const auto& [key, tally] : reporters_) out.reporters.push_back({key[0], tally});
  for (const auto& [day, tally] : days_) out.days.push_back({day, tally});
  for (const auto& [key, reports] : notes_) out.notes.push_back({key[0], key[1], reports});
  const auto failures = [](const auto& entry) { return entry.failures; };
  const auto tally_failures = [](const auto& entry) {
    return std::pair(entry.tally.failures, entry.tally.successes);
  };
  most_first(out.policies, tally_failures);
  most_first(out.reporters, tally_failures);
  most_first(out.results, failures);
  most_first(out.sources, failures);
  most_first(out.failures, failures);
  return out;
}

}  // namespace tlsrpt
