// What Postfix and Sendmail are told, and why each answer is not weaker than the plan of any host.
// Which hosts there are and what the operator wants of the domain: tls_policy_view.cpp.
#include "policy/tls_policy.h"

#include <algorithm>

#include "base/encode.h"
#include "base/overloaded.h"
#include "policy/tls_policy_view.h"

namespace policy {

namespace {

constexpr std::size_t longest_reason = 400;

MapAnswer found(std::string text) { return {MapAnswer::Kind::found, std::move(text)}; }
MapAnswer not_found() { return {}; }

std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, longest_reason)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

// What must wait, or is nobody's to enforce, whatever the MTA: before any level is chosen.
std::optional<MapAnswer> without_host(const MapView& view) {
  if (!view.live.empty()) return std::nullopt;
  const bool enforce = view.settings.mode == Mode::enforce;
  if (view.by_policy && (enforce || view.plan.exception)) return temporary(view.by_policy->reason);
  if (view.unresolved) return temporary(view.unresolved->reason);
  return not_found();  // The MTA finds out by itself, and returns the mail as it should.
}

// The exception covers a TLSA look-up that gets no answer, not one that is bogus (that takes
// dnssec = "ignore"): such a host is ruled out, and no level of an exception keeps an MTA from it.
std::optional<MapAnswer> beyond_exception(const MapView& view) {
  if (!view.plan.exception || !view.tlsa_failed) return std::nullopt;
  return temporary(view.tlsa_failed->reason);
}

MapAnswer cannot_say(const MapView& view, const HostPlan& host, std::string_view mta) {
  const auto* plan = std::get_if<Try>(&host.decision);
  const std::string what = plan ? "needs " + plan->why : "is ruled out by this server's rule";
  return temporary(host.host.str() + ", MX of " + view.plan.domain.str() + ", " + what +
                   ", which a TLS policy of " + std::string(mta) +
                   " cannot say for this domain; deliver to it through the relay");
}

// ── Postfix ─────────────────────────────────────────────────────────────────────────────────────

// Whether `dane` or `dane-only`, which Postfix evaluates host by host, is as much as this.
bool dane_covers(const MapView& view, const Try& host) {
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) { return true; },
          [&](const Encrypted&) { return host.tlsa != nullptr; },
          [](const Dane&) { return true; },
          // A host without TLSA of a domain that has both: what is published alone yields to
          // DANE here, what the operator asks does not.
          [&](const Pkix& pkix) {
            return host.pkix_by_sts && view.floor == Floor::none && !pkix.ca_file;
          },
          [](const DaneAndPkix&) { return false; },
          [](const Pinned&) { return false; },
      },
      host.requirement);
}

MapAnswer by_dane(const MapView& view, std::string level) {
  for (const LiveHost& live : view.live) {
    if (!dane_covers(view, *live.plan)) return cannot_say(view, *live.host, "Postfix");
  }
  // No word keeps Postfix from a host that proves itself by DANE, or under `dane` from any.
  const HostPlan* const used = level == "dane" ? view.unnamed : view.unnamed_tlsa;
  if (used) return cannot_say(view, *used, "Postfix");
  return found(std::move(level));
}

bool pkix_covers(const TlsRequirement& requirement) {
  return std::visit(base::overloaded{
                        [](const Opportunistic&) { return true; },
                        [](const Encrypted&) { return true; },
                        [](const Dane&) { return false; },
                        [](const Pkix&) { return true; },
                        // Behind an insecure MX the policy is what counts (RFC 7672 §2.2.1).
                        [](const DaneAndPkix& both) { return !both.pkix.vouching; },
                        [](const Pinned&) { return false; },
                    },
                    requirement);
}

std::string with_trust(const MapView& view, std::string text) {
  const Rule* const rule = view.plan.rule;
  if (rule && rule->ca_file) text += " tafile=" + *rule->ca_file;
  return text;
}

std::string by_patterns(const MapView& view, const std::vector<std::string>& patterns) {
  return with_trust(view, "secure match=" + match_of(patterns) + " servername=hostname");
}

// Postfix 3.10: the policy as it is reported; 3.10.5 holds the MX names to the patterns too.
std::string reported(const MapView& view, const std::vector<std::string>& patterns) {
  std::string out = by_patterns(view, patterns) +
                    " policy_type=sts policy_domain=" + view.plan.domain.str();
  for (const std::string& pattern : patterns) out += " mx_host_pattern=" + pattern;
  return out;
}

// As many lines of the policy as there is room for.
void append_policy(std::string& text, const MapView& view) {
  std::size_t octets = 0;
  for (const std::string& line : view.enforced->policy.lines) {
    const std::string safe = brace_safe(line);
    if (safe.empty()) continue;
    octets += safe.size();
    const std::string part = " { policy_string = " + safe + " }";
    if (octets > longest_policy || text.size() + part.size() > longest_text) break;
    text += part;
  }
}

MapAnswer by_sts(const MapView& view, bool tlsrpt) {
  for (const LiveHost& live : view.live) {
    if (!pkix_covers(live.plan->requirement)) return cannot_say(view, *live.host, "Postfix");
  }
  std::vector<std::string> patterns = approved_patterns(view, longest_match);
  const auto no_word = [&] { return cannot_say(view, *view.live.front().host, "Postfix"); };
  if (patterns.empty()) return no_word();
  if (!tlsrpt) return found(by_patterns(view, patterns));
  std::string text = reported(view, patterns);
  if (text.size() > longest_text) {
    patterns = approved_hosts(view, longest_match);
    if (patterns.empty()) return no_word();
    text = reported(view, patterns);
  }
  append_policy(text, view);
  return found(std::move(text));
}

// `fingerprint` knows certificate and key by their digests, and asks for nothing else.
MapAnswer by_pins(const MapView& view) {
  if (view.dane_unknown) return temporary(view.dane_unknown->reason);
  for (const LiveHost& live : view.live) {
    const auto* pinned = std::get_if<Pinned>(&live.plan->requirement);
    if (!pinned || pinned->dane || pinned->pkix) return cannot_say(view, *live.host, "Postfix");
  }
  std::string text = "fingerprint match=";
  std::string between;
  for (const std::string& pin : view.plan.rule->spki_sha256) {
    text += between + fingerprint_of(pin);
    between = "|";
  }
  return found(std::move(text));
}

MapAnswer by_pkix(const MapView& view, const Pkix& pkix) {
  if (pkix.vouching) {
    return found(with_trust(view, "secure match=nexthop servername=hostname"));
  }
  if (!view.plan.rule || view.plan.rule->mx.empty()) {
    return found(with_trust(view, "verify match=hostname servername=hostname"));
  }
  const std::vector<std::string> patterns = approved_patterns(view, longest_match);
  if (patterns.empty()) return cannot_say(view, *view.live.front().host, "Postfix");
  return found(by_patterns(view, patterns));
}

// Nothing but the operator's own rule and default: every host's requirement is the same.
MapAnswer by_operator(const MapView& view) {
  const TlsRequirement& first = view.live.front().plan->requirement;
  for (const LiveHost& live : view.live) {
    if (live.plan->requirement.index() != first.index()) {
      return cannot_say(view, *live.host, "Postfix");
    }
  }
  const auto no_word = [&] { return cannot_say(view, *view.live.front().host, "Postfix"); };
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) { return not_found(); },
          [&](const Encrypted&) { return view.unnamed ? no_word() : found("encrypt"); },
          [&](const Dane&) { return no_word(); },
          [&](const Pkix& pkix) { return by_pkix(view, pkix); },
          [&](const DaneAndPkix&) { return no_word(); },
          [&](const Pinned&) { return no_word(); },
      },
      first);
}

MapAnswer for_postfix(const MapView& view, bool tlsrpt) {
  if (const Exception* exception = view.plan.exception) {
    return found(exception->allow == Allow::encrypted ? "encrypt" : "may");
  }
  if (view.settings.mode == Mode::observe) return not_found();
  const Rule* const rule = view.plan.rule;
  if (rule && rule->ca_file && !is_plain_word(*rule->ca_file)) {
    return cannot_say(view, *view.live.front().host, "Postfix");
  }
  const bool pins = rule && !rule->spki_sha256.empty();
  const auto unknown = unknown_policy(view.plan.sts);
  // Beside these an enforce policy would be demanded as well: there is no level before it is known.
  if (unknown && (pins || view.settings.combine == Combine::both)) return temporary(*unknown);
  if (rule && rule->require == Require::dane) return by_dane(view, "dane-only");
  if (pins) return by_pins(view);
  // `secure` would turn Postfix's own DANE off: never where DANE authenticates a host that the plan
  // uses. One that it does not use is kept away better by `secure`.
  if (view.secure && view.usable) return by_dane(view, "dane");
  if (unknown) return temporary(*unknown);
  if (view.tlsa && !view.enforced) return by_dane(view, "dane");
  // An error is never an absence: Postfix would not ask for TLSA under any other level.
  const bool other_level = view.enforced || view.floor != Floor::none;
  if (view.dane_unknown && other_level) return temporary(view.dane_unknown->reason);
  if (view.dane_doubtful && !other_level) return found("dane");
  return view.enforced ? by_sts(view, tlsrpt) : by_operator(view);
}

// ── Sendmail ────────────────────────────────────────────────────────────────────────────────────

// Whether "the certificate is valid and names the host" is as much as this. Sendmail's own DANE,
// where it is built in, stays on beside `secure`.
bool secure_covers(const TlsRequirement& requirement) {
  return std::visit(base::overloaded{
                        [](const Opportunistic&) { return true; },
                        [](const Encrypted&) { return true; },
                        [](const Dane&) { return true; },
                        [](const Pkix& pkix) { return !pkix.ca_file && !pkix.vouching; },
                        [](const DaneAndPkix& both) {
                          return !both.pkix.ca_file && !both.pkix.vouching;
                        },
                        [](const Pinned&) { return false; },
                    },
                    requirement);
}

MapAnswer for_sendmail(const MapView& view) {
  const std::string host_alone = "secure servername=hostname";
  if (const Exception* exception = view.plan.exception) {
    // It has no word for encryption alone: the nearest that is not weaker.
    return exception->allow == Allow::encrypted ? found(host_alone) : not_found();
  }
  if (view.settings.mode == Mode::observe) return not_found();
  if (const auto reason = unknown_policy(view.plan.sts)) return temporary(*reason);
  const Rule* const rule = view.plan.rule;
  if (!view.enforced && view.floor == Floor::none) return not_found();
  for (const LiveHost& live : view.live) {
    const bool dane_only = rule && rule->require == Require::dane;
    if (dane_only || !secure_covers(live.plan->requirement)) {
      return cannot_say(view, *live.host, "Sendmail");
    }
  }
  if (!view.enforced && (!rule || rule->mx.empty())) return found(host_alone);
  const std::vector<std::string> patterns = approved_patterns(view, longest_sendmail_match);
  if (patterns.empty()) return cannot_say(view, *view.live.front().host, "Sendmail");
  return found("secure match=" + match_of(patterns) + " servername=hostname");
}

}  // namespace

MapAnswer temporary(std::string_view reason) {
  return {MapAnswer::Kind::temporary, one_line(reason)};
}
MapAnswer permanent(std::string_view reason) {
  return {MapAnswer::Kind::permanent, one_line(reason)};
}

MapAnswer tls_policy(MapDialect dialect, const Settings& settings, const Survey& survey) {
  if (const Refused* refused = survey.refused()) {
    return refused->reply.is_permanent() ? not_found() : temporary(refused->reason);
  }
  const MapView view = view_of(settings, *survey.plan(), survey.hosts);
  if (auto answer = without_host(view)) return *std::move(answer);
  if (auto answer = beyond_exception(view)) return *std::move(answer);
  if (dialect == MapDialect::sendmail) return for_sendmail(view);
  return for_postfix(view, dialect == MapDialect::postfix_tlsrpt);
}

bool awaits_policy(const Survey& survey) {
  const DomainPlan* const plan = survey.plan();
  return plan && !plan->exception && unknown_policy(plan->sts);
}

std::string payload_of(const MapAnswer& answer) {
  switch (answer.kind) {
    case MapAnswer::Kind::found: return "OK " + answer.text;
    case MapAnswer::Kind::temporary: return "TEMP " + answer.text;
    case MapAnswer::Kind::permanent: return "PERM " + answer.text;
    case MapAnswer::Kind::not_found: break;
  }
  return "NOTFOUND ";
}

}  // namespace policy
