// Daemon, the commands of its control socket.
#include "proxy/policy_commands.h"
#include "proxy/server_daemon.h"

namespace proxy {

using nlohmann::json;

namespace {

constexpr int schema = 1;

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
  out["log"] = started_with_->log.enforcement.string();
  const audit::Head head = services_->log().head();
  out["log_head"] = nullptr;
  if (head.seq > 0) out["log_head"] = audit::text_of(head);
  out["log_removed"] = nullptr;
  if (const auto removed = services_->log().removed()) {
    out["log_removed"] = audit::text_of(*removed);
  }
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
      if (services_->reporting() == nullptr) {
        return answer(command_failure("tls_rpt.enabled is false"));
      }
      services_->reporting()->command(request, answer);
    };
  }
}

void Daemon::add_policy_commands(std::map<std::string, Control::Command>& commands) {
  const PolicyCommands policy{services_->sts(), home_.get_executor(),
                              [this](const base::Domain& domain) {
                                if (advisor_) advisor_->forget(domain);
                              }};
  commands["policy list"] = [policy](const json&, const Control::Answer& answer) {
    policy.list(answer);
  };
  commands["policy show"] = [policy](const json& request, const Control::Answer& answer) {
    policy.show(request, answer);
  };
  // For `check`: none is an answer here, not an error.
  commands["policy cached"] = [policy](const json& request, const Control::Answer& answer) {
    policy.cached(request, answer);
  };
  commands["policy refresh"] = [policy](const json& request, const Control::Answer& answer) {
    policy.refresh(request, answer);
  };
  commands["policy purge"] = [policy](const json& request, const Control::Answer& answer) {
    policy.purge(request, answer);
  };
}

}  // namespace proxy
