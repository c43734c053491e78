// Site: what is at which path of the HTTP interface, and how it looks: health, metrics, JSON, and
// the console. Given facts as values and two questions about the policy cache; knows neither
// sockets (admin/http_connection) nor the relay. Read only: it has nothing that changes anything.
// Every text of it is bounded and escaped for where it stands. Wired by proxy/admin_port.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/family.h"

namespace admin {

// The relay as it is at one moment.
struct Facts {
  std::vector<std::string> not_ready;  // why it takes no mail, each in words; empty: it does
  nlohmann::json status;               // of /api/v1/status
  std::vector<metrics::Family> families;
};

struct Policies {
  // Up to `most` cached policies, the first by name behind `after`; any thread.
  std::function<nlohmann::json(const std::string& after, std::size_t most)> page;
  // One with its text; nullopt: none is cached, or that is no domain.
  std::function<std::optional<nlohmann::json>(const std::string& domain)> one;
};

struct Answer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
};

// `target`: path and query, as in the request line. `facts`: null where the relay did not say in
// time how it is.
Answer answer(std::string_view target, const std::shared_ptr<const Facts>& facts,
              const Policies& policies);
// The path of a target, without its query.
std::string_view path_of(std::string_view target);

// The console (admin/console.cpp) and its style sheet.
std::string console_page(const Facts& facts);
std::string_view console_style();

}  // namespace admin
