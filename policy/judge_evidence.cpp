#include "policy/judge_evidence.h"

#include <algorithm>

#include "policy/plan_words.h"

namespace policy {
namespace {

using tlsrpt::FailureDetail;
using tlsrpt::ResultType;

Problem problem(ResultType type, std::string reason) {
  return FailureDetail{type, std::move(reason)};
}

std::string or_else(const std::string& text, std::string_view otherwise) {
  return text.empty() ? std::string(otherwise) : text;
}

Problem chain_problem(const PkixEvidence& pkix) {
  switch (pkix.chain) {
    case ChainState::trusted: return std::nullopt;
    case ChainState::expired:
      return problem(ResultType::certificate_expired,
                     or_else(pkix.chain_error, "certificate has expired"));
    case ChainState::not_yet_valid:
      return problem(ResultType::certificate_not_trusted,
                     or_else(pkix.chain_error, "certificate is not yet valid"));
    case ChainState::untrusted:
      return problem(ResultType::certificate_not_trusted,
                     or_else(pkix.chain_error, "no chain to a trusted CA"));
    case ChainState::unknown: break;
  }
  return problem(ResultType::validation_failure,
                 or_else(pkix.chain_error, "no certificate to validate"));
}

}  // namespace

bool certificate_names(const PkixEvidence& pkix, const base::Domain& name) {
  return std::ranges::any_of(pkix.dns_ids, [&name](const std::string& id) {
    return base::matches_pattern(id, name);
  });
}

Problem pkix_problem(const PkixEvidence& pkix, const base::Domain& name) {
  if (auto chain = chain_problem(pkix)) return chain;
  if (certificate_names(pkix, name)) return std::nullopt;
  const std::string what = pkix.dns_ids.empty()
                               ? "certificate names no host"
                               : "certificate is for " + words::list(pkix.dns_ids);
  return problem(ResultType::certificate_host_mismatch, what + ", not for " + name.str());
}

Problem dane_problem(const TlsSession& session, const std::vector<dane::Tlsa>& records) {
  if (!session.dane) return problem(ResultType::validation_failure, "TLSA was not evaluated");
  const DaneEvidence& dane = *session.dane;
  if (dane.matched && std::ranges::find(records, *dane.matched) != records.end()) {
    return std::nullopt;
  }
  // Names, dates and chains are looked at for usage 2 alone (RFC 7672 §3.1.1, §3.1.2).
  const bool anchors =
      std::ranges::any_of(records, [](const dane::Tlsa& r) { return r.usage == 2; });
  std::string why(words::dane_no_match);
  if (!dane.error.empty()) why += ": " + dane.error;
  if (anchors && dane.name_mismatch) return problem(ResultType::certificate_host_mismatch, why);
  if (anchors && dane.expired) return problem(ResultType::certificate_expired, why);
  if (anchors && dane.untrusted) return problem(ResultType::certificate_not_trusted, why);
  return problem(ResultType::validation_failure, why);
}

Problem pin_problem(const TlsSession& session, const std::vector<std::string>& pins) {
  const bool found = !session.spki_sha256.empty() &&
                     std::ranges::find(pins, session.spki_sha256) != pins.end();
  if (found) return std::nullopt;
  return problem(ResultType::validation_failure, std::string(words::pin_mismatch));
}

}  // namespace policy
