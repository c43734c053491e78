// The configuration as plain values: one struct a section, one member a key, defaults where they
// stand. What each key means is told once, in schema.cpp, from which the loader, `config defaults`
// and the manual are made. load() makes a Config and hands it out as shared_ptr<const Config>: it
// never changes afterwards, and a session keeps the one it was born with. This file neither reads
// nor judges text; load.h does. Used by proxy/ and cli/.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/domain.h"
#include "base/ip.h"
#include "base/log.h"

namespace config {

using Duration = std::chrono::milliseconds;
using Bytes = std::uint64_t;
using Path = std::filesystem::path;  // an empty one: not set

inline constexpr Duration seconds(std::int64_t n) { return std::chrono::seconds(n); }
inline constexpr Duration minutes(std::int64_t n) { return std::chrono::minutes(n); }
inline constexpr Duration days(std::int64_t n) { return std::chrono::days(n); }
inline constexpr Bytes kib(Bytes n) { return n * 1024; }
inline constexpr Bytes mib(Bytes n) { return n * 1024 * 1024; }

// ── values ──────────────────────────────────────────────────────────────────────────────────────

struct Tcp {
  base::Ip address;
  std::uint16_t port = 0;
  bool operator==(const Tcp&) const = default;
};
struct Unix {
  Path path;
  bool operator==(const Unix&) const = default;
};
using Address = std::variant<Tcp, Unix>;

// As an operator writes it: "127.0.0.1:25", "[::1]:25", "unix:/run/x.sock".
std::string text_of(const Address& address);
base::Network network(std::string_view text);  // for defaults; `text` is known to be good

// "example.com": that domain alone. ".example.com" (subdomains): every name below it, not itself.
struct DomainMatch {
  base::Domain domain;
  bool subdomains = false;
  bool matches(const base::Domain& name) const {
    return subdomains ? name.is_below(domain) : name == domain;
  }
  bool operator==(const DomainMatch&) const = default;
};

struct Forwarder {
  base::Ip address;
  std::uint16_t port = 53;
  bool operator==(const Forwarder&) const = default;
};

using Sha256 = std::array<std::uint8_t, 32>;

struct FileMode {
  std::uint32_t bits = 0;  // 0 … 0777
  bool operator==(const FileMode&) const = default;
};

enum class Protocol { Smtp, Lmtp, Transparent };
enum class IpPreference { System, Ipv4, Ipv6, Ipv4Only, Ipv6Only };
enum class TlsVersion { Tls12, Tls13 };
enum class OnError { Deliver, Defer };
enum class InsecureMx { Dane, Opportunistic };
enum class Mode { Enforce, Observe };
enum class Combine { DaneFirst, Both, DaneAlone };
enum class Default { Opportunistic, Encrypted, Verified };
enum class OnDowngrade { Log, Defer };
enum class Require { Encrypted, Verified, Dane };
enum class Allow { Encrypted, Opportunistic };
enum class Dnssec { Validate, Ignore };
enum class LogFormat { Text, Json };
enum class OnLogFailure { Defer, Continue };
enum class OnUnenforceable { Tempfail, Reject, Quarantine, Header };
enum class MilterAction { Tempfail, Reject, Quarantine };

// ── sections ────────────────────────────────────────────────────────────────────────────────────

struct Server {
  std::string hostname;  // lower-case A-labels; load() always sets it
  Path state_dir = "/var/lib/sternpost";
  Path control = "/run/sternpost/control.sock";
  std::uint32_t threads = 0;
  Duration drain = seconds(30);
  bool operator==(const Server&) const = default;
};

struct Listen {
  Protocol protocol = Protocol::Smtp;
  Address address = Tcp{base::Ip::v4({127, 0, 0, 1}), 10025};
  std::vector<base::Network> clients = {network("127.0.0.0/8"), network("::1/128")};
  std::uint32_t max_sessions = 10000;
  std::optional<FileMode> mode;  // of a Unix socket, as `group` is
  std::string group;
  Path tls_certificate;
  Path tls_key;
  Path client_ca;
  std::vector<base::Network> proxy_clients;
  bool operator==(const Listen&) const = default;
};

struct Outbound {
  std::uint16_t port = 25;
  std::optional<base::Ip> source_ipv4;
  std::optional<base::Ip> source_ipv6;
  IpPreference ip_preference = IpPreference::System;
  Duration connect_timeout = seconds(30);
  Duration greeting_timeout = minutes(5);
  Duration ehlo_timeout = minutes(5);
  Duration tls_timeout = minutes(5);
  Duration mail_timeout = minutes(5);
  Duration rcpt_timeout = minutes(5);
  Duration recipient_wait = minutes(4);
  Duration data_wait = seconds(100);
  Duration stall = seconds(150);
  Duration final_wait = seconds(580);
  Duration lmtp_wait = seconds(30);
  Duration host_memory = minutes(5);
  std::uint32_t max_connections_per_mx = 20;
  Duration idle_keepalive = seconds(5);
  std::uint32_t max_transactions_per_connection = 100;
  bool add_received = true;
  std::vector<base::Network> private_destinations;
  Bytes max_message_size = mib(100);
  bool operator==(const Outbound&) const = default;
};

struct Dns {
  Path trust_anchor_file = "/usr/share/dns/root.key";
  std::vector<Forwarder> forwarders;
  Path unbound_config;
  Duration timeout = seconds(12);
  bool operator==(const Dns&) const = default;
};

struct Tls {
  Path ca_file;
  TlsVersion min_version = TlsVersion::Tls12;
  std::string groups;  // these three as OpenSSL takes them; empty: OpenSSL's own choice
  std::string ciphers;
  std::string ciphersuites;
  bool operator==(const Tls&) const = default;
};

struct MtaSts {
  bool enabled = true;
  Duration refresh_interval = days(1);
  Duration fetch_timeout = seconds(60);
  Bytes max_policy_size = kib(64);
  std::uint16_t https_port = 443;
  Duration first_contact_wait = seconds(15);
  OnError on_lookup_error = OnError::Deliver;
  OnError on_fetch_error = OnError::Deliver;
  bool operator==(const MtaSts&) const = default;
};

struct Dane {
  bool enabled = true;
  InsecureMx insecure_mx = InsecureMx::Dane;
  bool operator==(const Dane&) const = default;
};

struct Rule {
  std::vector<DomainMatch> domains;
  Require require = Require::Verified;
  std::vector<std::string> mx;  // "name" or "*.name", lower-case A-labels: base::matches_pattern
  std::vector<Sha256> spki_sha256;
  Path ca_file;
  bool matches(const base::Domain& name) const;
  bool operator==(const Rule&) const = default;
};

struct Exception {
  std::vector<DomainMatch> domains;
  Allow allow = Allow::Opportunistic;
  std::chrono::year_month_day until{};  // the last day, UTC
  std::string owner;
  std::string reason;
  Dnssec dnssec = Dnssec::Validate;
  bool matches(const base::Domain& name) const;
  // Past `until` it is void. Whoever applies an exception asks this at the time of use: the
  // configuration may be older than the day.
  bool in_force(std::chrono::sys_days today) const {
    return until.ok() && today <= std::chrono::sys_days(until);
  }
  bool operator==(const Exception&) const = default;
};

struct Policy {
  Mode mode = Mode::Enforce;
  Combine combine = Combine::DaneFirst;
  Default default_requirement = Default::Opportunistic;  // the key is `default`
  OnDowngrade on_downgrade = OnDowngrade::Log;
  std::vector<Rule> rules;            // [[policy.rule]]; the first match wins
  std::vector<Exception> exceptions;  // [[policy.exception]]; stand above the rules
  bool operator==(const Policy&) const = default;
};

struct TlsRpt {
  bool enabled = true;
  std::string organization_name;
  std::string contact_info;
  std::optional<base::Domain> report_domain;
  Path directory = "/var/lib/sternpost/reports";
  Duration keep = days(400);
  bool send = true;
  Address submit_via = Tcp{base::Ip::v4({127, 0, 0, 1}), 25};
  std::string dkim_selector;
  Path dkim_key;
  Path collector;
  bool operator==(const TlsRpt&) const = default;
};

struct Log {
  base::LogLevel level = base::LogLevel::info;
  LogFormat format = LogFormat::Text;
  Path enforcement = "/var/log/sternpost/enforcement.jsonl";
  Duration rotate = days(1);
  Duration retention = days(400);
  OnLogFailure on_failure = OnLogFailure::Defer;
  bool operator==(const Log&) const = default;
};

struct Store {
  std::string url = "sqlite:/var/lib/sternpost/state.db";
  Path sqlite_file() const;  // empty where `url` is not sqlite:
  bool operator==(const Store&) const = default;
};

struct MilterRule {
  std::string header;
  std::string value;
  Require require = Require::Verified;
  MilterAction action = MilterAction::Reject;
  bool operator==(const MilterRule&) const = default;
};

struct Milter {
  std::string socket;  // as libmilter writes it
  std::vector<DomainMatch> own_domains;
  OnUnenforceable on_unenforceable = OnUnenforceable::Tempfail;
  std::vector<MilterRule> rules;  // [[milter.rule]]
  bool operator==(const Milter&) const = default;
};

struct Socketmap {
  std::optional<Address> listen;
  std::optional<Address> sendmail_listen;
  bool operator==(const Socketmap&) const = default;
};

struct Admin {
  std::optional<Address> listen;
  Path token_file;
  bool operator==(const Admin&) const = default;
};

struct Config {
  Server server;
  std::vector<Listen> listen;
  Outbound outbound;
  Dns dns;
  Tls tls;
  MtaSts mta_sts;
  Dane dane;
  Policy policy;
  TlsRpt tls_rpt;
  Log log;
  Store store;
  Milter milter;
  Socketmap socketmap;
  Admin admin;
  bool operator==(const Config&) const = default;
};

}  // namespace config
