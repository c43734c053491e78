// Service, the commands: `report list`, `report show`, `report send`.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "audit/record.h"
#include "report/service.h"
#include "tlsrpt/gzip.h"

namespace report {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr int schema = 1;
constexpr std::size_t page = 500;
// Domains in one answer, which is held in memory as a whole.
constexpr std::size_t most_listed = 100000;
constexpr std::size_t most_shown = 5000;
constexpr std::size_t most_previewed = 500;
// The daemon's control socket gives up after five minutes.
constexpr std::chrono::minutes longest_wait{4};

json failure(const std::string& text) {
  json out;
  out["error"] = text;
  return out;
}

json too_many(std::size_t most) {
  return failure("the day has more than " + std::to_string(most) +
                 " domains: name one with --domain, or read the files in tls_rpt.directory");
}

const char* word(store::ReportState state) {
  switch (state) {
    case store::ReportState::waiting: return "waiting";
    case store::ReportState::kept: return "kept";
    case store::ReportState::not_asked: return "not-asked";
    case store::ReportState::sending: return "sending";
    case store::ReportState::sent: return "sent";
    case store::ReportState::failed: return "failed";
  }
  return "";
}

const char* word(store::EndpointState state) {
  switch (state) {
    case store::EndpointState::waiting: return "waiting";
    case store::EndpointState::accepted: return "accepted";
    case store::EndpointState::given_up: return "given-up";
  }
  return "";
}

json time_json(const std::optional<base::WallTime>& time) {
  return time ? json(audit::rfc3339(*time)) : json(nullptr);
}

}  // namespace

void Service::command(const json& request, Answer answer) {
  const std::string name = request.value("command", "");
  const store::Day today = std::chrono::floor<std::chrono::days>(parts_.clock->wall());
  store::Day day = today;
  if (request.contains("date")) {
    const auto given = tlsrpt::parse_day(request["date"].get<std::string>());
    if (!given) return answer(failure("a date is written YYYY-MM-DD"));
    day = *given;
  }
  std::optional<std::string> domain;
  if (request.contains("domain")) {
    const auto parsed = base::Domain::parse(request["domain"].get<std::string>());
    if (!parsed) return answer(failure(parsed.error().text));
    domain = parsed->str();
  }
  catch_up();
  if (name == "report list") return answer(list(day, domain));
  if (name == "report show") return answer(show(day, domain));
  if (name != "report send") return answer(failure("command not known"));
  const bool dry_run = request.value("dry_run", false);
  asio::co_spawn(parts_.executor, send(this, day, std::move(domain), dry_run, std::move(answer)),
                 asio::detached);
}

base::Result<std::vector<store::ReportRow>, base::Error> Service::rows(
    store::Day day, const std::optional<std::string>& domain) const {
  if (!domain) return parts_.reports->reports(day);
  auto one = parts_.reports->report(day, *domain);
  if (!one) return base::fail(std::move(one.error()));
  std::vector<store::ReportRow> found;
  if (*one) found.push_back(std::move(**one));
  return found;
}

// More than `most` only by a page: the caller sees that there are too many.
base::Result<std::vector<tlsrpt::Report>, base::Error> Service::running_reports(
    store::Day day, const std::optional<std::string>& domain, std::size_t most) const {
  std::vector<tlsrpt::Report> reports;
  if (domain) {
    auto one = parts_.reports->counts_of(day, *domain);
    if (!one) return base::fail(std::move(one.error()));
    if (*one) reports.push_back(composed(day, **one));
    return reports;
  }
  for (std::string after;;) {
    auto counts = parts_.reports->counts(day, after, page);
    if (!counts) return base::fail(std::move(counts.error()));
    if (counts->empty() || reports.size() > most) return reports;
    for (const store::DomainCounts& one : *counts) reports.push_back(composed(day, one));
    after = counts->back().domain;
  }
}

// ---- list ---------------------------------------------------------------------------------------

json Service::row_json(const store::ReportRow& row) {
  json out;
  out["domain"] = row.domain;
  out["report_id"] = row.id;
  out["successes"] = row.successes;
  out["failures"] = row.failures;
  out["state"] = word(row.state);
  out["file"] = files_.path(row.day, row.domain).string();
  // Before anything was looked up there is neither; afterwards a record, or why there is none.
  const bool has_record = row.record.starts_with("v=TLSRPTv1");
  out["record"] = has_record ? json(row.record) : json(nullptr);
  out["why"] = has_record || row.record.empty() ? json(nullptr) : json(row.record);
  const bool waits =
      row.state == store::ReportState::waiting || row.state == store::ReportState::sending;
  out["next"] = waits ? json(audit::rfc3339(row.due)) : json(nullptr);
  out["endpoints"] = json::array();
  const auto endpoints = parts_.reports->endpoints(row.day, row.domain);
  if (!endpoints) return out;
  for (const store::EndpointRow& endpoint : *endpoints) {
    json one;
    one["uri"] = endpoint.uri;
    one["state"] = word(endpoint.state);
    one["attempts"] = endpoint.attempts;
    one["first"] = time_json(endpoint.first);
    const bool again = endpoint.state == store::EndpointState::waiting;
    one["next"] = again ? json(audit::rfc3339(endpoint.next)) : json(nullptr);
    one["answer"] = endpoint.answer.empty() ? json(nullptr) : json(endpoint.answer);
    out["endpoints"].push_back(std::move(one));
  }
  return out;
}

base::Result<json, base::Error> Service::running_rows(store::Day day,
                                                      const std::optional<std::string>& domain) {
  auto reports = running_reports(day, domain, most_listed);
  if (!reports) return base::fail(std::move(reports.error()));
  json out = json::array();
  for (const tlsrpt::Report& report : *reports) {
    json one = row_json(row_for(report));
    one["state"] = is_closed(day) ? "closed" : "running";
    one["file"] = one["next"] = nullptr;
    out.push_back(std::move(one));
  }
  return {boost::system::in_place_value, std::move(out)};
}

base::Result<json, base::Error> Service::composed_rows(store::Day day,
                                                       const std::optional<std::string>& domain) {
  auto found = rows(day, domain);
  if (!found) return base::fail(std::move(found.error()));
  json out = json::array();
  for (const store::ReportRow& row : *found) out.push_back(row_json(row));
  return {boost::system::in_place_value, std::move(out)};
}

bool Service::is_closed(store::Day day) const {
  return counter_.closed() && *counter_.closed() >= day;
}

// Of the whole day, whichever domain is asked for.
base::Result<std::string, base::Error> Service::day_state(store::Day day,
                                                          bool nothing_listed) const {
  std::string word = day > counter_.open_day() ? "to-come" : "running";
  if (is_closed(day)) {
    auto counts = parts_.reports->counts(day, "", 1);
    if (!counts) return base::fail(std::move(counts.error()));
    word = !counts->empty() ? "closed" : nothing_listed ? "empty" : "composed";
  }
  return {boost::system::in_place_value, std::move(word)};
}

json Service::list(store::Day day, const std::optional<std::string>& domain) {
  auto composed = composed_rows(day, domain);
  if (!composed) return failure(composed.error().text);
  auto running = running_rows(day, domain);
  if (!running) return failure(running.error().text);
  if (composed->size() + running->size() > most_listed) return too_many(most_listed);
  const auto state = day_state(day, !domain && composed->empty() && running->empty());
  if (!state) return failure(state.error().text);
  json out;
  out["schema"] = schema;
  out["date"] = tlsrpt::day_text(day);
  out["state"] = *state;
  const char* const kept = why_kept();
  out["not_sending"] = kept != nullptr ? json(kept) : json(nullptr);
  out["reports"] = std::move(*composed);
  for (json& one : *running) out["reports"].push_back(std::move(one));
  return out;
}

// ---- show ---------------------------------------------------------------------------------------

base::Result<std::string, base::Error> Service::file_text(store::Day day,
                                                          const std::string& domain) const {
  auto octets = files_.read(day, domain);
  if (!octets) return base::fail(std::move(octets.error()));
  auto text = tlsrpt::gunzip(*octets);
  if (text) return text;
  return base::fail(files_.path(day, domain).string() + ": " + text.error().text);
}

// The reports as text, since their members have an order that must not be lost.
json Service::show(store::Day day, const std::optional<std::string>& domain) {
  json out;
  out["schema"] = schema;
  out["date"] = tlsrpt::day_text(day);
  out["reports"] = out["missing"] = json::array();
  const auto add = [&out](const char* list, const std::string& name, const char* key,
                          std::string text) {
    json one;
    one["domain"] = name;
    one[key] = std::move(text);
    out[list].push_back(std::move(one));
  };
  auto found = rows(day, domain);
  if (!found) return failure(found.error().text);
  if (found->size() > most_shown) return too_many(most_shown);
  for (const store::ReportRow& row : *found) {
    auto text = file_text(day, row.domain);
    if (text) {
      add("reports", row.domain, "report", std::move(*text));
    } else {
      add("missing", row.domain, "why", text.error().text);
    }
  }
  auto running = running_reports(day, domain, most_shown);
  if (!running) return failure(running.error().text);
  if (running->size() > most_shown) return too_many(most_shown);
  for (const tlsrpt::Report& report : *running) {
    add("reports", report.domain, "report", tlsrpt::to_json(report));
  }
  return out;
}

// ---- send ---------------------------------------------------------------------------------------

// Why nothing can be sent of that day yet, and which day has something to send.
std::optional<std::string> Service::why_open(store::Day day) const {
  if (is_closed(day)) return std::nullopt;
  const store::Day today = std::chrono::floor<std::chrono::days>(parts_.clock->wall());
  std::string text = "the report of " + tlsrpt::day_text(day);
  if (day < today) {
    text += " is composed once that day is counted, which is tried again every second";
  } else {
    text += " is composed after 00:00 UTC";
    if (day > today) text += " of " + tlsrpt::day_text(day + std::chrono::days(1));
  }
  if (!counter_.closed()) return text;
  const std::string last = tlsrpt::day_text(*counter_.closed());
  return text + "; the last closed day is " + last + ": --date " + last;
}

asio::awaitable<void> Service::send(Service* self, store::Day day,
                                    std::optional<std::string> domain, bool dry_run,
                                    Answer answer) {
  json out;
  try {
    const char* const kept = self->why_kept();
    const std::optional<std::string> open = self->why_open(day);
    if (kept != nullptr && (!dry_run || !self->settings_.identity.complete)) {
      out = failure(std::string("nothing is sent: ") + kept);
    } else if (dry_run) {
      out = co_await self->preview_rows(day, std::move(domain));
      if (!out.contains("error")) out["notice"] = open ? json(*open) : json(nullptr);
    } else if (open) {
      out = failure(*open);
    } else {
      out = co_await self->send_rows(day, std::move(domain));
    }
  } catch (const std::exception& error) {
    out = failure(std::string("internal error: ") + error.what());
  }
  out["schema"] = schema;
  out["date"] = tlsrpt::day_text(day);
  answer(std::move(out));
}

asio::awaitable<json> Service::send_rows(store::Day day, std::optional<std::string> domain) {
  skipped_.clear();
  while (compose_some()) {
  }
  auto found = rows(day, domain);
  if (!found) co_return failure(found.error().text);
  const auto end = std::chrono::steady_clock::now() + longest_wait;
  std::size_t left = found->size();
  json out;
  out["reports"] = json::array();
  for (const store::ReportRow& row : *found) {
    if (std::chrono::steady_clock::now() >= end) break;
    --left;
    const bool sent = co_await sender_.send_now(day, row.domain);
    auto now = parts_.reports->report(day, row.domain);
    if (!now || !*now) continue;
    json one = row_json(**now);
    one["tried"] = sent;
    out["reports"].push_back(std::move(one));
  }
  out["left"] = left;
  co_return out;
}

asio::awaitable<json> Service::preview_rows(store::Day day, std::optional<std::string> domain) {
  json out;
  out["messages"] = json::array();
  auto add = [&out](const std::string& name, const std::string& uri, std::string text) {
    json one;
    one["domain"] = name;
    one["uri"] = uri;
    one["message"] = std::move(text);
    out["messages"].push_back(std::move(one));
  };
  out["nothing"] = json::array();
  auto add_nothing = [&out](const std::string& name, const std::string& why) {
    json one;
    one["domain"] = name;
    one["why"] = why;
    out["nothing"].push_back(std::move(one));
  };
  auto found = rows(day, domain);
  if (!found) co_return failure(found.error().text);
  if (found->size() > most_previewed) co_return too_many(most_previewed);
  std::vector<std::pair<tlsrpt::Report, std::string>> wanted;
  for (const store::ReportRow& row : *found) {
    // Where its messages are made already, it is these that go.
    const auto endpoints = parts_.reports->endpoints(day, row.domain);
    if (endpoints && !endpoints->empty()) {
      bool any = false;
      for (const store::EndpointRow& endpoint : *endpoints) {
        if (endpoint.state == store::EndpointState::accepted) continue;
        any = true;
        const std::string post = "POST of " + files_.path(day, row.domain).string() + "\n";
        add(row.domain, endpoint.uri, endpoint.message.empty() ? post : endpoint.message);
      }
      if (!any) add_nothing(row.domain, "everybody who asks for it has it");
      continue;
    }
    auto octets = files_.read(day, row.domain);
    if (!octets) {
      add_nothing(row.domain, octets.error().text);
      continue;
    }
    auto text = tlsrpt::gunzip(*octets);
    auto report = text ? report_from_json(*text) : std::nullopt;
    if (!report) {
      add_nothing(row.domain, files_.path(day, row.domain).string() + ": is no report");
      continue;
    }
    report->domain = row.domain;
    if (report->submitter.domain != settings_.identity.submitter.domain) {
      add_nothing(row.domain, "it was composed for the submitter " + report->submitter.domain);
      continue;
    }
    wanted.emplace_back(std::move(*report), std::move(*octets));
  }
  auto running = running_reports(day, domain, most_previewed);
  if (!running) co_return failure(running.error().text);
  if (running->size() > most_previewed) co_return too_many(most_previewed);
  const auto end = std::chrono::steady_clock::now() + longest_wait;
  for (tlsrpt::Report& report : *running) {
    std::string octets = tlsrpt::gzip(tlsrpt::to_json(report));
    wanted.emplace_back(std::move(report), std::move(octets));
  }
  for (auto& [report, octets] : wanted) {
    const std::string name = report.domain;
    if (std::chrono::steady_clock::now() >= end) {
      add_nothing(name, "there was no time left to look up who wants it");
      continue;
    }
    auto preview = co_await sender_.preview(std::move(report), std::move(octets));
    for (auto& [uri, text] : preview.messages) add(name, uri, std::move(text));
    if (!preview.nothing.empty()) add_nothing(name, preview.nothing);
  }
  co_return out;
}

}  // namespace report
