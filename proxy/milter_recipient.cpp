#include "proxy/milter_recipient.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/ip.h"

namespace proxy {

namespace {

using Outcome = base::Result<base::Domain, NotAsked>;
using Kind = NotAsked::Kind;

auto not_asked(Kind kind, std::string text) { return base::fail(NotAsked{kind, std::move(text)}); }

Outcome parsed(std::string_view text) {
  auto domain = base::Domain::parse(text);
  if (!domain) return not_asked(Kind::relay, domain.error().text);
  return *std::move(domain);
}

// Mailers that send nothing by SMTP: those of Postfix's and Sendmail's own files.
constexpr std::array<std::string_view, 20> not_smtp{
    "local",   "virtual", "lmtp",    "error",   "retry",       "discard", "prog",
    "procmail", "cyrus",  "cyrusv2", "dovecot", "maildrop",    "mailman", "uucp",
    "ifmail",  "bsmtp",   "*file*",  "*include*", "scalemail-backend", "usenet"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}
bool starts_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && same(text.substr(0, prefix.size()), prefix);
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return port;
}

// A next hop as MTAs write it: host, host:port, [host], [host]:port, inet:host:port, unix:path.
struct NextHop {
  std::string_view host;
  std::optional<std::uint16_t> port;
  bool bracketed = false;  // no MX look-up: this very host
  bool lmtp = false;       // Postfix's syntax for lmtp(8)
  bool path = false;
};

NextHop parse_hop(std::string_view text) {
  NextHop hop;
  if (starts_with(text, "unix:") || text.starts_with('/')) {
    hop.path = hop.lmtp = true;
    hop.host = starts_with(text, "unix:") ? text.substr(5) : text;
    return hop;
  }
  if (starts_with(text, "inet:")) {
    hop.lmtp = true;
    text.remove_prefix(5);
  }
  if (text.starts_with('[')) {
    hop.bracketed = true;
    const std::size_t end = std::min(text.find(']'), text.size());
    hop.host = text.substr(1, end - 1);
    if (starts_with(hop.host, "IPv6:")) hop.host.remove_prefix(5);
    if (end + 2 < text.size() && text[end + 1] == ':') hop.port = port_of(text.substr(end + 2));
    return hop;
  }
  // Sendmail tries several, one after the other: a.example:b.example.
  const std::size_t colon = text.find(':');
  hop.host = text.substr(0, colon);
  if (colon != std::string_view::npos) hop.port = port_of(text.substr(colon + 1));
  return hop;
}

bool unspecified(const base::Ip& ip) {
  return std::ranges::all_of(ip.octets(), [](std::uint8_t octet) { return octet == 0; });
}

// Whether the next hop is a listener of this relay. Without a port (Sendmail has it in the mailer's
// definition) the address alone decides.
bool is_own(const NextHop& hop, const config::Config& config) {
  const bool localhost = same(hop.host, "localhost");
  const auto ip = base::Ip::parse(hop.host);
  return std::ranges::any_of(config.listen, [&](const config::Listen& listen) {
    if (const auto* file = std::get_if<config::Unix>(&listen.address)) {
      if (!hop.path) return false;
      const std::string own = file->path.string();
      // Postfix may write the path from its queue directory.
      return own == hop.host || (!hop.host.starts_with('/') && hop.host.size() > 1 &&
                                 own.ends_with("/" + std::string(hop.host)));
    }
    const auto* tcp = std::get_if<config::Tcp>(&listen.address);
    if (!tcp || hop.path || (!ip && !localhost)) return false;
    if (hop.port && *hop.port != tcp->port) return false;
    if (localhost) return true;
    return *ip == tcp->address || (hop.port && unspecified(tcp->address));
  });
}

Outcome domain_of_address(std::string_view address) {
  if (address.starts_with('<')) address.remove_prefix(1);
  if (address.ends_with('>')) address.remove_suffix(1);
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos) return not_asked(Kind::inside, "it has no domain");
  const std::string_view domain = address.substr(at + 1);
  if (domain.starts_with('[')) {
    return not_asked(Kind::literal, "it is at an address literal, without a policy");
  }
  return parsed(domain);
}

Outcome address_domain(const RecipientMacros& macros, std::string_view argument) {
  if (macros.address) {
    if (auto domain = domain_of_address(*macros.address)) return domain;
  }
  return domain_of_address(argument);
}

bool is_own_domain(const base::Domain& domain, const config::Config& config) {
  return std::ranges::any_of(config.milter.own_domains, [&](const config::DomainMatch& own) {
    return own.matches(domain);
  });
}

Outcome by_next_hop(const RecipientMacros& macros, std::string_view argument,
                    const config::Config& config) {
  const std::string_view mailer = macros.mailer ? std::string_view(*macros.mailer) : "";
  const std::string_view host = macros.host ? std::string_view(*macros.host) : "";
  if (host.empty()) {
    if (std::ranges::any_of(not_smtp, [&](std::string_view one) { return same(one, mailer); })) {
      return not_asked(Kind::inside, "it goes to the mailer " + std::string(mailer));
    }
    return address_domain(macros, argument);
  }
  const NextHop hop = parse_hop(host);
  if (is_own(hop, config)) return address_domain(macros, argument);
  if (std::ranges::any_of(not_smtp, [&](std::string_view one) { return same(one, mailer); })) {
    return not_asked(Kind::inside, "it goes to the mailer " + std::string(mailer));
  }
  if (hop.lmtp) return not_asked(Kind::inside, "it goes over LMTP to " + std::string(host));
  if (hop.bracketed || base::Ip::parse(hop.host)) {
    return not_asked(Kind::relay,
                     "it goes to the relay " + std::string(host) + ", which no policy is about");
  }
  return parsed(hop.host);
}

}  // namespace

Outcome policy_domain_of(const RecipientMacros& macros, std::string_view argument,
                         const config::Config& config) {
  const Outcome recipient = address_domain(macros, argument);
  if (recipient && is_own_domain(*recipient, config)) {
    return not_asked(Kind::inside, "its domain is our own");
  }
  Outcome domain = by_next_hop(macros, argument, config);
  if (domain && is_own_domain(*domain, config)) {
    return not_asked(Kind::inside, "its next hop is our own");
  }
  // The MTA gives the address in brackets as the next hop, too: no relay of the operator's.
  const bool literal = !recipient && recipient.error().kind == Kind::literal;
  if (literal && !domain && domain.error().kind == Kind::relay) return recipient;
  return domain;
}

}  // namespace proxy
