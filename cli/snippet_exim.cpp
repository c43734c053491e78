// The lines for Exim. tests/lab/test_snippet_exim.py sends mail through them.
#include "cli/snippet.h"

namespace cli {

namespace {

// The files are those of Debian's split configuration; in a single file each has its section.
constexpr std::string_view smtp = R"(==> /etc/exim4/conf.d/main/01_sternpost: the main section
# To Exim the whole internet is now one next hop. It has no limit for one, but one for one message:
# a few deliveries at a time, and some slow MX hosts would hold the message's other recipients.
remote_max_parallel = 20
==> /etc/exim4/conf.d/router/150_sternpost: section routers, in the place of dnslookup or above it
# All mail to other domains goes to Sternpost.
sternpost:
  driver = manualroute
  domains = ! +local_domains
  transport = sternpost
  route_list = * @EXIM_HOST@
  self = send
==> /etc/exim4/conf.d/transport/30_sternpost: section transports
sternpost:
  driver = smtp
  port = @PORT@
  # Over SMTP a transaction has one recipient domain; recipients in others would get 452 and wait
  # for the next queue run.
  multi_domain = false
?loopback   hosts_avoid_tls = *
?tls   hosts_require_tls = *
?bare   # The listener is on another machine: the way there is in cleartext unless it has a
?bare   # tls_certificate (then print these lines again) or goes through a tunnel.
?client_ca   # The listener demands this machine's certificate (client_ca) and refuses every
?client_ca   # recipient without it: name it here, tls_certificate = ... and tls_privatekey = ...
)";

constexpr std::string_view lmtp = R"(==> /etc/exim4/conf.d/main/01_sternpost: the main section
# To Exim the whole internet is now one next hop. It has no limit for one, but one for one message:
# a few deliveries at a time, and some slow MX hosts would hold the message's other recipients.
remote_max_parallel = 20
==> /etc/exim4/conf.d/router/150_sternpost: section routers, in the place of dnslookup or above it
# All mail to other domains goes to Sternpost.
sternpost:
  driver = manualroute
  domains = ! +local_domains
  transport = sternpost
  route_list = * @EXIM_HOST@
  self = send
==> /etc/exim4/conf.d/transport/30_sternpost: section transports
sternpost:
  driver = smtp
  protocol = lmtp
  port = @PORT@
  # Sternpost takes up to 100 recipient domains in one transaction.
  max_rcpt = 100
?loopback   hosts_avoid_tls = *
?tls   hosts_require_tls = *
?bare   # The listener is on another machine: the way there is in cleartext unless it has a
?bare   # tls_certificate (then print these lines again) or goes through a tunnel.
?client_ca   # The listener demands this machine's certificate (client_ca) and refuses every
?client_ca   # recipient without it: name it here, tls_certificate = ... and tls_privatekey = ...
)";

constexpr std::string_view transparent =
    R"(==> /etc/exim4/conf.d/transport/30_exim4-config_remote_smtp: in remote_smtp
  # Exim goes on as before, and the firewall turns its connections to Sternpost, which does the TLS
  # with the MX and offers none here. So Exim itself must not demand any, or it would defer: no
  # hosts_require_tls for port 25, and no DANE. What is not redirected has TLS where it can be had.
?>=4.91   hosts_try_dane =
  # Domains that share their MX hosts go in one transaction; Sternpost takes one recipient domain
  # there.
  multi_domain = false
)";

}  // namespace

const std::vector<Text>& exim_texts() {
  static const std::vector<Text> texts{{Via::Smtp, "4.80", smtp},
                                       {Via::Lmtp, "4.80", lmtp},
                                       {Via::Transparent, "4.80", transparent}};
  return texts;
}

}  // namespace cli
