// The lines for Postfix. tests/lab/test_snippet_postfix.py sends mail through them.
#include "cli/snippet.h"

namespace cli {

namespace {

constexpr std::string_view lmtp = R"(==> /etc/postfix/main.cf: at the end
# All mail to other domains goes to Sternpost. relayhost would take its place, so it is empty.
default_transport = sternpost:@POSTFIX@
relayhost =
# To Postfix the whole internet is now one next hop. Its usual 20 deliveries at a time would hold
# for all mail together: twenty messages that wait for a slow MX, and everything else waits too.
sternpost_destination_concurrency_limit = 200
sternpost_initial_destination_concurrency = 50
# A failed cohort is Postfix's word for a next hop that seems dead. Some recipients' servers that
# are down must not rest all mail.
sternpost_destination_concurrency_failed_cohort_limit = 1000
# Sternpost takes up to 100 recipient domains in one transaction.
sternpost_destination_recipient_limit = 100
==> /etc/postfix/master.cf: at the end
# A transport of its own, so that other LMTP deliveries keep their settings; as many processes as
# deliveries above. XFORWARD tells Sternpost the queue id, for its log.
?>=3.1 # A fallback relay would get what Sternpost defers.
?bare # The listener is on another machine and has no TLS: the way between is in cleartext unless it
?bare # has a tls_certificate (then print these lines again: "encrypt") or goes through a tunnel.
?client_ca # The listener demands this machine's certificate (client_ca) and refuses every recipient
?client_ca # without it: name it here, -o lmtp_tls_cert_file=... -o lmtp_tls_key_file=...
sternpost unix  -       -       n       -       200     lmtp
    -o lmtp_send_xforward_command=yes
?loopback     -o lmtp_tls_security_level=none
?tls     -o lmtp_tls_security_level=encrypt
?bare     -o lmtp_tls_security_level=may
?>=3.1     -o lmtp_fallback_relay=
)";

constexpr std::string_view smtp = R"(==> /etc/postfix/main.cf: at the end
# All mail to other domains goes to Sternpost. relayhost would take its place, so it is empty.
default_transport = sternpost:@HOST_PORT@
relayhost =
# Over SMTP a transaction has one recipient domain; recipients in others would get 452 and wait for
# the next queue run. So one recipient a transaction. With that, Postfix counts deliveries at a time
# by recipient, and the 200 processes in master.cf are the only limit of this next hop.
sternpost_destination_recipient_limit = 1
# A failed cohort is Postfix's word for a next hop that seems dead. Some recipients' servers that
# are down must not rest all mail.
sternpost_destination_concurrency_failed_cohort_limit = 1000
==> /etc/postfix/master.cf: at the end
# A transport of its own, so that other SMTP deliveries keep their settings. To Postfix the whole
# internet is now one next hop, and its usual 100 processes would let some slow MX hosts stop all
# mail. XFORWARD tells Sternpost the queue id, for its log. A fallback relay would get what
# Sternpost defers.
?bare # The listener is on another machine and has no TLS: the way between is in cleartext unless it
?bare # has a tls_certificate (then print these lines again: "encrypt") or goes through a tunnel.
?client_ca # The listener demands this machine's certificate (client_ca) and refuses every recipient
?client_ca # without it: name it here, -o smtp_tls_cert_file=... -o smtp_tls_key_file=...
sternpost unix  -       -       n       -       200     smtp
    -o smtp_send_xforward_command=yes
?loopback     -o smtp_tls_security_level=none
?tls     -o smtp_tls_security_level=encrypt
?bare     -o smtp_tls_security_level=may
    -o smtp_fallback_relay=
)";

constexpr std::string_view map = R"(==> /etc/postfix/main.cf: at the end
# Postfix delivers by itself and asks Sternpost (socketmap.listen) what each domain demands. While
# Sternpost is away, mail is deferred.
# These take the place of your own settings. Your own policy tables come before the map in one list
# (smtp_tls_policy_maps = hash:/etc/postfix/tls_policy, socketmap:...): the first answer counts. If
# your level was stricter than dane (encrypt, verify, secure), put it into policy.default of
# Sternpost's configuration: the map answers with that.
?<3.10 smtp_tls_policy_maps = socketmap:@POSTFIX@:QUERY
?>=3.10 # This map also has the attributes that Postfix 3.10 and later know; older ones would defer.
?>=3.10 smtp_tls_policy_maps = socketmap:@POSTFIX@:QUERYwithTLSRPT
# What the map leaves to Postfix gets DANE where the domain has it, and TLS where it can be had.
# This needs a resolver on this host that validates, and nothing else in resolv.conf.
smtp_tls_security_level = dane
smtp_dns_support_level = dnssec
# The pins of your own rules are SHA-256.
smtp_tls_fingerprint_digest = sha256
# Whom MTA-STS trusts.
smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt
)";

constexpr std::string_view milter = R"(==> /etc/postfix/main.cf: at the end
# Sternpost says at RCPT whether the recipient's domain can be reached as it demands. Keep milters
# that you have: one list, separated by commas. A recipient whose policy is not known yet takes some
# seconds; while Sternpost is away, mail is not accepted.
?>=3.0 smtpd_milters = { @POSTFIX_MILTER@, connect_timeout=10s, command_timeout=60s,
?>=3.0     default_action=tempfail }
?<3.0 # Before 3.0 Postfix has these for all milters together.
?<3.0 smtpd_milters = @POSTFIX_MILTER@
?<3.0 milter_connect_timeout = 10s
?<3.0 milter_command_timeout = 60s
?<3.0 milter_default_action = tempfail
# Mail from this host's own programs too.
non_smtpd_milters = $smtpd_milters
# rcpt_mailer and rcpt_host tell which recipients leave this host, and where to.
milter_rcpt_macros = i {rcpt_addr} {rcpt_host} {rcpt_mailer}
)";

constexpr std::string_view transparent = R"(==> /etc/postfix/main.cf: at the end
# Postfix goes on as before, and the firewall turns its connections to Sternpost, which does the TLS
# with the MX and offers none here. So Postfix itself must not demand any at port 25, or it would
# defer; nor must smtp_tls_policy_maps, but for next hops with another port ([host]:587), which are
# not redirected and keep what you demand of them there. Not "none": what is not redirected, and all
# mail while the rule is not loaded, has TLS where it can be had.
smtp_tls_security_level = may
)";

}  // namespace

const std::vector<Text>& postfix_texts() {
  static const std::vector<Text> texts{{Via::Lmtp, "2.8", lmtp},
                                       {Via::Smtp, "2.8", smtp},
                                       {Via::Map, "3.4", map},
                                       {Via::Milter, "2.6", milter},
                                       {Via::Transparent, "2.8", transparent}};
  return texts;
}

}  // namespace cli
