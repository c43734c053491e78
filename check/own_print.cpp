// The report of `own` as text and as JSON; see own.h.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "audit/record.h"
#include "base/encode.h"
#include "base/terminal.h"
#include "check/own.h"

namespace check {

using json = nlohmann::ordered_json;

namespace {

constexpr int schema = 1;
constexpr std::size_t area_width = 8;

std::string level_word(Level level, bool colour) {
  const char* const paint = level == Level::pass   ? "\033[32m"
                            : level == Level::warn ? "\033[33m"
                                                   : "\033[31m";
  const std::string word(to_string(level));
  return colour ? paint + word + "\033[0m" : word;
}

json or_null(const std::string& text) { return text.empty() ? json() : json(text); }

}  // namespace

std::string to_text(const OwnReport& report, bool colour) {
  std::string out = "The domain " + report.domain + " as senders see it, " +
                    audit::rfc3339(report.time).substr(0, 19) + "Z\n\n";
  for (const Finding& one : report.findings) {
    std::string area = one.area;
    area.append(area_width - std::min(area.size(), area_width), ' ');
    out += level_word(one.level, colour) + "  " + area + " " +
           base::without_controls(one.text) + "\n";
    if (!one.todo.empty()) out += "      -> " + base::without_controls(one.todo) + "\n";
  }
  if (!report.advice.empty()) out += "\nIn which order to change things:\n";
  for (const Advice& one : report.advice) {
    out += "  * " + base::without_controls(one.text) + "\n";
  }
  if (!report.certain) {
    out += "\nNot all could be found out, another try may tell more: " +
           base::without_controls(report.uncertain_why) + "\n";
  }
  return out;
}

std::string to_json(const OwnReport& report) {
  json all;
  all["schema"] = schema;
  all["domain"] = report.domain;
  all["time"] = audit::rfc3339(report.time);
  all["worst"] = to_string(report.worst());
  all["certain"] = report.certain;
  all["uncertain_why"] = or_null(report.uncertain_why);
  all["findings"] = json::array();
  for (const Finding& finding : report.findings) {
    json one;
    one["level"] = to_string(finding.level);
    one["area"] = finding.area;
    one["code"] = finding.code;
    one["text"] = finding.text;
    one["todo"] = or_null(finding.todo);
    all["findings"].push_back(std::move(one));
  }
  all["advice"] = json::array();
  for (const Advice& advice : report.advice) {
    json one;
    one["code"] = advice.code;
    one["text"] = advice.text;
    all["advice"].push_back(std::move(one));
  }
  return base::json_in_ascii(all.dump(2, ' ', false, json::error_handler_t::replace)) + "\n";
}

}  // namespace check
