#include "tlsrpt/read_members.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/encode.h"
#include "base/ip.h"
#include "tlsrpt/read_time.h"
#include "tlsrpt/result.h"

namespace tlsrpt {
namespace {

using nlohmann::json;

// No domain sees more sessions in a day; a larger count would only drown those of honest reports.
constexpr std::uint64_t most_sessions = 1'000'000'000'000;
constexpr std::size_t most_notes = 40;

// RFC 8460 §4.3: the words of the registry.
bool is_registered(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(ResultType::dane_required); ++i) {
    if (to_string(static_cast<ResultType>(i)) == word) return true;
  }
  return false;
}

bool is_policy_type(std::string_view word) {
  return word == to_string(PolicyType::tlsa) || word == to_string(PolicyType::sts) ||
         word == to_string(PolicyType::no_policy_found);
}

// RFC 5952 where it is an address, with or without brackets; otherwise as it came.
std::string address_text(std::string text) {
  std::string_view bare = text;
  if (bare.starts_with('[') && bare.ends_with(']')) bare = bare.substr(1, bare.size() - 2);
  if (bare.size() > 5 && base::iequals(bare.substr(0, 5), "IPv6:")) bare.remove_prefix(5);
  const auto ip = base::Ip::parse(bare);
  return ip ? ip->unmapped().str() : text;
}

std::string domain_text(std::string text) {
  std::string lower = base::to_lower(base::trim(text));
  if (lower.size() > 1 && lower.ends_with('.')) lower.pop_back();
  return lower;
}

class Members {
 public:
  Members(const ReadLimits& limits, ReadBudget& budget) : limits_(limits), budget_(budget) {}

  base::Result<ReadReport, base::Error> report(const json& object) {
    if (find(object, "policies") == nullptr) return base::fail("JSON, but no report: no policies");
    out_.organization = text(object, "organization-name");
    out_.contact = text(object, "contact-info");
    out_.id = text(object, "report-id");
    if (out_.contact.empty()) note("no contact-info");
    if (out_.id.empty()) note("no report-id");
    if (out_.organization.empty()) {
      note("no organization-name");
      const std::size_t at = out_.contact.rfind('@');
      if (at != std::string::npos) out_.organization = domain_text(out_.contact.substr(at + 1));
    }
    range(object);
    const json& policies = *find(object, "policies");
    if (policies.is_object()) {
      note("policies is one object, not a list");
      policy(policies);
    } else if (policies.is_array()) {
      for (const json& entry : policies) {
        if (!why_.empty()) break;
        policy(entry);
      }
    } else {
      return base::fail("JSON, but no report: policies is not a list");
    }
    if (!why_.empty()) return base::fail(why_);
    budget_.rows -= rows_;
    return std::move(out_);
  }

 private:
  void note(std::string text) {
    if (out_.notes.size() >= most_notes) return;
    const auto& notes = out_.notes;
    if (std::find(notes.begin(), notes.end(), text) == notes.end()) {
      out_.notes.push_back(std::move(text));
    }
  }

  // A member that is null is one that is missing.
  static const json* find(const json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() || found->is_null() ? nullptr : &*found;
  }

  std::string cut(std::string text, const char* key) {
    if (text.size() <= limits_.text) return text;
    note(std::string(key) + " is longer than " + std::to_string(limits_.text) + " octets: cut");
    std::size_t size = limits_.text;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0U) == 0x80U) --size;
    text.resize(size);
    return text;
  }

  std::string text_of(const json& value, const char* key) {
    if (value.is_string()) return cut(value.get<std::string>(), key);
    if (value.is_number() || value.is_boolean()) {
      note(std::string(key) + " is not a text");
      return value.dump();
    }
    note(std::string(key) + " is not a text: left out");
    return {};
  }

  std::string text(const json& object, const char* key) {
    const json* value = find(object, key);
    return value == nullptr ? std::string() : text_of(*value, key);
  }

  void line(std::vector<std::string>& out, std::string text, const char* key) {
    if (out.size() < limits_.strings) {
      out.push_back(std::move(text));
    } else {
      note(std::string(key) + " has more than " + std::to_string(limits_.strings) +
           " texts: cut");
    }
  }

  // A list of texts, or one text, with its lines if it has several.
  std::vector<std::string> texts(const json& object, const char* key) {
    std::vector<std::string> out;
    const json* value = find(object, key);
    if (value == nullptr) return out;
    if (value->is_array()) {
      for (const json& element : *value) {
        if (!element.is_null()) line(out, text_of(element, key), key);
      }
      return out;
    }
    note(std::string(key) + " is a plain text, not a list");
    const std::string all = text_of(*value, key);
    for (std::size_t from = 0; from < all.size();) {
      const std::size_t end = std::min(all.find_first_of("\r\n", from), all.size());
      if (end > from) line(out, all.substr(from, end - from), key);
      from = end + 1;
    }
    return out;
  }

  std::uint64_t capped(std::uint64_t value, const char* key) {
    if (value <= most_sessions) return value;
    note(std::string(key) + " is too large: taken as 0");
    return 0;
  }

  std::uint64_t count_of_text(const json& value, const char* key) {
    const auto& digits = value.get_ref<const std::string&>();
    const std::string_view trimmed = base::trim(digits);
    std::uint64_t number = 0;
    if (trimmed.empty() || trimmed.size() > 18 ||
        trimmed.find_first_not_of("0123456789") != std::string_view::npos) {
      note(std::string(key) + " is not a number: taken as 0");
      return 0;
    }
    for (const char c : trimmed) number = number * 10 + static_cast<std::uint64_t>(c - '0');
    note(std::string(key) + " is a text, not a number");
    return capped(number, key);
  }

  std::uint64_t count(const json& object, const char* key) {
    const json* value = find(object, key);
    if (value == nullptr) {
      note(std::string("no ") + key);
      return 0;
    }
    if (value->is_number_unsigned()) return capped(value->get<std::uint64_t>(), key);
    if (value->is_string()) return count_of_text(*value, key);
    if (value->is_number_float()) {
      const double number = value->get<double>();
      if (number >= 0) {
        if (number > static_cast<double>(most_sessions)) return capped(most_sessions + 1, key);
        if (std::floor(number) != number) note(std::string(key) + " is not a whole number");
        return static_cast<std::uint64_t>(number);
      }
    }
    note(std::string(key) +
         (value->is_number() ? " is negative: taken as 0" : " is not a number: taken as 0"));
    return 0;
  }

  std::optional<base::WallTime> time(const json& range, const char* key) {
    const json* value = find(range, key);
    if (value == nullptr) {
      note(std::string("no ") + key);
      return std::nullopt;
    }
    if (value->is_number_unsigned() && value->get<std::uint64_t>() < 253402300800U) {
      note(std::string(key) + " is a number, taken as Unix seconds");
      return base::WallTime(std::chrono::seconds(value->get<std::int64_t>()));
    }
    const auto read = value->is_string() ? read_time(value->get_ref<const std::string&>())
                                         : std::nullopt;
    if (!read) {
      note(std::string(key) + " is not a time");
      return std::nullopt;
    }
    if (!read->exact) note(std::string(key) + " is not as RFC 3339 has it");
    return read->time;
  }

  void range(const json& object) {
    const json* range = find(object, "date-range");
    if (range == nullptr || !range->is_object()) return note("no date-range");
    out_.begin = time(*range, "start-datetime");
    out_.end = time(*range, "end-datetime");
    if (out_.begin && out_.end && *out_.end < *out_.begin) {
      note("date-range ends before it begins");
      std::swap(out_.begin, out_.end);
    }
  }

  // One more policy or detail, if every limit lets it in.
  bool row() {
    if (++rows_ > budget_.rows) {
      why_ = "more than " + std::to_string(limits_.rows) + " policies and failures in one file";
    }
    return why_.empty();
  }

  void policy(const json& entry) {
    if (!entry.is_object()) return note("an entry of policies is not an object: left out");
    if (out_.policies.size() == limits_.policies) {
      why_ = "more than " + std::to_string(limits_.policies) + " policies";
      return;
    }
    if (!row()) return;
    const json* inner = find(entry, "policy");
    if (inner == nullptr || !inner->is_object()) {
      note("policies has an entry without a policy object");
      inner = &entry;
    }
    ReadPolicy& out = out_.policies.emplace_back();
    out.type = base::to_lower(base::trim(text(*inner, "policy-type")));
    out.domain = domain_text(text(*inner, "policy-domain"));
    out.strings = texts(*inner, "policy-string");
    out.mx_hosts = texts(*inner, "mx-host");
    if (out.type.empty()) {
      note("no policy-type");
    } else if (!is_policy_type(out.type)) {
      note("a policy-type that RFC 8460 does not know");
    }
    if (out.domain.empty()) note("no policy-domain");
    details(entry, out);
    const json* summary = find(entry, "summary");
    if (summary != nullptr && summary->is_object()) {
      out.successes = count(*summary, "total-successful-session-count");
      out.failures = count(*summary, "total-failure-session-count");
      return;
    }
    note("no summary: failures counted from failure-details");
    for (const ReadDetail& detail : out.details) {
      out.failures = std::min(out.failures + detail.count, most_sessions);
    }
  }

  void details(const json& entry, ReadPolicy& out) {
    const json* list = find(entry, "failure-details");
    if (list == nullptr) return;
    if (list->is_object()) {
      note("failure-details is one object, not a list");
      return detail(*list, out);
    }
    if (!list->is_array()) return note("failure-details is not a list: left out");
    for (const json& row_of_list : *list) {
      if (!why_.empty()) return;
      detail(row_of_list, out);
    }
  }

  void detail(const json& object, ReadPolicy& out) {
    if (!object.is_object()) {
      return note("an entry of failure-details is not an object: left out");
    }
    if (++details_ > limits_.details) {
      why_ = "more than " + std::to_string(limits_.details) + " failure-details";
      return;
    }
    if (!row()) return;
    ReadDetail& row_out = out.details.emplace_back();
    row_out.result_type = base::to_lower(base::trim(text(object, "result-type")));
    row_out.sending_mta_ip = address_text(text(object, "sending-mta-ip"));
    row_out.receiving_mx_hostname = domain_text(text(object, "receiving-mx-hostname"));
    row_out.receiving_mx_helo = text(object, "receiving-mx-helo");
    row_out.receiving_ip = address_text(text(object, "receiving-ip"));
    row_out.additional_information = text(object, "additional-information");
    row_out.failure_reason_code = text(object, "failure-reason-code");
    row_out.count = count(object, "failed-session-count");
    if (row_out.result_type.empty()) {
      note("no result-type");
    } else if (!is_registered(row_out.result_type)) {
      note("a result-type that RFC 8460 does not know");
    }
  }

  const ReadLimits& limits_;
  ReadBudget& budget_;
  ReadReport out_;
  std::string why_;  // the limit that ends this report
  std::size_t rows_ = 0;
  std::size_t details_ = 0;
};

}  // namespace

base::Result<ReadReport, base::Error> read_members(const json& object, const ReadLimits& limits,
                                                   ReadBudget& budget) {
  return Members(limits, budget).report(object);
}

}  // namespace tlsrpt
