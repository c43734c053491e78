#include "config/schema_builder.h"

namespace config::schema_parts {

namespace {

// "name" or "*.name", as the patterns of an MTA-STS policy (RFC 8461 §4.1).
Complaint host_pattern(std::string& text) {
  const bool wildcard = text.starts_with("*.");
  const auto domain = base::Domain::parse(std::string_view(text).substr(wildcard ? 2 : 0));
  if (!domain) {
    return "must be a host name or \"*.\" and a domain, not " + toml(text) + ": " +
           domain.error().text;
  }
  text = (wildcard ? "*." : "") + domain->str();
  return std::nullopt;
}

Section mta_sts() {
  return Builder<MtaSts>("mta_sts", "MTA-STS (RFC 8461).",
                         [](Config& c) -> MtaSts& { return c.mta_sts; })
      .add("enabled", &MtaSts::enabled, "Whether policies are looked for.")
      .add("refresh_interval", &MtaSts::refresh_interval,
           "How old a cached policy may be before it is fetched again in the background.",
           {.refine = positive()})
      .add("fetch_timeout", &MtaSts::fetch_timeout, "One fetch over HTTPS.",
           {.refine = positive()})
      .add("max_policy_size", &MtaSts::max_policy_size, "A longer policy is refused.",
           {.refine = between(Bytes{1}, mib(16))})
      .add("https_port", &MtaSts::https_port, "Port of the policy hosts.")
      .add("first_contact_wait", &MtaSts::first_contact_wait,
           "TXT and HTTPS together, where nothing is cached. A cached policy never waits: the TXT "
           "is asked beside it, and a new id counts when it is known.",
           {.refine = positive()})
      .add("on_lookup_error", &MtaSts::on_lookup_error,
           "The TXT look-up fails and nothing is cached.")
      .add("on_fetch_error", &MtaSts::on_fetch_error,
           "A good TXT is there, the policy is not, and nothing is cached.")
      .done();
}

Section dane() {
  return Builder<Dane>("dane", "DANE (RFC 7672).", [](Config& c) -> Dane& { return c.dane; })
      .add("enabled", &Dane::enabled, "Whether TLSA records are looked for.")
      .add("insecure_mx", &Dane::insecure_mx, "A host with TLSA behind an unsigned MX.")
      .done();
}

Section policy() {
  return Builder<Policy>("policy", "What is demanded of an MX.",
                         [](Config& c) -> Policy& { return c.policy; })
      .add("mode", &Policy::mode,
           "observe: where enforce would defer for a policy, the hosts are tried again as if "
           "nothing were published, and the log tells what enforce would have done.")
      .add("combine", &Policy::combine,
           "Where a host has usable TLSA and the domain an enforce policy. dane-first: DANE "
           "authenticates, the policy still says which hosts are approved. both: the host must "
           "pass DANE and PKIX. dane-alone: the policy is not asked about that host.")
      .add("default", &Policy::default_requirement, "What a domain that publishes nothing gets.")
      .add("on_downgrade", &Policy::on_downgrade,
           "A host that offered TLS, or was authenticated, before does not now: told, or not used.")
      .done();
}

Section rule() {
  return Builder<Rule>("policy.rule",
                       "The operator's own requirements; the first match wins; they can only make "
                       "stricter. verified: the peer is authenticated (DANE, PKIX for the MX name, "
                       "or a pin) and the host is vouched for by a secure MX, an MTA-STS policy, "
                       "`mx` of the rule, a pin, or a certificate that names the domain itself.",
                       [](Config& c) -> Rule& { return c.policy.rules.back(); })
      .list([](Config& c) { c.policy.rules.emplace_back(); })
      .add("domains", &Rule::domains,
           "Recipient domains; a leading dot: all subdomains, not the domain itself.",
           {.example = "[\"partner.example\", \".bank.example\"]", .required = true})
      .add("require", &Rule::require, "What mail to them needs.",
           {.example = "\"verified\"", .required = true})
      .add("mx", &Rule::mx, "Approved hosts.",
           {.example = "[\"mx.partner.example\", \"*.partner.example\"]", .refine = host_pattern})
      .add("spki_sha256", &Rule::spki_sha256,
           "Pins: SHA-256 of the public keys that are accepted, in base64.",
           {.example = "[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]"})
      .add("ca_file", &Rule::ca_file, "CAs (PEM) that count for these domains, and no others.",
           {.example = "\"/etc/sternpost/partner-ca.pem\"", .file = FileUse::Certificates})
      .done();
}

Section exception() {
  return Builder<Exception>("policy.exception",
                            "The only way to make one domain weaker. Exceptions stand above rules; "
                            "every use is logged.",
                            [](Config& c) -> Exception& { return c.policy.exceptions.back(); })
      .list([](Config& c) { c.policy.exceptions.emplace_back(); })
      .add("domains", &Exception::domains,
           "Recipient domains; a leading dot: all subdomains, not the domain itself.",
           {.example = "[\"broken.example\"]", .required = true})
      .add("allow", &Exception::allow,
           "encrypted: TLS to any MX, unauthenticated. opportunistic: as if nothing were "
           "published.",
           {.example = "\"opportunistic\"", .required = true})
      .add("until", &Exception::until,
           "The last day, UTC. Past it the exception is void, with a warning from 14 days before.",
           {.example = "2026-12-31", .required = true})
      .add("owner", &Exception::owner, "Who answers for it.",
           {.example = "\"postmaster@example.com\"", .required = true})
      .add("reason", &Exception::reason, "Why it is there.",
           {.example = "\"their certificate expired, ticket 4711\"", .required = true})
      .add("dnssec", &Exception::dnssec,
           "ignore: besides, bogus answers for the domain and its MX hosts count as insecure.")
      .done();
}

}  // namespace

std::vector<Section> policy_sections() {
  return {mta_sts(), dane(), policy(), rule(), exception()};
}

}  // namespace config::schema_parts
