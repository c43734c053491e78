// Problems of one address: what a connection and its handshake showed.
#include <algorithm>

#include "audit/record.h"
#include "check/problems.h"
#include "policy/judge_evidence.h"
#include "policy/plan_words.h"
#include "proxy/walk_failure.h"

namespace check {

namespace {

class Findings {
 public:
  Findings(const base::Domain& domain, const policy::HostPlan& host, const policy::Try& terms,
           const SeenAddress& seen)
      : domain_(domain),
        host_(host),
        terms_(terms),
        seen_(seen),
        place_(proxy::place_of(host.host, seen.ip)),
        pkix_(policy::pkix_of(terms.requirement)) {}

  std::vector<Problem> all() {
    const auto state = seen_.state;
    if (state == SeenAddress::State::private_address) {
      add("private-address", true,
          place_ + " is a private or reserved address, which outbound.private_destinations here "
                   "does not allow",
          "let " + name() + " have a public address");
    }
    connection();
    if (!seen_.evidence) return std::move(all_);
    if (const auto* none = std::get_if<policy::NoStartTls>(&*seen_.evidence)) {
      add("no-starttls", demands_tls(), place_ + ": " + none->reason,
          "let " + name() + " offer STARTTLS on port 25 to everybody");
    }
    if (const auto* failed = std::get_if<policy::HandshakeFailed>(&*seen_.evidence)) {
      add("tls-failed", demands_tls(), place_ + ": the TLS handshake failed: " + failed->reason,
          "let " + name() + " speak TLS 1.2 or 1.3 on port 25");
    }
    if (const auto* session = std::get_if<policy::TlsSession>(&*seen_.evidence)) tls(*session);
    return std::move(all_);
  }

 private:
  const std::string& name() const { return host_.host.str(); }
  bool demands_tls() const { return policy::demands_tls(terms_.requirement); }

  void add(std::string code, bool blocks, std::string text, std::string mend = {}) {
    all_.push_back({std::move(code), blocks, std::move(text), std::move(mend)});
  }

  void connection() {
    if (!seen_.failure) return;
    const bool refused = seen_.failure->kind == proxy::MxFailure::Kind::refused;
    const char* const code = seen_.cut_short                    ? "not-in-time"
                             : refused                          ? "refused"
                             : seen_.evidence                   ? "no-ehlo"
                             : seen_.failure->kind ==
                                       proxy::MxFailure::Kind::unreachable ? "unreachable"
                                                                           : "broken";
    add(code, true, place_ + ": " + seen_.failure->text,
        "let " + name() + " answer at " + seen_.ip.str() + ", port 25, or remove the address");
  }

  void tls(const policy::TlsSession& session) {
    tlsa(session);
    pin(session);
    if (session.cert_sha256.empty()) {
      add("no-certificate", pkix_ != nullptr, place_ + " has no certificate");
      return;
    }
    // Under DANE alone, or with nothing published, the rest of a certificate is nobody's business.
    if (!pkix_ && !terms_.sts) return;
    dates();
    trust();
    names();
  }

  void tlsa(const policy::TlsSession& session) {
    if (!terms_.tlsa || !terms_.tlsa->usable) return;
    const auto wrong = policy::dane_problem(session, terms_.tlsa->records);
    if (!wrong) return;
    add("tlsa-mismatch", policy::dane_of(terms_.requirement) != nullptr,
        place_ + ": no TLSA record matches: " + wrong->reason,
        "publish the TLSA record of the present key of " + name() + ": 3 1 1 " +
            session.spki_sha256 + " (if that key is yours: it is what was shown here); before "
            "the next change of the key publish both, and wait until the old answer's TTL is "
            "over");
  }

  void pin(const policy::TlsSession& session) {
    const auto* pinned = std::get_if<policy::Pinned>(&terms_.requirement);
    if (!pinned || !policy::pin_problem(session, pinned->spki_sha256)) return;
    add("pin-mismatch", true,
        place_ + ": the key is none of those that the rule of this server pins: it is " +
            session.spki_sha256);
  }

  void dates() {
    if (!seen_.certificate || !seen_.certificate->not_after) return;
    const auto& pkix = seen_.pkix;
    if (pkix.chain == policy::ChainState::expired || leaf_expired()) {
      add("certificate-expired", pkix_ != nullptr,
          place_ + ": the certificate has expired; its last moment is " +
              audit::rfc3339(*seen_.certificate->not_after),
          "renew the certificate of " + name());
    } else if (pkix.chain == policy::ChainState::not_yet_valid) {
      add("certificate-not-yet", pkix_ != nullptr,
          place_ + ": the certificate is not valid yet: " + pkix.chain_error,
          "let " + name() + " use a certificate that is valid now");
    }
  }

  // A chain that nobody trusts is not looked at further: then the leaf's own date tells.
  bool leaf_expired() const {
    return seen_.judged_at && *seen_.certificate->not_after < *seen_.judged_at;
  }

  void trust() {
    if (seen_.undated.chain == policy::ChainState::trusted) return;
    add("certificate-untrusted", pkix_ != nullptr,
        place_ + ": the certificate leads to no trusted CA: " + seen_.undated.chain_error,
        "let " + name() + " use a certificate of a public CA, and send its intermediate "
        "certificates");
  }

  void names() {
    if (!policy::certificate_names(seen_.pkix, host_.host)) {
      const std::string what = seen_.pkix.dns_ids.empty()
                                   ? "names no host"
                                   : "is for " + policy::words::list(seen_.pkix.dns_ids);
      add("certificate-name", pkix_ != nullptr,
          place_ + ": the certificate " + what + ", not for " + name(),
          "let the certificate of " + name() + " have that name as a DNS name");
    }
    if (pkix_ && pkix_->vouching && !policy::certificate_names(seen_.pkix, *pkix_->vouching)) {
      add("certificate-domain", true,
          place_ + ": the MX comes from unsigned DNS, and the certificate does not name " +
              pkix_->vouching->str() + " itself, which the rule of this server asks for",
          "sign the zone of " + domain_.str() + ", or let the certificate of " + name() +
              " name " + pkix_->vouching->str() + " too");
    }
  }

  const base::Domain& domain_;
  const policy::HostPlan& host_;
  const policy::Try& terms_;
  const SeenAddress& seen_;
  std::string place_;
  const policy::Pkix* pkix_;
  std::vector<Problem> all_;
};

}  // namespace

std::vector<Problem> address_problems(const base::Domain& domain, const policy::HostPlan& host,
                                      const policy::Try& terms, const SeenAddress& seen) {
  return Findings(domain, host, terms, seen).all();
}

}  // namespace check
