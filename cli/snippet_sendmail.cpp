// The lines for Sendmail. tests/lab/test_snippet_sendmail.py sends mail through them.
#include "cli/snippet.h"

namespace cli {

namespace {

constexpr std::string_view lmtp = R"(==> /etc/mail/sendmail.mc: at the end
dnl All mail to other domains goes to Sternpost.
define(`SMART_HOST', `sternpost:@LITERAL@')dnl
dnl To Sendmail the whole internet is now one next hop. It has no limit for one: each message is
dnl tried by a process of its own when it comes in. A queue run though goes through the queue one by
dnl one, and some slow MX hosts would hold all that waits; so twenty at a time.
define(`confMAX_RUNNERS_PER_QUEUE', `20')dnl
dnl F=z is LMTP, which keeps each recipient's own answer. r: Sternpost takes up to 100 recipient
dnl domains in one transaction.
?tls dnl Sendmail uses TLS where the listener offers it. That somebody on the way takes the offer
?tls dnl out is met by a TLS_Srv entry in the access map (cf/README, STARTTLS).
?bare dnl The listener is on another machine: the way there is in cleartext unless it has a
?bare dnl tls_certificate (then print these lines again) or goes through a tunnel.
?client_ca dnl The listener demands this machine's certificate (client_ca) and refuses every
?client_ca dnl recipient without it: name it by confCLIENT_CERT and confCLIENT_KEY.
MAILER_DEFINITIONS
Msternpost, P=[IPC], F=mDFMuXz8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\r\n,
 L=2040, r=100, T=DNS/RFC822/SMTP, A=TCP $h @PORT@
)";

constexpr std::string_view smtp = R"(==> /etc/mail/sendmail.mc: at the end
dnl All mail to other domains goes to Sternpost.
define(`SMART_HOST', `sternpost:@LITERAL@')dnl
dnl To Sendmail the whole internet is now one next hop. It has no limit for one: each message is
dnl tried by a process of its own when it comes in. A queue run though goes through the queue one by
dnl one, and some slow MX hosts would hold all that waits; so twenty at a time.
define(`confMAX_RUNNERS_PER_QUEUE', `20')dnl
dnl Over SMTP a transaction has one recipient domain; recipients in others would get 452 and wait
dnl for the next queue run. So flag m (several recipients) is missing: one recipient a transaction,
dnl one behind the other. Over LMTP they go beside each other.
?tls dnl Sendmail uses TLS where the listener offers it. That somebody on the way takes the offer
?tls dnl out is met by a TLS_Srv entry in the access map (cf/README, STARTTLS).
?bare dnl The listener is on another machine: the way there is in cleartext unless it has a
?bare dnl tls_certificate (then print these lines again) or goes through a tunnel.
?client_ca dnl The listener demands this machine's certificate (client_ca) and refuses every
?client_ca dnl recipient without it: name it by confCLIENT_CERT and confCLIENT_KEY.
MAILER_DEFINITIONS
Msternpost, P=[IPC], F=DFMuXa8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\r\n,
 L=2040, T=DNS/RFC822/SMTP, A=TCP $h @PORT@
)";

constexpr std::string_view map = R"(==> /etc/mail/sendmail.mc: above MAILER(`smtp')
dnl Sendmail delivers by itself and asks Sternpost (socketmap.sendmail_listen) what each domain
dnl demands. It must be built with _FFR_MTA_STS, as Debian's is. While Sternpost is away, mail is
dnl deferred.
FEATURE(`sts', `socket -d30 -T<TMPF> @SOCKETMAP@')dnl
dnl Whom MTA-STS trusts; without the directory Sendmail does not take the file either.
define(`confCACERT_PATH', `/etc/ssl/certs')dnl
define(`confCACERT', `/etc/ssl/certs/ca-certificates.crt')dnl
)";

constexpr std::string_view milter = R"(==> /etc/mail/sendmail.mc: above MAILER(`smtp')
dnl Sternpost says at RCPT whether the recipient's domain can be reached as it demands. F=T: while
dnl it is away, mail is not accepted. R: a recipient whose policy is not known yet takes longer than
dnl Sendmail's usual 10 s.
INPUT_MAIL_FILTER(`sternpost', `S=@MILTER@, F=T, T=C:10s;S:10s;R:60s;E:60s')dnl
dnl rcpt_mailer and rcpt_host tell which recipients leave this host, and where to.
define(`confMILTER_MACROS_ENVRCPT', `i, {rcpt_mailer}, {rcpt_host}, {rcpt_addr}')dnl
)";

constexpr std::string_view transparent = R"(==> /etc/mail/sendmail.mc: above MAILER(`smtp')
dnl Sendmail goes on as before, and the firewall turns its connections to Sternpost, which does the
dnl TLS with the MX. Domains that share their MX hosts go in one transaction; Sternpost takes one
dnl recipient domain there. So one recipient a transaction.
define(`SMTP_MAILER_MAXRCPTS', `1')dnl
)";

}  // namespace

const std::vector<Text>& sendmail_texts() {
  static const std::vector<Text> texts{{Via::Lmtp, "8.12", lmtp},
                                       {Via::Smtp, "8.12", smtp},
                                       {Via::Map, "8.16", map},
                                       {Via::Milter, "8.13", milter},
                                       {Via::Transparent, "8.12", transparent}};
  return texts;
}

}  // namespace cli
