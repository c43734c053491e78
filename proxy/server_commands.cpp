// Daemon, the commands of its control socket.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "audit/record.h"
#include "proxy/server_daemon.h"

namespace proxy {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr int schema = 1;
constexpr std::chrono::seconds refresh_wait{90};

json failure(const std::string& text) {
  json out;
  out["error"] = text;
  return out;
}

}  // namespace

json policy_json(const policy::StsListed& listed, bool whole) {
  const auto& entry = listed.entry;
  json out;
  out["domain"] = listed.domain.str();
  out["mode"] = policy::to_string(entry.policy.mode);
  out["id"] = entry.id;
  out["mx"] = entry.policy.mx;
  out["max_age"] = entry.policy.max_age.count();
  out["fetched"] = audit::rfc3339(entry.fetched);
  out["expires"] = audit::rfc3339(entry.expires);
  out["refresh_due"] = audit::rfc3339(entry.refresh_due);
  out["refresh_failures"] = entry.refresh_failures;
  out["refresh_failure"] = nullptr;
  if (entry.refresh_failure) out["refresh_failure"] = entry.refresh_failure->reason;
  if (whole) out["policy"] = entry.policy.lines;
  return out;
}

namespace {

base::Result<base::Domain, base::Error> domain_of(const json& request) {
  if (!request.contains("domain") || !request["domain"].is_string()) {
    return base::fail("a \"domain\" is missing");
  }
  return base::Domain::parse(request["domain"].get<std::string>());
}

struct StateText {
  json operator()(const policy::StsAbsent& absent) const {
    return failure("no policy: " + absent.reason);
  }
  json operator()(const policy::StsUnavailable& unavailable) const {
    return failure("the policy could not be had: " + unavailable.failure.reason);
  }
  json operator()(const policy::StsUnknown& unknown) const {
    return failure("could not find out: " + unknown.reason);
  }
  json operator()(const policy::StsActive& active) const {
    json out;
    out["id"] = active.id;
    out["mode"] = policy::to_string(active.policy.mode);
    out["source"] = policy::to_string(active.source);
    out["expires"] = audit::rfc3339(active.expires);
    out["refresh_failure"] = nullptr;
    if (active.refresh_failure) out["refresh_failure"] = active.refresh_failure->reason;
    return out;
  }
};

asio::awaitable<void> refresh(policy::StsEngine& engine, Advisor* advisor, base::Domain domain,
                              Control::Answer answer) {
  json reply;
  try {
    const policy::StsState state = co_await engine.refresh(domain, refresh_wait);
    if (advisor) advisor->forget(domain);
    reply = std::visit(StateText(), state);
    reply["domain"] = domain.str();
  } catch (const std::exception& error) {
    reply = failure(error.what());
  }
  reply["schema"] = schema;
  answer(std::move(reply));
}

}  // namespace

json Daemon::status() const {
  const auto uptime = std::chrono::steady_clock::now() - started_;
  json out;
  out["schema"] = schema;
  out["version"] = STERNPOST_VERSION;
  out["hostname"] = config_->server.hostname;
  out["config"] = config_path_;
  out["uptime"] = std::chrono::duration_cast<std::chrono::seconds>(uptime).count();
  out["ready"] = ready();
  out["status"] = status_text();
  const Validation validation = services_->shared().validation;
  out["validation"] = validation == Validation::validates ? "validates"
                      : validation == Validation::broken  ? "broken"
                                                          : "unknown";
  out["validation_text"] = validation_text_;
  out["log_healthy"] = services_->log().healthy();
  out["policies"] = services_->sts().size();
  out["threads"] = server_->threads();
  out["sessions"] = services_->shared().sessions.load();
  out["weakenings"] = global_weakenings(*config_);
  out["listeners"] = json::array();
  for (const auto& one : listening()) {
    json listener;
    listener["address"] = one.address;
    listener["protocol"] = one.protocol;
    listener["sessions"] = one.sessions;
    listener["max_sessions"] = one.max_sessions;
    out["listeners"].push_back(std::move(listener));
  }
  return out;
}

std::map<std::string, Control::Command> Daemon::commands() {
  std::map<std::string, Control::Command> commands;
  commands["status"] = [this](const json&, const Control::Answer& answer) { answer(status()); };
  add_policy_commands(commands);
  add_report_commands(commands);
  return commands;
}

void Daemon::add_report_commands(std::map<std::string, Control::Command>& commands) {
  for (const char* const name : {"report list", "report show", "report send"}) {
    commands[name] = [this](const json& request, const Control::Answer& answer) {
      if (services_->reporting() == nullptr) return answer(failure("tls_rpt.enabled is false"));
      services_->reporting()->command(request, answer);
    };
  }
}

void Daemon::add_policy_commands(std::map<std::string, Control::Command>& commands) {
  commands["policy list"] = [this](const json&, const Control::Answer& answer) {
    json out;
    out["schema"] = schema;
    out["policies"] = json::array();
    for (const auto& one : services_->sts().list()) {
      out["policies"].push_back(policy_json(one, false));
    }
    answer(std::move(out));
  };
  commands["policy show"] = [this](const json& request, const Control::Answer& answer) {
    const auto domain = domain_of(request);
    if (!domain) return answer(failure(domain.error().text));
    const auto found = services_->sts().show(*domain);
    if (!found) return answer(failure("no policy is cached for " + domain->str()));
    json out = policy_json(*found, true);
    out["schema"] = schema;
    answer(std::move(out));
  };
  commands["policy refresh"] = [this](const json& request, const Control::Answer& answer) {
    const auto domain = domain_of(request);
    if (!domain) return answer(failure(domain.error().text));
    asio::co_spawn(home_, refresh(services_->sts(), advisor_.get(), *domain, answer),
                   asio::detached);
  };
  commands["policy purge"] = [this](const json& request, const Control::Answer& answer) {
    const auto domain = domain_of(request);
    if (!domain) return answer(failure(domain.error().text));
    const std::string reason = request.value("reason", "");
    if (!services_->sts().purge(*domain)) {
      return answer(failure("no policy is cached for " + domain->str()));
    }
    if (advisor_) advisor_->forget(*domain);
    audit::Record record;
    record.event = audit::Event::policy;
    record.domain = *domain;
    record.policy_type = "sts";
    record.reason = "purged by the operator: " + (reason.empty() ? "no reason given" : reason);
    services_->log().append(record);
    json out;
    out["schema"] = schema;
    out["domain"] = domain->str();
    answer(std::move(out));
  };
}

}  // namespace proxy
