#include "proxy/doctor_judge.h"

#include <algorithm>

#include "proxy/server_daemon.h"

namespace proxy {

namespace {

constexpr std::chrono::days soon{14};
using Kind = dns::LookupError::Kind;

constexpr const char* mend_resolver =
    "look at dns.forwarders (each must pass signatures on), dns.trust_anchor_file and the clock";

std::string date_text(std::chrono::year_month_day date) {
  const auto two = [](unsigned n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  return std::to_string(static_cast<int>(date.year())) + "-" +
         two(static_cast<unsigned>(date.month())) + "-" + two(static_cast<unsigned>(date.day()));
}

Finding no_answer(const char* subject, const std::string& name, const dns::LookupError& error) {
  return {subject, Health::unknown, name + " could not be asked: " + error.text,
          "look at the network to port 53 and at dns.forwarders, then ask again"};
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::pass: return "pass";
    case Health::warn: return "warn";
    case Health::fail: return "fail";
    case Health::unknown: return "unknown";
  }
  return "?";
}

Finding judge_root(const dns::ValidationReport& report) {
  std::string remedy = "without validation there is no DANE: ";
  remedy += mend_resolver;
  switch (report.state) {
    case dns::Validation::validates: return {"resolver", Health::pass, report.text, ""};
    case dns::Validation::does_not_validate:
      return {"resolver", Health::fail, report.text, remedy};
    case dns::Validation::unknown: break;
  }
  return {"resolver", Health::unknown, report.text,
          "look at the network to port 53 and at dns.forwarders, then ask again"};
}

Finding judge_signed(const std::string& name, const dns::RawLookup& answer) {
  const char* const subject = "signed name";
  if (!answer) {
    const dns::LookupError error = answer.error();
    if (error.kind != Kind::bogus) return no_answer(subject, name, error);
    return {subject, Health::fail, name + " is signed and came back bogus: " + error.text,
            "mail to every signed domain is deferred like this: " + std::string(mend_resolver)};
  }
  if (answer->security == dns::Security::secure) {
    return {subject, Health::pass, name + " is secure", ""};
  }
  return {subject, Health::fail, name + " is signed and came back insecure", mend_resolver};
}

Finding judge_bogus(const std::string& name, const dns::RawLookup& answer, bool resolver_answers) {
  const char* const subject = "bogus name";
  if (answer) {
    return {subject, Health::fail,
            name + ", whose signatures are wrong, was answered as " +
                std::string(dns::to_string(answer->security)),
            "a forged answer would be believed like this: " + std::string(mend_resolver)};
  }
  const dns::LookupError error = answer.error();
  if (error.kind == Kind::bogus) return {subject, Health::pass, name + " is refused as bogus", ""};
  // A forwarder that validates says no more than that.
  if (error.kind == Kind::servfail && resolver_answers) {
    return {subject, Health::pass, name + " is not answered: " + error.text, ""};
  }
  return no_answer(subject, name, error);
}

Finding judge_unsigned(const std::string& name, const dns::RawLookup& answer) {
  const char* const subject = "unsigned name";
  if (!answer) {
    const dns::LookupError error = answer.error();
    if (error.kind != Kind::bogus) return no_answer(subject, name, error);
    return {subject, Health::fail, name + " is unsigned and came back bogus: " + error.text,
            "mail to most domains is deferred like this: a forwarder drops the proof that there "
            "is no DS record; " + std::string(mend_resolver)};
  }
  if (answer->security == dns::Security::insecure) {
    return {subject, Health::pass, name + " is insecure, and answered", ""};
  }
  return {subject, Health::warn, name + " was taken to be unsigned and is secure",
          "name another unsigned domain with --unsigned"};
}

Finding judge_anchor(const config::Path& file,
                     const base::Result<std::string, base::Error>& text) {
  const char* const subject = "trust anchor";
  const std::string install = "apt-get install dns-root-data, or set dns.trust_anchor_file";
  if (!text) return {subject, Health::fail, text.error().text, install};
  const bool has_key = text->find("DNSKEY") != std::string::npos ||
                       text->find("DS") != std::string::npos;
  if (!has_key) {
    return {subject, Health::fail, file.string() + " holds no DS or DNSKEY record", install};
  }
  return {subject, Health::pass, file.string(), ""};
}

Finding judge_daemon(const config::Path& control,
                     const base::Result<nlohmann::json, DaemonError>& status) {
  const char* const subject = "daemon";
  if (!status) {
    const DaemonError error = status.error();
    if (!error.not_running) {
      return {subject, Health::unknown, error.text, "be root or the service user; see the journal"};
    }
    return {subject, Health::warn, "none answers at " + control.string(),
            "systemctl start sternpost, then journalctl -u sternpost"};
  }
  if (!status->value("log_healthy", false)) {
    return {subject, Health::fail, "the enforcement log cannot be written",
            "see the journal; look at the disk and the rights of log.enforcement"};
  }
  const std::string words = status->value("status", "");
  if (!status->value("ready", false)) {
    return {subject, Health::fail, "it runs and is not ready: " + words, "see the journal"};
  }
  return {subject, Health::pass, "it runs: " + words, ""};
}

std::vector<Finding> judge_policy(const config::Config& config, std::chrono::sys_days today) {
  std::vector<Finding> findings;
  for (const std::string& weak : global_weakenings(config)) {
    findings.push_back({"enforcement", Health::warn, "weaker for every domain: " + weak,
                        "take it out when the reason for it is gone"});
  }
  if (findings.empty()) {
    findings.push_back({"enforcement", Health::pass, "nothing weakens it for every domain", ""});
  }
  for (const config::Exception& one : config.policy.exceptions) {
    std::string names;
    for (const config::DomainMatch& match : one.domains) {
      names += (names.empty() ? "" : ", ");
      names += (match.subdomains ? "." : "") + match.domain.str();
    }
    const std::string of = "exception for " + names + " (" + one.owner + ": " + one.reason + ")";
    const std::string last = date_text(one.until);
    if (!one.in_force(today)) {
      findings.push_back({"exceptions", Health::warn, of + " is void since the end of " + last,
                          "take it out of the configuration, or ask its owner"});
    } else if (std::chrono::sys_days(one.until) - today <= soon) {
      findings.push_back({"exceptions", Health::warn, of + " ends with " + last,
                          "the domain's policy is enforced from then on: ask its owner"});
    } else {
      findings.push_back({"exceptions", Health::pass, of + " holds until " + last, ""});
    }
  }
  if (config.policy.exceptions.empty()) {
    findings.push_back({"exceptions", Health::pass, "there is none", ""});
  }
  return findings;
}

Finding judge_identity(const config::Config& config,
                       const std::optional<std::string>& key_problem) {
  const char* const subject = "report identity";
  const config::TlsRpt& tls_rpt = config.tls_rpt;
  if (!tls_rpt.enabled) return {subject, Health::pass, "tls_rpt.enabled is false", ""};
  if (!tls_rpt.send) return {subject, Health::pass, "reports are kept: tls_rpt.send is false", ""};
  if (tls_rpt.organization_name.empty() || tls_rpt.contact_info.empty() ||
      !tls_rpt.report_domain) {
    return {subject, Health::warn, "reports are kept and not sent",
            "set tls_rpt.organization_name, contact_info and report_domain"};
  }
  if (tls_rpt.dkim_key.empty()) {
    return {subject, Health::warn,
            "report mail is not signed here: whoever takes it in at tls_rpt.submit_via must sign "
            "it for " + tls_rpt.report_domain->str(),
            "see that it does (RFC 8460 §3), or set tls_rpt.dkim_selector and dkim_key"};
  }
  if (key_problem) {
    return {subject, Health::fail,
            "receivers may ignore the reports (RFC 8460 §3): " + *key_problem,
            "mend the record of tls_rpt.dkim_selector in the DNS"};
  }
  return {subject, Health::pass,
          "report mail is signed for " + tls_rpt.report_domain->str() +
              " by a key whose record allows reports", ""};
}

}  // namespace proxy
