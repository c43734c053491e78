#include "config/consistency.h"

#include <algorithm>

#include "base/ip.h"
#include "config/values.h"
#include "tlsrpt/dkim.h"

namespace config {

namespace {

constexpr std::chrono::days warn_before{14};

std::string element(std::string_view list, std::size_t index) {
  return std::string(list) + "." + std::to_string(index);
}

// `key` is set but `needed` is not.
void needs(Reading& reading, const std::string& at, const std::string& key,
           const std::string& needed) {
  if (!reading.is_set(at + "." + key) || reading.is_set(at + "." + needed)) return;
  reading.error(reading.place(at + "." + key), key + " needs " + needed + " beside it");
}

// Whether a socket bound to `a` keeps another from being bound to `b`.
bool overlap(const Address& a, const Address& b) {
  const auto* one = std::get_if<Tcp>(&a);
  const auto* other = std::get_if<Tcp>(&b);
  if (!one || !other) return a == b;
  if (one->port != other->port || one->address.is_v4() != other->address.is_v4()) return false;
  const auto any = [](const base::Ip& ip) {
    return std::ranges::all_of(ip.octets(), [](std::uint8_t octet) { return octet == 0; });
  };
  return one->address == other->address || any(one->address) || any(other->address);
}

void judge_socket(Reading& reading, const std::string& at, const Listen& listen,
                  const Surroundings& surroundings) {
  if (!reading.is_good(at + ".address")) return;
  if (std::holds_alternative<Unix>(listen.address)) {
    if (!listen.group.empty() && surroundings.has_group && !surroundings.has_group(listen.group)) {
      reading.error(reading.place(at + ".group"), "there is no group " + toml(listen.group));
    }
    if (!listen.proxy_clients.empty()) {
      reading.error(reading.place(at + ".proxy_clients"),
                    "proxy_clients has no meaning on a Unix socket");
    }
    return;
  }
  for (const char* const key : {"mode", "group"}) {
    if (reading.is_set(at + "." + key)) {
      reading.error(reading.place(at + "." + key),
                    std::string(key) + " is for a Unix socket; " + text_of(listen.address) +
                        " is none");
    }
  }
  if (!reading.is_good(at + ".clients")) return;
  if (listen.clients.empty()) {
    reading.warning(reading.place(at + ".clients"), "clients is empty: nobody may relay here");
  }
  for (const base::Network& one : listen.clients) {
    if (one.str() != "0.0.0.0/0" && one.str() != "::/0") continue;
    reading.warning(reading.place(at + ".clients"),
                    "clients has " + one.str() + ": anyone may relay through this listener");
  }
}

// The firewall redirects TCP connections of this machine's programs, which come from its own
// addresses and know of no proxy.
void judge_transparent(Reading& reading, const std::string& at, const Listen& listen) {
  if (!reading.is_good(at + ".address")) return;
  if (std::holds_alternative<Unix>(listen.address)) {
    reading.error(reading.place(at + ".address"),
                  "a transparent listener needs a TCP address: the firewall redirects to no Unix "
                  "socket");
    return;
  }
  if (!listen.proxy_clients.empty()) {
    reading.error(reading.place(at + ".proxy_clients"),
                  "proxy_clients has no meaning for a transparent listener: what is redirected "
                  "has no PROXY header");
  }
  if (!reading.is_set(at + ".clients")) {
    reading.warning(reading.place(at + ".protocol"),
                    "clients is not set, so that loopback alone may relay: what the firewall "
                    "redirects comes from this machine's own addresses");
  }
}

// The addresses of other sections, against [[listen]] and each other.
void judge_other_addresses(Reading& reading) {
  const Config& config = reading.config;
  struct One {
    std::string key;
    std::string owner;
    const std::optional<Address>& address;
  };
  std::vector<std::optional<Address>> relay;
  std::vector<One> taken;
  relay.reserve(config.listen.size());
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    const std::string key = element("listen", i) + ".address";
    if (!reading.is_good(key)) continue;
    relay.emplace_back(config.listen[i].address);
    taken.push_back({key, "a [[listen]]", relay.back()});
  }
  for (const One& one : {One{"socketmap.listen", "socketmap.listen", config.socketmap.listen},
                         One{"socketmap.sendmail_listen", "socketmap.sendmail_listen",
                             config.socketmap.sendmail_listen},
                         One{"admin.listen", "admin.listen", config.admin.listen}}) {
    if (!one.address || !reading.is_good(one.key)) continue;
    for (const One& other : taken) {
      if (!overlap(*one.address, *other.address)) continue;
      const Place first = reading.place(other.key);
      reading.error(reading.place(one.key),
                    text_of(*one.address) + " is taken by " + other.owner + " at " + first.file +
                        ":" + std::to_string(first.line) + ":" + std::to_string(first.column));
      break;
    }
    taken.push_back(one);
  }
}

// The protocol knows no client: whoever reaches the address may ask.
void judge_socketmap(Reading& reading) {
  const Socketmap& socketmap = reading.config.socketmap;
  const auto judge = [&](const std::string& key, const std::optional<Address>& address) {
    if (!address || is_loopback(*address)) return;
    reading.warning(reading.place("socketmap." + key),
                    text_of(*address) + " is not loopback: whoever reaches it may ask, and an " +
                        "answer can be forged on the way");
  };
  judge("listen", socketmap.listen);
  judge("sendmail_listen", socketmap.sendmail_listen);
}

void judge_listeners(Reading& reading, const Surroundings& surroundings) {
  const auto& all = reading.config.listen;
  if (all.empty() && reading.whole && !reading.is_set("listen") &&
      !reading.meant.contains("[[listen]]")) {
    reading.error(reading.main, "no [[listen]]: at least one is needed");
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string at = element("listen", i);
    judge_socket(reading, at, all[i], surroundings);
    needs(reading, at, "tls_key", "tls_certificate");
    needs(reading, at, "tls_certificate", "tls_key");
    needs(reading, at, "client_ca", "tls_certificate");
    if (all[i].protocol == Protocol::Transparent) judge_transparent(reading, at, all[i]);
    for (std::size_t j = 0; j < i; ++j) {
      const std::string other = element("listen", j);
      if (!reading.is_good(at + ".address") || !reading.is_good(other + ".address")) continue;
      if (!overlap(all[i].address, all[j].address)) continue;
      const Place first = reading.place(other + ".address");
      reading.error(reading.place(at + ".address"),
                    text_of(all[i].address) + " is taken by another [[listen]] at " + first.file +
                        ":" + std::to_string(first.line) + ":" + std::to_string(first.column));
      break;
    }
  }
}

void judge_rules(Reading& reading) {
  const auto& rules = reading.config.policy.rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string at = element("policy.rule", i);
    if (!reading.is_set(at + ".require") || !reading.is_good(at + ".require")) continue;
    const std::string require(name_of(rules[i].require));
    if (rules[i].require != Require::Verified) {
      for (const char* const key : {"spki_sha256", "ca_file"}) {
        if (!reading.is_set(at + "." + key)) continue;
        reading.error(reading.place(at + "." + key),
                      std::string(key) + " needs require = \"verified\", not \"" + require + "\"");
      }
    }
    if (rules[i].require == Require::Dane && !reading.config.dane.enabled) {
      reading.error(reading.place(at + ".require"),
                    "the rule demands DANE, which dane.enabled = false turns off");
    }
  }
}

// The host that a libmilter socket listens at, "inet:PORT@HOST"; "" where it is every one; nullopt
// where it is no network socket.
std::optional<std::string_view> milter_host(std::string_view socket) {
  if (!socket.starts_with("inet:") && !socket.starts_with("inet6:")) return std::nullopt;
  const std::size_t at = socket.find('@');
  std::string_view host = at == std::string_view::npos ? "" : socket.substr(at + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

// The protocol knows no client here either, and the MTA's macros can be forged.
void judge_milter_socket(Reading& reading) {
  const std::string& socket = reading.config.milter.socket;
  const auto host = milter_host(socket);
  if (!host || !reading.is_good("milter.socket") || *host == "localhost") return;
  const auto ip = base::Ip::parse(*host);
  if (ip && is_loopback(Tcp{*ip, 0})) return;
  reading.warning(reading.place("milter.socket"),
                  socket + " is not loopback: whoever reaches it may ask, hold its connections, " +
                      "and read what is said of domains");
}

void judge_milter(Reading& reading) {
  judge_milter_socket(reading);
  const auto& rules = reading.config.milter.rules;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string at = element("milter.rule", i);
    if (!reading.is_set("milter.socket")) {
      reading.error(reading.place(at + ".header"), "[[milter.rule]] needs socket in [milter]");
    }
    if (!reading.is_good(at + ".require") || reading.config.dane.enabled) continue;
    if (rules[i].require == Require::Dane) {
      reading.error(reading.place(at + ".require"),
                    "the rule demands DANE, which dane.enabled = false turns off");
    }
  }
}

void judge_exceptions(Reading& reading, std::chrono::sys_days today) {
  const auto& exceptions = reading.config.policy.exceptions;
  for (std::size_t i = 0; i < exceptions.size(); ++i) {
    const std::string at = element("policy.exception", i) + ".until";
    if (!reading.is_set(at) || !reading.is_good(at)) continue;
    const std::chrono::sys_days last(exceptions[i].until);
    std::string who = exceptions[i].domains.empty() ? "" : " for " + toml(exceptions[i].domains[0]);
    if (exceptions[i].domains.size() > 1) who += " and others";
    if (last < today) {
      reading.warning(reading.place(at), "the exception" + who + " ended on " +
                                             toml(exceptions[i].until) + " and is void");
    } else if (last - today <= warn_before) {
      reading.warning(reading.place(at), "the exception" + who + " ends after " +
                                             toml(exceptions[i].until));
    }
  }
}

// The global ways to weaken: nothing wrong, but nobody shall have them without knowing.
void warn_of_weakness(Reading& reading) {
  const Config& config = reading.config;
  if (config.policy.mode == Mode::Observe) {
    reading.warning(reading.place("policy.mode"),
                    "policy.mode is \"observe\": policies are told, not enforced");
  }
  if (config.policy.combine == Combine::DaneAlone) {
    reading.warning(reading.place("policy.combine"),
                    "policy.combine is \"dane-alone\": MTA-STS is not asked where a host has TLSA");
  }
  if (!config.mta_sts.enabled) {
    reading.warning(reading.place("mta_sts.enabled"), "MTA-STS is turned off");
  }
  if (!config.dane.enabled) {
    reading.warning(reading.place("dane.enabled"), "DANE is turned off");
  }
}

// Whether report mail can be signed with that key: the daemon would not start without.
void judge_dkim(Reading& reading, const Surroundings& surroundings) {
  const TlsRpt& reports = reading.config.tls_rpt;
  if (reports.dkim_key.empty() || reports.dkim_selector.empty() || !reports.report_domain) return;
  if (!reading.is_good("tls_rpt.dkim_key") || !surroundings.read_file) return;
  const auto pem = surroundings.read_file(reports.dkim_key);
  if (!pem) return;  // which was told before
  const auto signer =
      tlsrpt::DkimSigner::make(*pem, reports.report_domain->str(), reports.dkim_selector);
  if (signer) return;
  reading.error(reading.place("tls_rpt.dkim_key"),
                "dkim_key and dkim_selector: " + signer.error().text);
}

void judge_tls(Reading& reading, const Surroundings& surroundings) {
  if (!surroundings.tls_fault) return;
  const auto fault = surroundings.tls_fault(reading.config.tls);
  if (fault) reading.error(reading.place("tls." + fault->first), fault->second);
}

// Report mail that this relay takes in has no queue to wait in, and would come back to it.
void judge_submit_via(Reading& reading) {
  const Config& config = reading.config;
  const TlsRpt& reports = config.tls_rpt;
  const bool sends = reports.send && !reports.organization_name.empty() &&
                     !reports.contact_info.empty() && reports.report_domain;
  if (!reports.enabled || !(sends || reading.is_set("tls_rpt.submit_via"))) return;
  if (!reading.is_good("tls_rpt.submit_via")) return;
  const auto is_any = [](const Address& address) {
    const auto* tcp = std::get_if<Tcp>(&address);
    return tcp && (tcp->address.str() == "0.0.0.0" || tcp->address.str() == "::");
  };
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    const Address& own = config.listen[i].address;
    const std::string at = element("listen", i) + ".address";
    if (!reading.is_good(at) || !overlap(own, reports.submit_via)) continue;
    // Whether another of this host's addresses is meant, or another host, nobody here knows.
    if (is_any(own) && !is_loopback(reports.submit_via)) continue;
    const Place listener = reading.place(at);
    reading.error(reading.place("tls_rpt.submit_via"),
                  "submit_via " + text_of(reports.submit_via) + " is the [[listen]] at " +
                      listener.file + ":" + std::to_string(listener.line) +
                      ": report mail needs an MTA with a queue, not this relay");
    return;
  }
}

// Who has begun to name himself means to send: what is missing is told by name.
void judge_identity_whole(Reading& reading) {
  const TlsRpt& reports = reading.config.tls_rpt;
  if (!reports.enabled || !reports.send) return;
  std::string missing;
  int count = 0;
  for (const char* const key : {"organization_name", "contact_info", "report_domain"}) {
    if (reading.is_set(std::string("tls_rpt.") + key)) continue;
    missing += (count++ > 0 ? " and " : "") + std::string(key);
  }
  if (count == 0 || count == 3) return;
  reading.warning(reading.place("tls_rpt"),
                  missing + (count > 1 ? " are" : " is") +
                      " not set: TLS reports are kept and not sent");
}

// RFC 8460 §5.3: the submitter is the domain of contact-info.
void judge_report_identity(Reading& reading, const Surroundings& surroundings) {
  const TlsRpt& reports = reading.config.tls_rpt;
  judge_dkim(reading, surroundings);
  if (!reading.is_set("tls_rpt.contact_info") || !reading.is_good("tls_rpt.contact_info")) return;
  if (!reports.report_domain) return;
  const auto domain =
      base::Domain::parse(reports.contact_info.substr(reports.contact_info.rfind('@') + 1));
  if (domain && *domain == *reports.report_domain) return;
  reading.error(reading.place("tls_rpt.contact_info"),
                "contact_info must be an address in report_domain, " +
                    reports.report_domain->str());
}

void judge_rest(Reading& reading, const Surroundings& surroundings) {
  const Config& config = reading.config;
  judge_report_identity(reading, surroundings);
  judge_identity_whole(reading);
  judge_submit_via(reading);
  judge_admin(reading, surroundings);
  needs(reading, "tls_rpt", "dkim_selector", "dkim_key");
  needs(reading, "tls_rpt", "dkim_key", "dkim_selector");
  if (reading.is_good("log.rotate") && reading.is_good("log.retention") &&
      config.log.retention < config.log.rotate) {
    const bool set = reading.is_set("log.retention");
    reading.error(reading.place(set ? "log.retention" : "log.rotate"),
                  "log.retention is shorter than log.rotate");
  }
}

}  // namespace

void judge_consistency(Reading& reading, const Surroundings& surroundings) {
  judge_listeners(reading, surroundings);
  judge_other_addresses(reading);
  judge_socketmap(reading);
  judge_rules(reading);
  judge_milter(reading);
  judge_exceptions(reading, surroundings.today);
  judge_tls(reading, surroundings);
  judge_rest(reading, surroundings);
  warn_of_weakness(reading);
}

}  // namespace config
