#include "policy/tls_policy_view.h"

#include <algorithm>

#include "base/encode.h"

namespace policy {

namespace {

constexpr std::size_t longest_line = 512;

Floor floor_of(const Settings& settings, const Rule* rule) {
  if ((rule && rule->require != Require::encrypted) || settings.fallback == Default::verified) {
    return Floor::verified;
  }
  return rule || settings.fallback == Default::encrypted ? Floor::encrypted : Floor::none;
}

bool is_dead(const Excluded& excluded) { return !excluded.by_policy; }

// Whatever else rules it out: another policy's reason does not put it on the rule's list.
bool is_unnamed(const Rule* rule, const base::Domain& host) {
  return rule && !rule->mx.empty() &&
         std::ranges::none_of(rule->mx, [&host](const std::string& pattern) {
           return base::matches_pattern(pattern, host);
         });
}

void sort_excluded(MapView& view, const HostPlan& host, const Excluded& excluded) {
  if (excluded.no_address) return;
  if (is_unnamed(view.plan.rule, host.host)) {
    if (!view.unnamed) view.unnamed = &host;
    if (!view.unnamed_tlsa && host.unprotected.tlsa) view.unnamed_tlsa = &host;
  }
  if (is_dead(excluded)) {
    if (!view.unresolved) view.unresolved = &excluded;
    const bool dane_counts =
        view.settings.dane_enabled &&
        (view.secure || view.settings.insecure_mx == InsecureMx::dane);
    view.dane_doubtful |= dane_counts;
    if (dane_counts && view.secure && !view.dane_unknown) view.dane_unknown = &excluded;
    return;
  }
  if (!view.by_policy) view.by_policy = &excluded;
  if (excluded.kind == PolicyKind::tlsa) {
    view.dane_doubtful = true;
    if (!view.dane_unknown) view.dane_unknown = &excluded;
    if (!view.tlsa_failed) view.tlsa_failed = &excluded;
  }
}

// A name that no parser takes for a strategy ("hostname", "nexthop") or anything but a name.
bool is_safe_pattern(std::string_view pattern) {
  if (pattern.starts_with("*.")) pattern.remove_prefix(2);
  if (pattern.empty() || pattern.find('.') == std::string_view::npos) return false;
  return std::ranges::all_of(pattern, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
  });
}

std::size_t octets_of(const std::vector<std::string>& patterns) {
  std::size_t octets = 0;
  for (const std::string& pattern : patterns) octets += pattern.size() + 1;
  return octets;
}

std::vector<std::string> names_of(const std::vector<LiveHost>& live) {
  std::vector<std::string> names;
  for (const LiveHost& one : live) names.push_back(one.host->host.str());
  return names;
}

std::vector<std::string> safe_of(std::vector<std::string> patterns, std::size_t longest) {
  std::erase_if(patterns, [](const std::string& one) { return !is_safe_pattern(one); });
  while (octets_of(patterns) > longest) patterns.pop_back();
  return patterns;
}

}  // namespace

MapView view_of(const Settings& settings, const DomainPlan& plan,
                const std::vector<HostPlan>& hosts) {
  MapView view{settings, plan};
  view.secure = plan.mx_security == dns::Security::secure;
  view.floor = floor_of(settings, plan.rule);
  const auto* active = std::get_if<StsActive>(&plan.sts);
  if (active && active->policy.mode == StsMode::enforce) view.enforced = active;
  for (const HostPlan& host : hosts) {
    if (const auto* excluded = std::get_if<Excluded>(&host.decision)) {
      sort_excluded(view, host, *excluded);
      continue;
    }
    const auto* tried = std::get_if<Try>(&host.decision);
    view.live.push_back({&host, tried});
    if (tried->tlsa) {
      view.tlsa = true;
      view.usable |= tried->tlsa->usable;
    }
  }
  return view;
}

std::optional<std::string> unknown_policy(const StsState& sts) {
  if (const auto* unknown = std::get_if<StsUnknown>(&sts); unknown && unknown->pending) {
    return unknown->reason;
  }
  const auto* missing = std::get_if<StsUnavailable>(&sts);
  if (!missing || !missing->pending) return std::nullopt;
  return "MTA-STS: " + missing->failure.reason;
}

std::vector<std::string> approved_patterns(const MapView& view, std::size_t longest) {
  const bool by_rule = view.plan.rule && !view.plan.rule->mx.empty();
  if (view.enforced && by_rule) return approved_hosts(view, longest);
  const auto& patterns = by_rule ? view.plan.rule->mx : view.enforced->policy.mx;
  if (octets_of(patterns) > longest) return approved_hosts(view, longest);
  return safe_of(patterns, longest);
}

std::vector<std::string> approved_hosts(const MapView& view, std::size_t longest) {
  return safe_of(names_of(view.live), longest);
}

std::string match_of(const std::vector<std::string>& patterns) {
  std::string out;
  for (const std::string& pattern : patterns) {
    if (!out.empty()) out += ':';
    out += pattern.starts_with("*.") ? std::string_view(pattern).substr(1) : pattern;
  }
  return out;
}

std::string fingerprint_of(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    if (i > 0 && i % 2 == 0) out += ':';
    const char c = hex[i];
    out += c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return out;
}

std::string brace_safe(std::string_view line) {
  std::string out;
  for (const char c : base::trim(line.substr(0, longest_line))) {
    const bool plain = c >= 0x20 && c < 0x7f;
    out += c == '{' ? '(' : c == '}' ? ')' : c == '\t' ? ' ' : plain ? c : '?';
  }
  return out;
}

bool is_plain_word(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-+@").find(c) != std::string_view::npos;
  });
}

}  // namespace policy
