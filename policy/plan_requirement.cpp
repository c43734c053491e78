// The requirement as a value: its names, its fingerprint, its parts; and which rule or exception
// of the operator holds for a domain.
#include <algorithm>

#include "base/encode.h"
#include "base/overloaded.h"
#include "policy/plan.h"

namespace policy {

bool DomainPattern::matches(const base::Domain& name) const {
  return subdomains ? name.is_below(domain) : name == domain;
}

Operator operator_for(const Settings& settings, const base::Domain& domain,
                      std::chrono::sys_days today) {
  const auto covers = [&domain](const auto& entry) {
    return std::ranges::any_of(entry.domains, [&domain](const DomainPattern& pattern) {
      return pattern.matches(domain);
    });
  };
  for (const Exception& exception : settings.exceptions) {
    if (today <= exception.until && covers(exception)) return {nullptr, &exception};
  }
  for (const Rule& rule : settings.rules) {
    if (covers(rule)) return {&rule, nullptr};
  }
  return {};
}

std::string_view to_string(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::tlsa: return "tlsa";
    case PolicyKind::sts: return "sts";
    case PolicyKind::operator_rule: return "operator";
    case PolicyKind::none: break;
  }
  return "no-policy-found";
}

std::string_view to_string(const TlsRequirement& requirement) {
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) -> std::string_view { return "opportunistic"; },
          [](const Encrypted&) -> std::string_view { return "encrypted"; },
          [](const Dane&) -> std::string_view { return "dane"; },
          [](const Pkix&) -> std::string_view { return "verified"; },
          [](const DaneAndPkix&) -> std::string_view { return "dane"; },
          [](const Pinned& p) -> std::string_view { return p.dane ? "dane" : "verified"; },
      },
      requirement);
}

const Dane* dane_of(const TlsRequirement& requirement) {
  using Found = const Dane*;
  return std::visit(base::overloaded{
                        [](const Opportunistic&) -> Found { return nullptr; },
                        [](const Encrypted&) -> Found { return nullptr; },
                        [](const Dane& dane) -> Found { return &dane; },
                        [](const Pkix&) -> Found { return nullptr; },
                        [](const DaneAndPkix& both) -> Found { return &both.dane; },
                        [](const Pinned& p) -> Found { return p.dane ? &*p.dane : nullptr; },
                    },
                    requirement);
}

const Pkix* pkix_of(const TlsRequirement& requirement) {
  using Found = const Pkix*;
  return std::visit(base::overloaded{
                        [](const Opportunistic&) -> Found { return nullptr; },
                        [](const Encrypted&) -> Found { return nullptr; },
                        [](const Dane&) -> Found { return nullptr; },
                        [](const Pkix& pkix) -> Found { return &pkix; },
                        [](const DaneAndPkix& both) -> Found { return &both.pkix; },
                        [](const Pinned& p) -> Found { return p.pkix ? &*p.pkix : nullptr; },
                    },
                    requirement);
}

bool demands_tls(const TlsRequirement& requirement) {
  return !std::holds_alternative<Opportunistic>(requirement);
}

namespace {

// Netstring-like, so that no name can be written to look like the end of its field.
void put(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
  out += ',';
}

void put_sorted(std::string& out, std::vector<std::string> fields) {
  std::ranges::sort(fields);
  out += '[';
  for (const std::string& field : fields) put(out, field);
  out += ']';
}

void put(std::string& out, const Dane& dane) {
  std::vector<std::string> records;
  for (const dane::Tlsa& r : dane.records) {
    records.push_back(std::to_string(r.usage) + " " + std::to_string(r.selector) + " " +
                      std::to_string(r.matching_type) + " " + base::to_hex(r.data));
  }
  // RFC 7672 §3.1.1: DANE-EE(3) looks at no name, and the domains that one MX host serves differ in
  // nothing else.
  const bool by_name = std::ranges::any_of(
      dane.records, [](const dane::Tlsa& record) { return record.usage != 3; });
  std::vector<std::string> names;
  if (by_name) {
    for (const base::Domain& name : dane.reference_ids) names.push_back(name.str());
  }
  out += "dane";
  put_sorted(out, std::move(records));
  put_sorted(out, std::move(names));
}

void put(std::string& out, const Pkix& pkix) {
  out += "pkix[";
  put(out, pkix.name.view());
  put(out, pkix.ca_file ? "ca " + *pkix.ca_file : std::string());
  put(out, pkix.vouching ? pkix.vouching->view() : std::string_view());
  out += ']';
}

}  // namespace

std::string fingerprint(const TlsRequirement& requirement) {
  std::string out;
  std::visit(base::overloaded{
                 [&out](const Opportunistic&) { out = "opportunistic"; },
                 [&out](const Encrypted&) { out = "encrypted"; },
                 [&out](const Dane& dane) { put(out, dane); },
                 [&out](const Pkix& pkix) { put(out, pkix); },
                 [&out](const DaneAndPkix& both) {
                   put(out, both.dane);
                   put(out, both.pkix);
                 },
                 [&out](const Pinned& pinned) {
                   out = "pinned";
                   put_sorted(out, pinned.spki_sha256);
                   if (pinned.dane) put(out, *pinned.dane);
                   if (pinned.pkix) put(out, *pinned.pkix);
                 },
             },
             requirement);
  return out;
}

}  // namespace policy
