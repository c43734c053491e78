#include "config/schema_builder.h"

namespace config::schema_parts {

namespace {

// RFC 5321 §2.3.5: what goes into EHLO and Received is a host name, not merely a domain.
Complaint host_name(std::string& text) {
  const auto domain = base::Domain::parse(text);
  if (!domain) return "must be a host name, not " + toml(text) + ": " + domain.error().text;
  if (!domain->is_ldh()) return "must be a host name of letters, digits and hyphens";
  text = domain->str();
  return std::nullopt;
}

std::function<Complaint(base::Ip&)> family(bool v4) {
  return [v4](base::Ip& ip) -> Complaint {
    if (ip.is_v4() == v4) return std::nullopt;
    return v4 ? "must be an IPv4 address" : "must be an IPv6 address";
  };
}

Section server() {
  return Builder<Server>("server", "The program itself.",
                         [](Config& c) -> Server& { return c.server; })
      .add("hostname", &Server::hostname,
           "The name in EHLO and in the Received field. Default: the host's own full name.",
           {.example = "\"edge.example.com\"", .refine = host_name})
      .add("state_dir", &Server::state_dir, "Directory for what must survive a restart.")
      .add("control", &Server::control, "Socket on which the running daemon takes commands.")
      .add("threads", &Server::threads, "Threads that carry sessions; 0: one a core.",
           {.refine = between(0U, 1024U)})
      .add("drain", &Server::drain,
           "After SIGTERM, how long transactions before their final dot may go on. Those after it "
           "are waited for up to outbound.final_wait.",
           {.refine = zero_or_more()})
      .done();
}

Section listen() {
  return Builder<Listen>("listen",
                         "Where MTAs hand messages in; one or more. A socket that systemd passes "
                         "for the same address is used.",
                         [](Config& c) -> Listen& { return c.listen.back(); })
      .list([](Config& c) { c.listen.emplace_back(); })
      .add("protocol", &Listen::protocol,
           "smtp: one recipient domain a transaction. lmtp: any number of domains, a reply for "
           "each recipient. transparent: connections that the firewall redirected here, whose MTA "
           "knows nothing of the relay; needs a TCP address.")
      .add("address", &Listen::address, "\"host:port\", \"[v6]:port\" or \"unix:/path\".")
      .add("clients", &Listen::clients, "Networks that may relay; nobody else, ever.")
      .add("max_sessions", &Listen::max_sessions,
           "Sessions at once; over it the relay stops accepting until one ends.",
           {.refine = between(1U, 1000000U)})
      .add("mode", &Listen::mode, "Permissions of a Unix socket.", {.example = "\"0660\""})
      .add("group", &Listen::group, "Group of a Unix socket.", {.example = "\"postfix\""})
      .add("tls_certificate", &Listen::tls_certificate,
           "Certificate chain (PEM): offers STARTTLS to the MTA.",
           {.example = "\"/etc/sternpost/edge.pem\"", .file = FileUse::Certificates})
      .add("tls_key", &Listen::tls_key, "Its private key (PEM).",
           {.example = "\"/etc/sternpost/edge.key\"", .file = FileUse::PrivateKey})
      .add("client_ca", &Listen::client_ca,
           "CA certificates (PEM): demands a client certificate that one of them issued.",
           {.example = "\"/etc/sternpost/clients.pem\"", .file = FileUse::Certificates})
      .add("proxy_clients", &Listen::proxy_clients,
           "Networks that must send a PROXY v1 or v2 header; `clients` is then applied to the "
           "address in it. LOCAL and UNKNOWN relay nothing.")
      .done();
}

Builder<Outbound>& budgets(Builder<Outbound>& section) {
  return section
      .add("connect_timeout", &Outbound::connect_timeout, "TCP connection to one address.",
           {.refine = positive()})
      .add("greeting_timeout", &Outbound::greeting_timeout,
           "The MX's greeting (RFC 5321 4.5.3.2, as the four after it).", {.refine = positive()})
      .add("ehlo_timeout", &Outbound::ehlo_timeout, "EHLO to its reply.", {.refine = positive()})
      .add("tls_timeout", &Outbound::tls_timeout, "STARTTLS and the handshake.",
           {.refine = positive()})
      .add("mail_timeout", &Outbound::mail_timeout, "MAIL to its reply.", {.refine = positive()})
      .add("rcpt_timeout", &Outbound::rcpt_timeout, "RCPT to its reply.", {.refine = positive()})
      .add("recipient_wait", &Outbound::recipient_wait,
           "Budgets, to be kept under the MTA's own time limits; whichever ends first counts. "
           "This one: from the client's RCPT to its reply, look-ups, hosts and addresses together.",
           {.refine = positive()})
      .add("data_wait", &Outbound::data_wait, "DATA to 354.", {.refine = positive()})
      .add("stall", &Outbound::stall, "One write of the body.", {.refine = positive()})
      .add("final_wait", &Outbound::final_wait,
           "The final dot to the MX's reply. Giving up early makes duplicates.",
           {.refine = positive()})
      .add("lmtp_wait", &Outbound::lmtp_wait,
           "Once one domain of an LMTP transaction is ready, what the others have left.",
           {.refine = positive()});
}

Section outbound() {
  Builder<Outbound> section("outbound", "Connections to MX hosts.",
                            [](Config& c) -> Outbound& { return c.outbound; });
  section.add("port", &Outbound::port, "Port of every MX.")
      .add("source_ipv4", &Outbound::source_ipv4, "Own address for connections over IPv4.",
           {.example = "\"192.0.2.25\"", .refine = family(true)})
      .add("source_ipv6", &Outbound::source_ipv6, "Own address for connections over IPv6.",
           {.example = "\"2001:db8::25\"", .refine = family(false)})
      .add("ip_preference", &Outbound::ip_preference,
           "Which family is tried first, or alone; system: as the host's own resolver sorts.");
  return budgets(section)
      .add("host_memory", &Outbound::host_memory,
           "How long an address that did not answer, or a host whose TLS failed, is tried after "
           "the others; with nothing else left the reply comes at once.",
           {.refine = zero_or_more()})
      .add("max_connections_per_mx", &Outbound::max_connections_per_mx,
           "Connections at once to one address of an MX, of all threads; mail beyond them waits in "
           "line, and gets 451 4.4.5 when its time is over.",
           {.refine = between(1U, 100000U)})
      .add("idle_keepalive", &Outbound::idle_keepalive,
           "How long a finished MX connection waits for reuse; \"0s\": never reused.",
           {.refine = zero_or_more()})
      .add("max_transactions_per_connection", &Outbound::max_transactions_per_connection,
           "Messages over one MX connection before it is closed.",
           {.refine = between(1U, 1000000U)})
      .add("add_received", &Outbound::add_received, "Adds a Received field on top.")
      .add("private_destinations", &Outbound::private_destinations,
           "Loopback, private, link-local, CGNAT, ULA, NAT64 and multicast addresses that an MX or "
           "a policy host may have, as networks; any other is refused.")
      .add("max_message_size", &Outbound::max_message_size,
           "Offered as SIZE; a larger message is refused.",
           {.refine = between(Bytes{1}, Bytes{1} << 40)})
      .done();
}

Section dns() {
  return Builder<Dns>("dns", "The validating resolver inside the program.",
                      [](Config& c) -> Dns& { return c.dns; })
      .add("trust_anchor_file", &Dns::trust_anchor_file, "DNSSEC trust anchor of the root.",
           {.file = FileUse::TrustAnchor})
      .add("forwarders", &Dns::forwarders,
           "Resolvers to ask, with @port where it is not 53; loopback works. Default: resolves "
           "from the root itself.",
           {.example = "[\"192.0.2.53\", \"192.0.2.54@5353\"]"})
      .add("unbound_config", &Dns::unbound_config, "Handed to libunbound as it is.",
           {.example = "\"/etc/sternpost/unbound.conf\"", .file = FileUse::Readable})
      .add("timeout", &Dns::timeout, "One look-up.", {.refine = positive()})
      .done();
}

Section tls() {
  return Builder<Tls>("tls", "TLS towards MX and policy hosts, where a policy asks for it.",
                      [](Config& c) -> Tls& { return c.tls; })
      .add("ca_file", &Tls::ca_file, "Trusted CAs (PEM). Default: the system's trust store.",
           {.example = "\"/etc/ssl/certs/ca-certificates.crt\"", .file = FileUse::Certificates})
      .add("min_version", &Tls::min_version, "Lowest version that meets a policy.")
      .add("groups", &Tls::groups, "Key exchange groups, in OpenSSL's words.",
           {.example = "\"X25519:P-256\""})
      .add("ciphers", &Tls::ciphers, "Ciphers of TLS 1.2, in OpenSSL's words.",
           {.example = "\"ECDHE+AESGCM:ECDHE+CHACHA20\""})
      .add("ciphersuites", &Tls::ciphersuites, "Cipher suites of TLS 1.3, in OpenSSL's words.",
           {.example = "\"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256\""})
      .done();
}

}  // namespace

std::vector<Section> relay_sections() { return {server(), listen(), outbound(), dns(), tls()}; }

}  // namespace config::schema_parts
