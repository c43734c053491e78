// judge_own(): see own.h.
#include <algorithm>
#include <set>

#include "audit/record.h"
#include "check/assemble.h"
#include "check/own.h"
#include "check/problems.h"
#include "dns/decode.h"
#include "policy/plan_words.h"
#include "policy/sts_lint.h"

namespace check {

std::string_view to_string(Level level) {
  switch (level) {
    case Level::pass: return "pass";
    case Level::warn: return "warn";
    case Level::fail: break;
  }
  return "fail";
}

Level OwnReport::worst() const {
  Level worst = Level::pass;
  for (const Finding& one : findings) worst = std::max(worst, one.level);
  return worst;
}

namespace {

constexpr std::size_t lint_most = 50;

std::string key_words(proxy::KeyType key) {
  switch (key) {
    case proxy::KeyType::rsa: return "RSA key";
    case proxy::KeyType::ecdsa: return "ECDSA key";
    case proxy::KeyType::eddsa: break;
  }
  return "EdDSA key";
}

const policy::TlsSession* session_of(const SeenAddress& seen) {
  return seen.evidence ? std::get_if<policy::TlsSession>(&*seen.evidence) : nullptr;
}

class Findings {
 public:
  explicit Findings(const OwnSeen& seen) : seen_(seen), all_(seen.gathered) {}

  OwnReport report() {
    out_.domain = seen_.domain.str();
    out_.time = seen_.time;
    mx();
    sts();
    policy_file();
    if (all_.survey && all_.survey->plan()) {
      for (std::size_t i = 0; i < all_.survey->hosts.size(); ++i) host(i);
      patterns();
    }
    if (takes_mail()) add_tls_rpt(out_, seen_);
    out_.advice = advice_for(seen_);
    return std::move(out_);
  }

 private:
  void add(Level level, std::string area, std::string code, std::string text,
           std::string todo = {}) {
    out_.findings.push_back(
        {level, std::move(area), std::move(code), std::move(text), std::move(todo)});
  }
  void doubt(const std::string& why) {
    if (out_.certain) out_.uncertain_why = why;
    out_.certain = false;
  }

  // What holds a sender's mail back is a failure, and so is what a policy would make of it. forged:
  // the answer was there and bogus, and so it will be the next time.
  void add_problem(const std::string& area, const Problem& problem, bool forged = false) {
    static const std::set<std::string> doubtful = {
        "tlsa-unusable", "tlsa-record", "mx-unsigned", "sts-testing",
        "no-policy",     "mx-no-host",  "null-mx",    "mx-alias"};
    static const std::set<std::string> unanswered = {
        "mx-failed", "address-failed", "sts-lookup", "tlsa-failed", "not-in-time"};
    const Level level = doubtful.contains(problem.code) ? Level::warn : Level::fail;
    if (unanswered.contains(problem.code) && !forged) doubt(problem.text);
    add(level, area, problem.code, problem.text,
        problem.mend.empty() ? own_mend(problem.code) : problem.mend);
  }

  // ---- the domain ---------------------------------------------------------------------------

  bool takes_mail() const {
    if (!all_.facts) return true;
    const policy::MxOutcome& mx = all_.facts->domain.mx;
    return !std::holds_alternative<policy::NullMx>(mx) &&
           !std::holds_alternative<policy::NoSuchDomain>(mx);
  }

  void mx() {
    const Policy none;
    for (const Problem& problem : domain_problems(seen_.domain, all_, none)) {
      // The policy file is told by the linter, the record by itself.
      if (problem.code.starts_with("sts-") && problem.code != "sts-testing" &&
          problem.code != "sts-lookup") {
        continue;
      }
      add_problem(problem.code == "no-policy" || problem.code.starts_with("sts-") ? "mta-sts"
                                                                                   : "mx",
                  problem,
                  problem.code == "sts-lookup" &&
                      is_bogus(all_, dns::Type::TXT, record_name()));
    }
    if (!all_.facts) return;
    const auto* list = std::get_if<policy::MxList>(&all_.facts->domain.mx);
    if (list) {
      add(Level::pass, "mx", "mx",
          policy::words::count(list->hosts.size(), "MX host") + ", the records are " +
              (all_.facts->domain.mx_security == dns::Security::secure
                   ? "signed (secure)"
                   : "not signed (insecure)"));
    } else if (std::holds_alternative<policy::ImplicitMx>(all_.facts->domain.mx)) {
      add(Level::warn, "mx", "implicit-mx", "there is no MX record: the domain itself is the host",
          "publish an MX record, or a null MX where there is no mail");
    }
  }

  // ---- MTA-STS ------------------------------------------------------------------------------

  std::string record_name() const { return "_mta-sts." + seen_.domain.str(); }

  void sts() {
    for (const Asked& asked : all_.asked) {
      if (asked.type != dns::Type::TXT || asked.name != record_name() || !asked.answer) continue;
      if (!*asked.answer) return;  // told as sts-lookup
      const auto decoded = dns::decode_all<std::string>(*asked.answer, dns::decode_txt);
      if (!decoded || decoded->records.empty()) continue;
      auto parsed = policy::parse_sts_txt(decoded->records);
      if (const auto* id = std::get_if<std::string>(&parsed)) {
        has_record_ = true;
        add(Level::pass, "mta-sts", "sts-record", "the record at " + record_name() + " has id " +
                                                      *id);
      } else {
        add(Level::fail, "mta-sts", "sts-record",
            "the TXT record at " + record_name() + ": " +
                std::get<policy::StsNoRecord>(parsed).reason,
            "publish exactly one such as \"v=STSv1; id=20260101;\"");
      }
    }
  }

  void policy_file() {
    if (!seen_.body) return;
    const std::string url =
        "https://mta-sts." + seen_.domain.str() + "/.well-known/mta-sts.txt";
    if (!*seen_.body) {
      const std::string text = "the policy file cannot be had: " + seen_.body->error().reason;
      if (!has_record_) return;  // nobody asks for it
      add(Level::fail, "mta-sts", "policy-fetch", text,
          "let " + url + " answer 200 with the file, under a trusted certificate for that name");
      return;
    }
    if (!has_record_) {
      add(Level::warn, "mta-sts", "policy-without-record",
          "a policy file is there, but no record: no sender asks for it",
          "publish the record at " + record_name() + ", once the file is right");
    }
    policy_certificate();
    const auto found = policy::lint(**seen_.body);
    for (std::size_t i = 0; i < std::min(found.size(), lint_most); ++i) {
      const bool error = found[i].severity == policy::LintSeverity::error;
      const std::string where =
          found[i].line == 0 ? std::string()
                             : "line " + std::to_string(found[i].line) + ", column " +
                                   std::to_string(found[i].column) + ": ";
      add(error ? Level::fail : Level::warn, "mta-sts", error ? "policy-invalid" : "policy-doubt",
          "the policy file, " + where + found[i].text,
          "mend the file, then change the id of " + record_name());
    }
    const auto* active = active_policy();
    if (found.empty() && active) {
      add(Level::pass, "mta-sts", "policy",
          "the policy file is good: mode " + std::string(policy::to_string(active->policy.mode)) +
              ", max_age " + std::to_string(active->policy.max_age.count()));
    }
  }

  // A sender that has the policy keeps it for its max_age; to every other one it is gone with the
  // certificate (RFC 8461 §3.3).
  void policy_certificate() {
    if (!ends_soon(seen_.body_certificate_end)) return;
    add(Level::warn, "mta-sts", "policy-certificate-ends",
        "the https certificate of mta-sts." + seen_.domain.str() + " ends on " +
            audit::rfc3339(*seen_.body_certificate_end).substr(0, 10),
        "renew it: without a certificate that holds, senders can fetch no policy");
  }

  bool ends_soon(const std::optional<base::WallTime>& end) const {
    return end && *end >= seen_.time && *end < seen_.time + seen_.expire_within;
  }

  const policy::StsActive* active_policy() const {
    return all_.facts ? std::get_if<policy::StsActive>(&all_.facts->domain.sts) : nullptr;
  }

  void patterns() {
    const auto* active = active_policy();
    if (!active) return;
    for (const std::string& pattern : active->policy.mx) {
      const bool used = std::ranges::any_of(all_.survey->hosts, [&](const policy::HostPlan& one) {
        return base::matches_pattern(pattern, one.host);
      });
      if (used) continue;
      add(Level::warn, "mta-sts", "pattern-unused",
          "the policy approves \"" + pattern + "\", which no MX record names",
          "leave it if that host is to come or has just gone; else remove it from the file");
    }
  }

  // ---- hosts --------------------------------------------------------------------------------

  void host(std::size_t i) {
    const policy::HostPlan& plan = all_.survey->hosts[i];
    const auto* failed = std::get_if<dane::LookupFailed>(&all_.facts->hosts[i]->dane);
    const bool forged = failed && failed->bogus;
    for (const Problem& problem : host_problems(seen_.domain, all_, i)) {
      if (problem.code == "own-mx") continue;  // as it should be
      const bool dane = problem.code.starts_with("tlsa") || problem.code == "mx-unsigned";
      add_problem(dane                              ? "dane"
                  : problem.code == "not-approved" ? "mta-sts"
                                                    : "mx",
                  problem, problem.code == "tlsa-failed" && forged);
    }
    const auto& sts = plan.unprotected.sts;
    if (sts && sts->name_matched) {
      add(Level::pass, "mta-sts", "approved",
          plan.host.str() + " is approved by the pattern " + sts->pattern);
    }
    for (std::size_t a = 0; a < plan.addresses.size(); ++a) address(i, a);
    unused_records(i);
  }

  void address(std::size_t i, std::size_t a) {
    const policy::HostPlan& plan = all_.survey->hosts[i];
    const policy::Try terms = terms_of(plan);
    const bool any_tls = std::ranges::any_of(seen_.keys, [&](const KeySeen& one) {
      return session_of(one.hosts[i].addresses[a]) != nullptr;
    });
    const Place place{plan.host.str() + " [" + plan.addresses[a].str() + "]", i, a};
    bool good = false;
    for (const KeySeen& one : seen_.keys) {
      const SeenAddress& seen = one.hosts[i].addresses[a];
      const auto* session = session_of(seen);
      if (!session) {
        // No key of that type, where there is one of another: as it may be.
        if (any_tls) continue;
        for (const Problem& problem : address_problems(seen_.domain, plan, terms, seen)) {
          add_no_session(problem, place.words, old_version_of(seen_, i, seen.ip));
        }
        return;  // Without TLS each type of key would tell the same.
      }
      const auto problems = address_problems(seen_.domain, plan, terms, seen);
      for (const Problem& problem : problems) {
        Problem told = problem;
        told.text = key_words(one.key) + ": " + told.text;
        add_problem(problem.code == "tlsa-mismatch" ? "dane" : "tls", told);
      }
      certificate(plan, seen, one.key, *session, problems.empty());
      good = good || problems.empty();
    }
    add_versions_and_keys(out_, seen_, place, good);
  }

  void add_no_session(const Problem& problem, const std::string& place, const std::string& old) {
    if (problem.code != "tls-failed" || old.empty()) return add_problem("tls", problem);
    add(Level::fail, "tls", "tls-old",
        place + ": speaks " + old + " at most, and senders TLS 1.2 and above (RFC 8461 §7.2, "
                "RFC 8996): they get no TLS",
        "let it speak TLS 1.2 and 1.3");
  }

  // good: nothing is wrong with the session, else a pass beside the failure would say the contrary.
  void certificate(const policy::HostPlan& plan, const SeenAddress& seen, proxy::KeyType key,
                   const policy::TlsSession& session, bool good) {
    const std::string place = plan.host.str() + " [" + seen.ip.str() + "], " + key_words(key);
    const std::optional<base::WallTime> unknown;
    const auto& end = seen.certificate ? seen.certificate->not_after : unknown;
    const std::string day = end ? audit::rfc3339(*end).substr(0, 10) : std::string();
    if (ends_soon(end)) {
      add(Level::warn, "tls", "certificate-ends", place + ": the certificate ends on " + day,
          "renew it; where TLSA records name its key, publish those of the new key first");
    }
    if (!good) return;
    std::string text = place + ": " + session.version;
    if (end) text += ", certificate until " + day;
    const bool matches =
        std::ranges::any_of(seen.matches, [](const RecordMatch& one) { return one.matched; });
    if (!seen.matches.empty() && matches) text += ", a TLSA record matches";
    add(Level::pass, "tls", "starttls", text);
  }

  // Of a key to come, or left over.
  void unused_records(std::size_t i) {
    const auto* usable = std::get_if<dane::Usable>(&all_.facts->hosts[i]->dane);
    if (!usable) return;
    for (const dane::Tlsa& record : usable->records) {
      bool compared = false;
      bool matched = false;
      for (const KeySeen& one : seen_.keys) {
        for (const SeenAddress& seen : one.hosts[i].addresses) {
          for (const RecordMatch& match : seen.matches) {
            if (match.record != record) continue;
            compared = true;
            matched = matched || match.matched;
          }
        }
      }
      if (!compared || matched) continue;
      add(Level::warn, "dane", "tlsa-unused",
          "the TLSA record " + shortened(record.str()) + " at " + usable->base.str() +
              " matches no key that is in use",
          "leave it if it is the next key's; else remove it");
    }
  }

  const OwnSeen& seen_;
  const Gathered& all_;
  OwnReport out_;
  bool has_record_ = false;
};

}  // namespace

OwnReport judge_own(const OwnSeen& seen) { return Findings(seen).report(); }

}  // namespace check
