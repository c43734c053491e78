// The verdict. Three questions: what is wrong with the evidence (judge_evidence.h), does that fall
// short of what the plan demands (shortfall), and what does each published policy make of it
// (results). Demand and report ask the same functions, so they cannot disagree.
#include "policy/judge.h"

#include <algorithm>

#include "base/overloaded.h"
#include "policy/judge_evidence.h"
#include "policy/plan_words.h"

namespace policy {

struct Judge {
  static Authorized authorize(PeerAuth auth, Protection protection) { return {auth, protection}; }
};

std::string_view to_string(PeerAuth auth) {
  switch (auth) {
    case PeerAuth::dane_ee: return "dane-ee";
    case PeerAuth::dane_ta: return "dane-ta";
    case PeerAuth::pkix: return "pkix";
    case PeerAuth::pin: return "pin";
    case PeerAuth::none: break;
  }
  return "none";
}

std::string_view to_string(Protection protection) {
  switch (protection) {
    case Protection::authenticated: return "authenticated";
    case Protection::encrypted: return "encrypted";
    case Protection::cleartext: break;
  }
  return "cleartext";
}

namespace {

using tlsrpt::FailureDetail;
using tlsrpt::ResultType;

// Whose mail goes to whom; no names for an address literal.
struct Peer {
  const base::Domain* domain = nullptr;
  const base::Domain* host = nullptr;
  std::string domain_text;
  std::string host_text;
};

// ---- does it meet the demand --------------------------------------------------------------------

struct Shortfall {
  PolicyKind by = PolicyKind::none;
  FailureDetail detail;
  std::string demand;  // "the MTA-STS policy of … demands a trusted certificate"
};

std::string operator_words(const Peer& peer) {
  return "this server's own requirement for " + peer.domain_text;
}

Shortfall dane_shortfall(const Try& plan, const Peer& peer, FailureDetail detail) {
  const std::string base = plan.tlsa ? plan.tlsa->policy.domain : peer.host_text;
  return {PolicyKind::tlsa, std::move(detail),
          words::tlsa(base) + " do not match the certificate"};
}

Shortfall pkix_shortfall(const Try& plan, const Peer& peer, FailureDetail detail) {
  const bool by_sts = plan.pkix_by_sts && plan.sts;
  const std::string whose = by_sts ? words::sts(peer.domain_text, plan.sts->id, plan.sts->mode)
                                   : operator_words(peer);
  return {by_sts ? PolicyKind::sts : PolicyKind::operator_rule, std::move(detail),
          whose + " is not met by the certificate"};
}

using Lack = std::optional<Shortfall>;

Lack lacks_dane(const Try& plan, const Peer& peer, const Dane& dane, const TlsSession& session) {
  if (auto wrong = dane_problem(session, dane.records)) {
    return dane_shortfall(plan, peer, *std::move(wrong));
  }
  return std::nullopt;
}

Lack lacks_pkix(const Try& plan, const Peer& peer, const Pkix& pkix, const TlsSession& session) {
  auto wrong = pkix_problem(session.pkix, pkix.name);
  if (!wrong && pkix.vouching && !certificate_names(session.pkix, *pkix.vouching)) {
    wrong = FailureDetail{ResultType::certificate_host_mismatch,
                          "the MX comes from unsigned DNS, and its certificate does not name " +
                              pkix.vouching->str() + " itself"};
  }
  if (!wrong) return std::nullopt;
  return pkix_shortfall(plan, peer, *std::move(wrong));
}

Lack shortfall(const Try& plan, const Peer& peer, const TlsSession& session) {
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) -> Lack { return std::nullopt; },
          [](const Encrypted&) -> Lack { return std::nullopt; },
          [&](const Dane& dane) { return lacks_dane(plan, peer, dane, session); },
          [&](const Pkix& pkix) { return lacks_pkix(plan, peer, pkix, session); },
          [&](const DaneAndPkix& both) {
            // RFC 8461 §2: DANE first; PKIX never rescues it.
            if (auto lack = lacks_dane(plan, peer, both.dane, session)) return lack;
            return lacks_pkix(plan, peer, both.pkix, session);
          },
          [&](const Pinned& pinned) -> Lack {
            if (pinned.dane) {
              if (auto lack = lacks_dane(plan, peer, *pinned.dane, session)) return lack;
            }
            if (pinned.pkix) {
              if (auto lack = lacks_pkix(plan, peer, *pinned.pkix, session)) return lack;
            }
            auto wrong = pin_problem(session, pinned.spki_sha256);
            if (!wrong) return std::nullopt;
            return Shortfall{PolicyKind::operator_rule, *std::move(wrong),
                             operator_words(peer) + " pins another public key"};
          },
      },
      plan.requirement);
}

// Who forbids cleartext, and its words.
Shortfall no_tls(const Try& plan, const Peer& peer, FailureDetail detail) {
  if (plan.pkix_by_sts && plan.sts) {
    return {PolicyKind::sts, std::move(detail),
            words::sts(peer.domain_text, plan.sts->id, plan.sts->mode) + " demands TLS"};
  }
  if (plan.tlsa && (dane_of(plan.requirement) || plan.kind == PolicyKind::tlsa)) {
    return {PolicyKind::tlsa, std::move(detail),
            words::tlsa(plan.tlsa->policy.domain) + " demand TLS"};
  }
  return {PolicyKind::operator_rule, std::move(detail), operator_words(peer) + " is TLS"};
}

// ---- what each published policy makes of it -----------------------------------------------------

// `wrong`: what keeps every policy from being met (no TLS at all); nullopt: judge each by itself.
tlsrpt::SessionResult tlsa_result(const AppliedTlsa& tlsa, const Problem& no_session,
                                  const TlsSession* session) {
  tlsrpt::SessionResult result{tlsa.policy, true, {}};
  if (!tlsa.usable) {  // RPT-4.3-c
    std::string reason(words::all_unusable);
    if (!tlsa.unusable_reason.empty()) reason += ": " + tlsa.unusable_reason;
    result.failures.push_back({ResultType::tlsa_invalid, std::move(reason)});
  }
  if (no_session) result.failures.push_back(*no_session);
  if (session && tlsa.usable) {
    if (auto wrong = dane_problem(*session, tlsa.records)) {
      result.failures.push_back(*std::move(wrong));
    }
  }
  result.success = result.failures.empty();
  return result;
}

tlsrpt::SessionResult sts_result(const AppliedSts& sts, const Peer& peer, const Problem& no_session,
                                 const TlsSession* session) {
  tlsrpt::SessionResult result{sts.policy, true, {}};
  if (!sts.name_matched) {
    result.failures.push_back(
        {ResultType::validation_failure, std::string(words::mx_mismatch)});
  }
  if (no_session) result.failures.push_back(*no_session);
  if (session && peer.host) {
    if (auto wrong = pkix_problem(session->pkix, *peer.host)) {
      result.failures.push_back(*std::move(wrong));
    }
  }
  result.success = result.failures.empty();
  // RFC 8461 §6: reportable, though the cached policy was applied; it says nothing of the session.
  if (sts.refresh_failure) {
    result.failures.push_back({sts.refresh_failure->type, sts.refresh_failure->reason});
  }
  return result;
}

tlsrpt::SessionResult none_result(const AppliedNone& none, const Problem& no_session,
                                  const Lack& lack) {
  tlsrpt::SessionResult result{none.policy, true, {}};
  if (none.fetch_failure) {
    result.failures.push_back({none.fetch_failure->type, none.fetch_failure->reason});
  }
  if (no_session) {
    result.failures.push_back(*no_session);
  } else if (lack && !none.fetch_failure) {
    result.failures.push_back(lack->detail);
  }
  result.success = result.failures.empty();
  return result;
}

std::vector<tlsrpt::SessionResult> results_of(const Try& plan, const Peer& peer,
                                              const Problem& no_session, const TlsSession* session,
                                              const Lack& lack) {
  std::vector<tlsrpt::SessionResult> results;
  if (plan.tlsa) results.push_back(tlsa_result(*plan.tlsa, no_session, session));
  if (plan.sts) results.push_back(sts_result(*plan.sts, peer, no_session, session));
  if (plan.none) results.push_back(none_result(*plan.none, no_session, lack));
  return results;
}

// ---- the three kinds of evidence ----------------------------------------------------------------

bool gave_requirement(PolicyKind kind, tlsrpt::PolicyType type, bool fetch_failed) {
  switch (kind) {
    case PolicyKind::tlsa: return type == tlsrpt::PolicyType::tlsa;
    case PolicyKind::sts: return type == tlsrpt::PolicyType::sts && !fetch_failed;
    case PolicyKind::operator_rule: return true;
    case PolicyKind::none: break;
  }
  return type == tlsrpt::PolicyType::no_policy_found || fetch_failed;
}

// The line's policy_type and its result speak of the same policy; `results` has them all.
void note_first_failure(Verdict& verdict, const Try& plan) {
  const bool fetch_failed = plan.none && plan.none->fetch_failure;
  for (const tlsrpt::SessionResult& result : verdict.results) {
    if (result.success || result.failures.empty()) continue;
    if (!gave_requirement(plan.kind, result.policy.type, fetch_failed)) continue;
    verdict.result = result.failures.front().type;
    verdict.reason = result.failures.front().reason;
    return;
  }
}

void note(Verdict& verdict, const FailureDetail& detail) {
  verdict.result = detail.type;
  verdict.reason = detail.reason;
}

std::string sentence(const Shortfall& lack, const Peer& peer) {
  return lack.demand + ", MX " + peer.host_text + " of " + peer.domain_text + ": " +
         lack.detail.reason;
}

Verdict deny(const Shortfall& lack, const Peer& peer, bool starttls_missing) {
  const std::string text = sentence(lack, peer);
  Denied denied;
  denied.reply = starttls_missing ? words::no_starttls(text) : words::not_verified(text);
  denied.by = lack.by;
  Verdict verdict{std::move(denied), {}, {}, {}, {}, {}};
  note(verdict, lack.detail);
  return verdict;
}

Verdict judge_no_starttls(const Try& plan, const Peer& peer, const NoStartTls& evidence,
                          bool cleartext_retry) {
  const FailureDetail detail{ResultType::starttls_not_supported, evidence.reason};
  if (demands_tls(plan.requirement)) {
    Verdict verdict = deny(no_tls(plan, peer, detail), peer, true);
    if (!cleartext_retry) verdict.results = results_of(plan, peer, detail, nullptr, std::nullopt);
    return verdict;
  }
  Verdict verdict{Judge::authorize(PeerAuth::none, Protection::cleartext), {}, {}, {}, {}, {}};
  if (cleartext_retry) return verdict;
  verdict.results = results_of(plan, peer, detail, nullptr, std::nullopt);
  note(verdict, detail);
  return verdict;
}

Verdict judge_failed_handshake(const Try& plan, const Peer& peer, const HandshakeFailed& evidence) {
  const FailureDetail detail{ResultType::validation_failure, evidence.reason};  // RPT-4.3-f
  Verdict verdict{RetryInCleartext{}, {}, {}, {}, {}, {}};
  if (demands_tls(plan.requirement)) verdict = deny(no_tls(plan, peer, detail), peer, false);
  verdict.results = results_of(plan, peer, detail, nullptr, std::nullopt);
  note(verdict, detail);
  return verdict;
}

Authorized authorize(const Try& plan, const Peer& peer, const TlsSession& session) {
  const bool tlsa = plan.tlsa && plan.tlsa->usable;
  const bool dane = tlsa && !dane_problem(session, plan.tlsa->records);
  const bool pkix = (dane || !tlsa) && peer.host && !pkix_problem(session.pkix, *peer.host);
  const auto* pinned = std::get_if<Pinned>(&plan.requirement);
  const bool pin = pinned && !pin_problem(session, pinned->spki_sha256);

  PeerAuth auth = PeerAuth::none;
  if (dane) {
    auth = session.dane->matched->usage == 2 ? PeerAuth::dane_ta : PeerAuth::dane_ee;
  } else if (pin) {
    auth = PeerAuth::pin;
  } else if (pkix) {
    auth = PeerAuth::pkix;
  }
  const bool by_certificate =
      pkix && peer.domain && certificate_names(session.pkix, *peer.domain);
  const bool vouched = plan.mx_vouched || pin || by_certificate;
  const bool verified = auth != PeerAuth::none && vouched;
  return Judge::authorize(auth, verified ? Protection::authenticated : Protection::encrypted);
}

Verdict judge_tls(const Try& plan, const Peer& peer, const TlsSession& session) {
  const Lack lack = shortfall(plan, peer, session);
  auto results = results_of(plan, peer, std::nullopt, &session, lack);
  if (lack) {
    Verdict verdict = deny(*lack, peer, false);
    verdict.results = std::move(results);
    return verdict;
  }
  Verdict verdict{authorize(plan, peer, session), std::move(results), {}, {}, {}, {}};
  note_first_failure(verdict, plan);
  return verdict;
}

// ---- against the host's own past ----------------------------------------------------------------

// The proof of the peer, whatever the plan demands.
FailureDetail why_unauthenticated(const Try& plan, const Peer& peer, const TlsSession& session) {
  if (plan.tlsa && plan.tlsa->usable) {
    if (auto wrong = dane_problem(session, plan.tlsa->records)) return *std::move(wrong);
  }
  if (auto wrong = pkix_problem(session.pkix, *peer.host)) return *std::move(wrong);
  return {ResultType::validation_failure, "the peer is not authenticated"};
}

Shown shown_by(const Try& plan, const Peer& peer, const Evidence& evidence) {
  Shown shown;
  std::visit(base::overloaded{
                 [&](const NoStartTls& e) {
                   shown.offered = e.offered;
                   shown.lacking = {ResultType::starttls_not_supported, e.reason};
                 },
                 [&](const HandshakeFailed& e) {
                   shown.offered = true;
                   shown.lacking = {ResultType::validation_failure, e.reason};
                 },
                 [&](const TlsSession& e) {
                   shown.tls = shown.offered = true;
                   shown.spki_sha256 = e.spki_sha256;
                   const PeerAuth auth = authorize(plan, peer, e).peer_auth();
                   if (auth != PeerAuth::none) {
                     shown.peer_auth = to_string(auth);
                   } else {
                     shown.lacking = why_unauthenticated(plan, peer, e);
                   }
                 },
             },
             evidence);
  return shown;
}

// Where nobody looked at the proof, nothing is known of it: unusable TLSA records, which demand TLS
// with anybody.
bool proof_unknown(const Try& plan, const Evidence& evidence) {
  const auto* session = std::get_if<TlsSession>(&evidence);
  return session && session->pkix.chain == ChainState::unknown && !(plan.tlsa && plan.tlsa->usable);
}

void hold_against(Verdict& verdict, const Try& plan, const Peer& peer, const Evidence& evidence,
                  const Past& past) {
  const Shown shown = shown_by(plan, peer, evidence);
  verdict.history = learn(past, shown);
  if (plan.on_downgrade == OnDowngrade::pass) return;
  verdict.downgrade = downgrade_of(past, shown);
  const bool by_proof =
      verdict.downgrade && verdict.downgrade->lost == Downgrade::Lost::authentication;
  if (by_proof && proof_unknown(plan, evidence)) verdict.downgrade.reset();
  if (!verdict.downgrade || plan.on_downgrade != OnDowngrade::defer) return;
  if (std::holds_alternative<Denied>(verdict.outcome)) return;  // a policy's own words come first
  const std::string text = "this server's policy.on_downgrade defers mail, because MX " +
                           peer.host_text + " of " + peer.domain_text + " " +
                           verdict.downgrade->reason;
  Denied denied;
  const bool not_offered = verdict.downgrade->result == ResultType::starttls_not_supported;
  denied.reply = not_offered ? words::no_starttls(text) : words::not_verified(text);
  denied.by = PolicyKind::operator_rule;
  verdict.outcome = std::move(denied);
  verdict.result = verdict.downgrade->result;
  verdict.reason = verdict.downgrade->reason;
}

Verdict judge_peer(const Try& plan, const Peer& peer, const Evidence& evidence,
                   bool cleartext_retry) {
  return std::visit(
      base::overloaded{
          [&](const NoStartTls& e) { return judge_no_starttls(plan, peer, e, cleartext_retry); },
          [&](const HandshakeFailed& e) { return judge_failed_handshake(plan, peer, e); },
          [&](const TlsSession& e) { return judge_tls(plan, peer, e); },
      },
      evidence);
}

}  // namespace

Verdict judge(const Try& plan, const base::Domain& domain, const base::Domain& host,
              const Evidence& evidence, bool cleartext_retry, const Past* past) {
  const Peer peer{&domain, &host, domain.str(), host.str()};
  Verdict verdict = judge_peer(plan, peer, evidence, cleartext_retry);
  if (past) hold_against(verdict, plan, peer, evidence, *past);
  return verdict;
}

Verdict judge(const Try& plan, const base::Domain& domain, const base::Ip& dialled,
              const Evidence& evidence, bool cleartext_retry) {
  const Peer peer{&domain, nullptr, domain.str(), dialled.str()};
  return judge_peer(plan, peer, evidence, cleartext_retry);
}

Verdict judge(const Try& plan, const base::Ip& literal, const Evidence& evidence,
              bool cleartext_retry) {
  const Peer peer{nullptr, nullptr, literal.literal(), literal.str()};
  return judge_peer(plan, peer, evidence, cleartext_retry);
}

}  // namespace policy
