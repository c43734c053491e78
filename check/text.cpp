#include "check/text.h"

#include <algorithm>

#include "audit/record.h"
#include "base/terminal.h"
#include "check/problems.h"

namespace check {

namespace {

constexpr std::size_t label_width = 13;
constexpr std::size_t record_width = 40;  // of a TLSA record

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string joined(const std::vector<std::string>& texts, std::size_t more = 0) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return more > 0 ? all + " and " + std::to_string(more) + " more" : all;
}

// To the second: nobody reads milliseconds.
std::string moment(const std::optional<base::WallTime>& time) {
  return time ? audit::rfc3339(*time).substr(0, 19) + "Z" : "unreadable";
}

std::string span(std::chrono::seconds time) {
  const auto n = time.count();
  if (n >= 2 * 86400) return std::to_string(n / 86400) + " days";
  if (n >= 2 * 3600) return std::to_string(n / 3600) + " hours";
  if (n >= 120) return std::to_string(n / 60) + " minutes";
  return std::to_string(n) + " s";
}

// What proved the host; where nothing demands a proof, that it did all the same.
std::string proof(const std::string& protection, const std::string& peer_auth) {
  if (peer_auth.empty() || peer_auth == "none") return "";
  return protection == "authenticated" ? " by " + peer_auth
                                       : " (" + peer_auth + " would hold, were it demanded)";
}

class Writer {
 public:
  Writer(const Report& report, bool colour) : report_(report), colour_(colour) {}

  std::string text() {
    head();
    dns();
    differences();
    policy();
    for (const Mx& mx : report_.mx) host(mx);
    outcome();
    mends();
    return std::move(out_);
  }

 private:
  // The one way out: what comes from strangers must not reach a terminal as it is.
  void line(const std::string& text = {}) { out_ += base::without_controls(text) + "\n"; }
  void title(const std::string& text) {
    line();
    if (colour_) out_ += "\033[1m";
    out_ += base::without_controls(text);
    if (colour_) out_ += "\033[0m";
    out_ += "\n";
  }
  void item(const std::string& label, const std::string& text) {
    line("  " + padded(label, label_width) + "  " + text);
  }
  void under(const std::string& text) { item("", text); }

  void problems(const std::vector<Problem>& all) {
    for (const Problem& problem : all) {
      if (colour_) out_ += problem.blocks ? "\033[31m" : "\033[33m";
      out_ += base::without_controls(std::string(problem.blocks ? "  ! " : "  - ") +
                                       problem.text);
      if (colour_) out_ += "\033[0m";
      out_ += "\n";
    }
  }

  void head() {
    line("Mail for " + report_.domain + (report_.time_given ? " at " : " now, ") +
         moment(report_.time));
    if (report_.time_given) line("Certificates and caches are judged as of then; DNS is of now.");
    if (report_.mode == "observe") line("Mode observe: what a policy forbids goes all the same.");
    if (!report_.exception.empty()) line("An exception is in force " + report_.exception);
  }

  void dns() {
    title("DNS, in the order of asking");
    std::size_t width = 0;
    for (const Answer& one : report_.answers) width = std::max(width, one.name.size());
    width = std::min<std::size_t>(width, 50);
    for (const Answer& one : report_.answers) {
      const std::string ttl = one.ttl ? "TTL " + std::to_string(one.ttl->count()) : "";
      std::string records = joined(one.records, one.more);
      if (one.existence == "nodata") records = "no such record";
      if (one.existence == "nxdomain") records = "no such name";
      if (!one.error.empty()) records = one.error;
      if (!one.canonical_name.empty()) records = "(" + one.canonical_name + ") " + records;
      line("  " + padded(one.type, 5) + " " + padded(one.name, width) + "  " +
           padded(one.state, 8) + "  " + padded(ttl, 9) + "  " + records);
    }
    problems(report_.problems);
  }

  void differences() {
    if (report_.resolvers.size() < 2) return;
    title("Resolvers, compared");
    for (const Resolver& resolver : report_.resolvers) {
      item(resolver.name, resolver.validation + "; " + joined(resolver.plan));
    }
    if (report_.differences.empty()) line("  All gave the same answers.");
    for (const Difference& one : report_.differences) {
      line("  " + one.type + " " + one.name + " differs:");
      for (std::size_t i = 0; i < one.answers.size(); ++i) {
        item("  " + report_.resolvers[i].name, one.answers[i]);
      }
    }
  }

  void policy() {
    const Policy& policy = report_.policy;
    title("MTA-STS");
    item("record", !policy.record_error.empty()  ? policy.record_error
                   : !policy.record_id.empty()   ? "id " + policy.record_id
                   : policy.state == "unknown"   ? "not known"
                   : policy.state == "disabled"  ? "not asked for"
                                                 : "none");
    if (policy.state != "active") {
      item("policy", policy.state + ": " + policy.reason);
    } else {
      item("policy", "mode " + policy.mode + ", id " + policy.id);
      under("mx: " + joined(policy.mx));
      // Of no cache: it was fetched now, whatever the time that was asked for.
      const bool as_if = report_.time_given && policy.source == "fetched";
      under((as_if ? "fetched now, and taken as if at that time"
                   : policy.source + " " + moment(policy.fetched) + ", " + span(policy.age) +
                         " ago") +
            "; expires " + moment(policy.expires) + " (max_age " +
            std::to_string(policy.max_age.count()) + ")");
    }
    if (!policy.daemon.empty()) item("cache", policy.daemon);
  }

  void host(const Mx& mx) {
    title("MX " + std::to_string(mx.preference) + " " + mx.name +
          (report_.mx_state == "implicit" ? " (no MX record: the domain itself)" : ""));
    if (!report_.mx_security.empty()) item("MX record", report_.mx_security);
    if (mx.approved == "yes") item("approved", "yes, by the pattern " + mx.pattern);
    if (mx.approved == "no") item("approved", "no pattern names it");
    item("requirement", mx.why);
    const bool more = !mx.dane_reason.empty();
    item("DANE", mx.dane + (more ? ": " + mx.dane_reason : ""));
    for (const TlsaRecord& record : mx.tlsa) {
      under(shortened(record.text, record_width) + "  " +
            (!record.unusable.empty() ? "unusable: " + record.unusable
             : record.consulted       ? record.use
                                      : record.use + "; not consulted, there is a stronger one"));
    }
    problems(mx.problems);
    for (const Address& one : mx.addresses) address(mx, one);
  }

  void address(const Mx& mx, const Address& one) {
    std::string words = one.result;
    if (one.result == "usable" && !one.peer_auth.empty()) {
      words += ": " + one.protection + proof(one.protection, one.peer_auth);
    }
    if (mx.excluded && one.result == "refused") words = "no mail goes there";
    if (one.result == "not-tried") words = "not connected to";
    item(one.ip.str(), words + (one.helo.empty() ? "" : " (greets as " + one.helo + ")"));
    if (one.tls) tls(*one.tls);
    problems(one.problems);
  }

  void tls(const Tls& tls) {
    under(tls.version + ", " + tls.cipher + (tls.group.empty() ? "" : ", " + tls.group) +
          (tls.sni.empty() ? "" : ", SNI " + tls.sni));
    if (tls.certificate) {
      under("certificate for " +
            (tls.names.empty() ? "no DNS name" : joined(tls.names, tls.more_names)) + ", " +
            tls.certificate->key);
      under("  issued by " + tls.certificate->issuer + (tls.trusted ? " (trusted)" : "") +
            ", until " + moment(tls.certificate->not_after));
    }
    for (const TlsaMatch& match : tls.tlsa) {
      under(shortened(match.text, record_width) + "  " +
            (match.matched ? "matches" : "no: " + match.reason));
    }
  }

  void outcome() {
    const Outcome& outcome = report_.outcome;
    title("Outcome");
    std::string words(to_string(outcome.verdict));
    if (outcome.verdict == Verdict::delivered) {
      words += " to " + outcome.mx + " [" + (outcome.ip ? outcome.ip->str() : "") + "], " +
               outcome.protection + proof(outcome.protection, outcome.peer_auth);
      if (outcome.observed) words += "; under mode enforce it would be deferred";
    }
    if (outcome.verdict == Verdict::open) {
      words += ": " + outcome.mx + " would be tried; without a handshake nobody knows more";
    }
    if (outcome.reply) words += ": " + outcome.reply->str();
    line("  " + words);
    if (outcome.rechecked) {
      line("  Hosts failed for the cached policy: it was asked for again, and has changed.");
    }
    if (!outcome.certain) {
      line("  Not certain, another try may tell more: " + outcome.uncertain_why);
    }
  }

  void mends() {
    if (report_.mends.empty()) return;
    title("What the recipient's postmaster should mend");
    for (const std::string& mend : report_.mends) line("  * " + mend);
  }

  const Report& report_;
  bool colour_;
  std::string out_;
};

}  // namespace

std::string to_text(const Report& report, bool colour) { return Writer(report, colour).text(); }

}  // namespace check
