#include "proxy/policy_commands.h"

#include <sysexits.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "audit/record.h"

namespace proxy {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr int schema = 1;
constexpr std::chrono::seconds refresh_wait{90};

struct StateText {
  json operator()(const policy::StsAbsent& absent) const {
    return command_failure("no policy: " + absent.reason);
  }
  json operator()(const policy::StsUnavailable& unavailable) const {
    return command_failure("the policy could not be had: " + unavailable.failure.reason,
                           unavailable.pending ? EX_TEMPFAIL : 1);
  }
  json operator()(const policy::StsUnknown& unknown) const {
    return command_failure("could not find out: " + unknown.reason, EX_TEMPFAIL);
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

asio::awaitable<void> refresh_one(PolicyCommands commands, base::Domain domain,
                                  PolicyCommands::Answer answer) {
  json reply;
  try {
    const policy::StsState state = co_await commands.engine.refresh(domain, refresh_wait);
    if (commands.changed) commands.changed(domain);
    reply = std::visit(StateText(), state);
    reply["domain"] = domain.str();
  } catch (const std::exception& error) {
    reply = command_failure(error.what());
  }
  reply["schema"] = schema;
  answer(std::move(reply));
}

}  // namespace

json command_failure(const std::string& text, int status) {
  json out;
  out["error"] = text;
  out["status"] = status;
  return out;
}

json listed_json(const policy::StsListed& listed, bool whole) {
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

json policies_json(const std::vector<policy::StsListed>& policies) {
  json out;
  out["schema"] = schema;
  out["policies"] = json::array();
  for (const auto& one : policies) out["policies"].push_back(listed_json(one, false));
  return out;
}

json policy_json(const base::Domain& domain, const std::optional<policy::StsListed>& found) {
  if (!found) return command_failure("no policy is cached for " + domain.str());
  json out = listed_json(*found, true);
  out["schema"] = schema;
  return out;
}

base::Result<base::Domain, base::Error> domain_of(const json& request) {
  if (!request.contains("domain") || !request["domain"].is_string()) {
    return base::fail("a \"domain\" is missing");
  }
  return base::Domain::parse(request["domain"].get<std::string>());
}

void PolicyCommands::list(const Answer& answer) const { answer(policies_json(engine.list())); }

void PolicyCommands::show(const json& request, const Answer& answer) const {
  const auto domain = domain_of(request);
  if (!domain) return answer(command_failure(domain.error().text));
  answer(policy_json(*domain, engine.show(*domain)));
}

void PolicyCommands::cached(const json& request, const Answer& answer) const {
  const auto domain = domain_of(request);
  if (!domain) return answer(command_failure(domain.error().text));
  json out;
  out["schema"] = schema;
  out["policy"] = nullptr;
  if (const auto found = engine.show(*domain)) out["policy"] = listed_json(*found, true);
  answer(std::move(out));
}

void PolicyCommands::refresh(const json& request, const Answer& answer) const {
  const auto domain = domain_of(request);
  if (!domain) return answer(command_failure(domain.error().text));
  asio::co_spawn(home, refresh_one(*this, *domain, answer), asio::detached);
}

void PolicyCommands::purge(const json& request, const Answer& answer) const {
  const auto domain = domain_of(request);
  if (!domain) return answer(command_failure(domain.error().text));
  const std::string reason = request.value("reason", "");
  if (!engine.purge(*domain, "by the operator: " +
                                 (reason.empty() ? "no reason given" : reason))) {
    return answer(command_failure("no policy is cached for " + domain->str()));
  }
  if (changed) changed(*domain);
  json out;
  out["schema"] = schema;
  out["domain"] = domain->str();
  answer(std::move(out));
}

}  // namespace proxy
