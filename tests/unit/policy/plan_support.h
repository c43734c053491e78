// Facts and evidence for tests of plan() and judge(), as plain data with sensible defaults:
// example.com with one MX, mx.example.com, secure, nothing published. Used by the unit tests, the
// conformance tests and the scenario runner.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "policy/judge.h"
#include "policy/plan.h"

namespace plan_test {

inline base::Domain name(std::string_view text) {
  auto parsed = base::Domain::parse(text);
  if (!parsed) throw std::invalid_argument("not a domain: " + std::string(text));
  return *parsed;
}

inline base::Ip ip(std::string_view text) {
  auto parsed = base::Ip::parse(text);
  if (!parsed) throw std::invalid_argument("not an address: " + std::string(text));
  return *parsed;
}

inline dane::Tlsa tlsa(int usage = 3, int selector = 1, std::uint8_t octet = 0xab) {
  dane::Tlsa record;
  record.usage = static_cast<std::uint8_t>(usage);
  record.selector = static_cast<std::uint8_t>(selector);
  record.matching_type = 1;
  record.data.assign(32, octet);
  return record;
}

inline dane::Status usable(std::string_view base = "mx.example.com",
                           std::vector<dane::Tlsa> records = {tlsa()}) {
  return dane::Usable{name(base), records, records, {name(base), name("example.com")}};
}
inline dane::Status unusable(std::string_view base = "mx.example.com") {
  return dane::Unusable{name(base), {tlsa(1)}, "usage 1 is not for SMTP"};
}
inline dane::Status dane_failed(bool bogus = false) {
  return dane::LookupFailed{"TLSA _25._tcp.mx.example.com: SERVFAIL", bogus};
}
inline dane::Status no_dane() { return dane::NotApplicable{"no TLSA records"}; }

inline policy::StsState sts(policy::StsMode mode,
                            std::vector<std::string> mx = {"mx.example.com"}) {
  policy::StsActive active;
  active.policy.mode = mode;
  active.policy.mx = mx;
  active.policy.max_age = std::chrono::seconds(86400);
  active.policy.lines = {"version: STSv1", "mode: " + std::string(to_string(mode))};
  for (const std::string& pattern : mx) active.policy.lines.push_back("mx: " + pattern);
  active.policy.lines.push_back("max_age: 86400");
  active.id = "20260101";
  return active;
}
inline policy::StsFailure fetch_failure() {
  return {tlsrpt::ResultType::sts_policy_fetch_error, "HTTP status 503"};
}

struct Setup {
  policy::Settings settings;
  policy::Operator op;
  policy::DomainFacts facts{name("example.com"),
                            policy::MxList{{{name("mx.example.com"), 10}}, {}},
                            dns::Security::secure,
                            std::nullopt,
                            policy::StsAbsent{"no record"}};
  policy::HostFacts host{name("mx.example.com"), {ip("192.0.2.1")}, {}, false, false, no_dane()};

  Setup& with(dane::Status status) {
    host.dane = std::move(status);
    return *this;
  }
  Setup& with(policy::StsState state) {
    facts.sts = std::move(state);
    return *this;
  }
  Setup& with(policy::Combine combine) {
    settings.combine = combine;
    return *this;
  }
  Setup& insecure() {
    facts.mx_security = dns::Security::insecure;
    return *this;
  }
  // The rule or exception must outlive the plans.
  Setup& with(const policy::Rule& rule) {
    op.rule = &rule;
    return *this;
  }
  Setup& with(const policy::Exception& exception) {
    op.exception = &exception;
    return *this;
  }

  std::variant<policy::Refused, policy::DomainPlan> domain() const {
    return plan_domain(settings, op, facts);
  }
  policy::Refused refused() const {
    auto out = domain();
    REQUIRE(std::holds_alternative<policy::Refused>(out));
    return std::get<policy::Refused>(std::move(out));
  }
  policy::DomainPlan accepted() const {
    auto out = domain();
    if (auto* refused = std::get_if<policy::Refused>(&out)) FAIL("refused: " << refused->reason);
    return std::get<policy::DomainPlan>(std::move(out));
  }
  policy::HostPlan plan() const { return plan_host(settings, accepted(), host); }
  policy::Try tried() const {
    policy::HostPlan out = plan();
    if (auto* ex = std::get_if<policy::Excluded>(&out.decision)) FAIL("excluded: " << ex->reason);
    return std::get<policy::Try>(std::move(out.decision));
  }
  policy::Excluded excluded() const {
    policy::HostPlan out = plan();
    REQUIRE(std::holds_alternative<policy::Excluded>(out.decision));
    return std::get<policy::Excluded>(std::move(out.decision));
  }
  policy::Verdict judged(const policy::Evidence& evidence, bool retry = false) const {
    return judge(tried(), facts.domain, host.host, evidence, retry);
  }
};

// A session whose certificate is good for mx.example.com and matches no TLSA record.
inline policy::TlsSession session(policy::ChainState chain = policy::ChainState::trusted,
                                  std::vector<std::string> dns_ids = {"mx.example.com"}) {
  policy::TlsSession out;
  out.version = "TLSv1.3";
  out.cert_sha256 = std::string(64, 'c');
  out.spki_sha256 = std::string(64, 'a');
  out.pkix.chain = chain;
  out.pkix.has_dns_id = !dns_ids.empty();
  out.pkix.dns_ids = std::move(dns_ids);
  out.dane = policy::DaneEvidence{};
  return out;
}
inline policy::TlsSession matching(policy::TlsSession out, dane::Tlsa record = tlsa()) {
  out.dane = policy::DaneEvidence{};
  out.dane->matched = std::move(record);
  return out;
}
inline policy::NoStartTls no_starttls() { return {"STARTTLS is not offered"}; }
inline policy::HandshakeFailed no_handshake() { return {"alert handshake_failure"}; }

// "451 4.7.5" of a reply.
inline std::string code(const smtp::Reply& reply) {
  return std::to_string(reply.code) + (reply.enhanced ? " " + reply.enhanced->str() : "");
}
inline std::string text(const smtp::Reply& reply) {
  std::string all;
  for (const std::string& line : reply.lines) all += (all.empty() ? "" : " ") + line;
  return all;
}

// One word line a policy: "tlsa ok", "sts certificate-expired", "sts ok sts-policy-fetch-error".
inline std::vector<std::string> summary(const std::vector<tlsrpt::SessionResult>& results) {
  std::vector<std::string> out;
  for (const tlsrpt::SessionResult& result : results) {
    std::string line(to_string(result.policy.type));
    if (result.success) line += " ok";
    for (const tlsrpt::FailureDetail& failure : result.failures) {
      line.append(" ").append(to_string(failure.type));
    }
    out.push_back(std::move(line));
  }
  return out;
}

inline const policy::Authorized* authorized(const policy::Verdict& verdict) {
  return std::get_if<policy::Authorized>(&verdict.outcome);
}
inline const policy::Denied* denied(const policy::Verdict& verdict) {
  return std::get_if<policy::Denied>(&verdict.outcome);
}
inline bool retries(const policy::Verdict& verdict) {
  return std::holds_alternative<policy::RetryInCleartext>(verdict.outcome);
}

}  // namespace plan_test
