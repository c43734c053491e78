// The lines for OpenSMTPD, and the firewall's for every MTA. tests/lab/test_snippet_opensmtpd.py
// sends mail through the former.
#include "cli/snippet.h"

namespace cli {

namespace {

constexpr std::string_view lmtp =
    R"(==> /etc/smtpd.conf: in the place of the action and the match for mail to other domains
# To OpenSMTPD the whole internet is now one next hop. Its usual 5 connections to one would hold for
# all mail together: five messages that wait for a slow MX, and everything else waits too.
mta limit for domain "@IP@" max-conn-per-host 200
mta limit for domain "@IP@" max-conn-per-route 200
mta limit for domain "@IP@" max-conn-per-connector 200
mta limit for domain "@IP@" max-conn-per-source 200
mta limit for domain "@IP@" max-conn-per-relay 200
mta limit for domain "@IP@" max-conn-per-domain 200
mta limit for domain "@IP@" task-hiwat 1000
mta limit for domain "@IP@" task-lowat 500
# 25 refused recipients in a row, of as many domains, are not the next hop's fault.
mta limit for domain "@IP@" max-failures-per-session 0
# All mail to other domains goes to Sternpost, over LMTP, which keeps each recipient's own answer.
action "sternpost" relay host lmtp://@URL@
match from local for any action "sternpost"
)";

// OpenSMTPD makes transactions by domain and takes TLS where it can be had: nothing to change.
constexpr std::string_view transparent = "";

}  // namespace

const std::vector<Text>& opensmtpd_texts() {
  static const std::vector<Text> texts{{Via::Lmtp, "6.4", lmtp},
                                       {Via::Transparent, "6.4", transparent}};
  return texts;
}

const std::string_view nftables_text = R"(==> /etc/nftables.conf: at the end
# Every connection to port 25 elsewhere goes to Sternpost's transparent listener. Sternpost's own
# do not, or they would come back to it.
table inet sternpost {
  chain output {
    type nat hook output priority -100;
    meta skuid "sternpost" return
    fib daddr type local return
    tcp dport 25 redirect to :@PORT@
  }
}
)";

}  // namespace cli
