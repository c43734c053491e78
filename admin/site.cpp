#include "admin/site.h"

#include <charconv>

#include "base/limits.h"

namespace admin {

namespace {

using nlohmann::json;

constexpr int schema = 1;
constexpr std::string_view policies_path = "/api/v1/policies/";

Answer json_answer(json value, unsigned status = 200) {
  value["schema"] = schema;
  Answer answer;
  answer.status = status;
  answer.type = "application/json";
  answer.body = value.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
  return answer;
}

Answer failure(unsigned status, const std::string& words) {
  json value;
  value["error"] = words;
  return json_answer(std::move(value), status);
}

Answer text(unsigned status, std::string words) {
  Answer answer;
  answer.status = status;
  answer.body = std::move(words);
  return answer;
}

// %XX where two hex digits follow.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* const digits = text.data() + i + 1;
      const auto read = std::from_chars(digits, digits + 2, value, 16);
      if (read.ptr == digits + 2) {
        out += static_cast<char>(value);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

// "after" and "limit" of /api/v1/policies.
struct Page {
  std::string after;
  std::size_t limit = 100;
  std::optional<std::string> wrong;
};

Page page_of(std::string_view target) {
  Page page;
  const std::size_t mark = target.find('?');
  std::string_view rest = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    const std::size_t equals = one.find('=');
    const std::string_view key = one.substr(0, equals);
    const std::string value =
        equals == std::string_view::npos ? std::string() : decoded(one.substr(equals + 1));
    if (key == "after") {
      page.after = value;
    } else if (key == "limit") {
      const char* const end = value.data() + value.size();
      const auto read = std::from_chars(value.data(), end, page.limit);
      const bool number = read.ec == std::errc() && read.ptr == end;
      if (!number || page.limit < 1 || page.limit > base::limits::admin_page) {
        page.wrong = "limit must be from 1 to " + std::to_string(base::limits::admin_page);
      }
    } else if (!key.empty()) {
      page.wrong = "only after and limit are known here";
    }
  }
  return page;
}

Answer policies_answer(std::string_view target, const Policies& policies) {
  const Page page = page_of(target);
  if (page.wrong) return failure(400, *page.wrong);
  json value;
  value["policies"] = policies.page(page.after, page.limit);
  // Where to go on; null where this was all.
  value["next"] = nullptr;
  if (value["policies"].size() == page.limit) value["next"] = value["policies"].back()["domain"];
  return json_answer(std::move(value));
}

Answer policy_answer(std::string_view path, const Policies& policies) {
  const std::string domain = decoded(path.substr(policies_path.size()));
  auto found = policies.one(domain);
  if (!found) return failure(404, "no policy is cached for that name");
  return json_answer(std::move(*found));
}

json family_json(const metrics::Family& family) {
  json out;
  out["name"] = family.name;
  out["help"] = family.help;
  out["type"] = metrics::to_string(family.type);
  if (family.type == metrics::Type::histogram) {
    out["buckets"] = json::array();
    for (const metrics::Bucket& bucket : family.buckets) {
      json one;
      one["le"] = metrics::number_text(bucket.bound);
      one["count"] = bucket.count;
      out["buckets"].push_back(std::move(one));
    }
    out["sum"] = family.sum;
    return out;
  }
  out["samples"] = json::array();
  for (const metrics::Sample& sample : family.samples) {
    json one;
    one["labels"] = json::object();
    for (const auto& [name, value] : sample.labels) one["labels"][name] = value;
    one["value"] = sample.value;
    out["samples"].push_back(std::move(one));
  }
  return out;
}

Answer counters_answer(const Facts& facts) {
  json value;
  value["families"] = json::array();
  for (const metrics::Family& family : facts.families) {
    value["families"].push_back(family_json(family));
  }
  return json_answer(std::move(value));
}

Answer sessions_answer(const Facts& facts) {
  json value;
  value["sessions"] = facts.status.value("sessions", 0);
  value["listeners"] = facts.status.value("listeners", json::array());
  for (const metrics::Family& family : facts.families) {
    const bool open = family.name == "sternpost_mx_connections_open";
    const bool idle = family.name == "sternpost_mx_connections_idle";
    if (!open && !idle) continue;
    value["mx_connections"][open ? "open" : "idle"] = family.samples.at(0).value;
  }
  return json_answer(std::move(value));
}

Answer ready_answer(const Facts& facts) {
  if (facts.not_ready.empty()) return text(200, "ready\n");
  std::string words;
  for (const std::string& why : facts.not_ready) words += "not ready: " + why + "\n";
  return text(503, std::move(words));
}

}  // namespace

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

Answer answer(std::string_view target, const std::shared_ptr<const Facts>& facts,
              const Policies& policies) {
  const std::string_view path = path_of(target);
  if (path == "/console.css") return {200, "text/css; charset=utf-8", std::string(console_style())};
  if (path == "/api/v1/policies") return policies_answer(target, policies);
  if (path.starts_with(policies_path)) return policy_answer(path, policies);
  const bool known = path == "/" || path == "/healthz" || path == "/readyz" ||
                     path == "/metrics" || path == "/api/v1/status" ||
                     path == "/api/v1/sessions" || path == "/api/v1/counters";
  if (!known && path.starts_with("/api/")) {
    return failure(404, "there are status, sessions, counters, policies and policies/DOMAIN in "
                        "/api/v1/");
  }
  if (!known) return text(404, "there is nothing here\n");
  if (!facts) return text(503, "not ready: the relay did not say in time how it is\n");
  if (path == "/healthz") return text(200, "alive\n");
  if (path == "/readyz") return ready_answer(*facts);
  if (path == "/metrics") {
    return {200, std::string(metrics::content_type), metrics::exposition(facts->families)};
  }
  if (path == "/api/v1/status") return json_answer(facts->status);
  if (path == "/api/v1/sessions") return sessions_answer(*facts);
  if (path == "/api/v1/counters") return counters_answer(*facts);
  return {200, "text/html; charset=utf-8", console_page(*facts)};
}

}  // namespace admin
