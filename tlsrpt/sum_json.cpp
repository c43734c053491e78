#include <nlohmann/json.hpp>

#include "base/encode.h"
#include "tlsrpt/sum_print.h"
#include "tlsrpt/sum_words.h"

namespace tlsrpt {
namespace {

using Json = nlohmann::ordered_json;

Json time_of(const std::optional<base::WallTime>& time) {
  if (!time) return nullptr;
  const auto day = std::chrono::floor<std::chrono::days>(*time);
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(*time - day));
  const auto two = [](long value) { return (value < 10 ? "0" : "") + std::to_string(value); };
  return day_words(day) + "T" + two(clock.hours().count()) + ":" + two(clock.minutes().count()) +
         ":" + two(clock.seconds().count()) + "Z";
}

void put(Json& out, const Tally& tally) {
  out["reports"] = tally.reports;
  out["successful_sessions"] = tally.successes;
  out["failed_sessions"] = tally.failures;
}

Json policies_of(const Sum& sum) {
  Json out = Json::array();
  for (const PolicyLine& line : sum.policies) {
    Json entry = {{"policy_domain", line.domain}, {"policy_type", line.type}, {"mode", line.mode}};
    put(entry, line.tally);
    out.push_back(std::move(entry));
  }
  return out;
}

Json results_of(const Sum& sum) {
  Json out = Json::array();
  for (const ResultLine& line : sum.results) {
    out.push_back({{"result_type", line.type},
                   {"failed_sessions", line.failures},
                   {"organizations", line.reporters}});
  }
  return out;
}

Json sources_of(const Sum& sum) {
  Json out = Json::array();
  for (const SourceLine& line : sum.sources) {
    Json results = Json::object();
    for (const auto& [type, failures] : line.results) results[type] = failures;
    out.push_back({{"sending_mta_ip", line.ip},
                   {"organization", line.organization},
                   {"failed_sessions", line.failures},
                   {"results", std::move(results)}});
  }
  return out;
}

Json failures_of(const Sum& sum) {
  Json out = Json::array();
  for (const FailureLine& line : sum.failures) {
    out.push_back({{"result_type", line.type},
                   {"receiving_mx_hostname", line.mx},
                   {"failure_reason_code", line.reason},
                   {"failed_sessions", line.failures}});
  }
  return out;
}

Json organizations_of(const Sum& sum) {
  Json out = Json::array();
  for (const ReporterLine& line : sum.reporters) {
    Json entry = {{"organization", line.organization}};
    put(entry, line.tally);
    out.push_back(std::move(entry));
  }
  return out;
}

Json days_of(const Sum& sum) {
  Json out = Json::array();
  for (const DayLine& line : sum.days) {
    Json entry = {{"day", line.day ? Json(day_words(line.day)) : Json(nullptr)}};
    put(entry, line.tally);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace

std::string sum_json(const Sum& sum) {
  Json out;
  out["schema"] = 1;
  put(out, sum.tally);
  out["failed_sessions_detailed"] = sum.detailed;
  out["failed_sessions_without_details"] = sum.without_details;
  out["begin"] = time_of(sum.begin);
  out["end"] = time_of(sum.end);
  out["duplicate_reports"] = sum.duplicates;
  out["duplicate_reports_that_differ"] = sum.differing;
  out["messages_without_report"] = sum.without_report;
  out["policies"] = policies_of(sum);
  out["results"] = results_of(sum);
  out["sources"] = sources_of(sum);
  out["failures"] = failures_of(sum);
  out["organizations"] = organizations_of(sum);
  out["days"] = days_of(sum);
  out["notes"] = Json::array();
  for (const NoteLine& line : sum.notes) {
    out["notes"].push_back({{"organization", line.organization},
                            {"note", line.text},
                            {"reports", line.reports}});
  }
  out["problems"] = Json::array();
  for (const ProblemLine& line : sum.problems) {
    out["problems"].push_back({{"file", line.file}, {"why", line.why}});
  }
  return base::json_in_ascii(out.dump(2, ' ', false, Json::error_handler_t::replace)) + "\n";
}

}  // namespace tlsrpt
