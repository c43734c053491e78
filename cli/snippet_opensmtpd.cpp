// The lines for OpenSMTPD, and the firewall's for every MTA. tests/lab/test_snippet_opensmtpd.py
// sends mail through the former.
#include "cli/snippet.h"

namespace cli {

namespace {

constexpr std::string_view lmtp =
    R"(==> /etc/smtpd.conf: in the place of the action and the match for mail to other domains
# All mail to other domains goes to Sternpost, over LMTP, which keeps each recipient's own answer.
# Ten addresses, which OpenSMTPD takes in turn, have two reasons. Sternpost takes up to 100
# recipient domains in one transaction, and a message may have 1000 recipients. And OpenSMTPD opens
# few connections beside those that are busy with one next hop, as the whole internet would be.
table sternpost { \
    "lmtp://@NET@1:@PORT@", "lmtp://@NET@2:@PORT@", \
    "lmtp://@NET@3:@PORT@", "lmtp://@NET@4:@PORT@", \
    "lmtp://@NET@5:@PORT@", "lmtp://@NET@6:@PORT@", \
    "lmtp://@NET@7:@PORT@", "lmtp://@NET@8:@PORT@", \
    "lmtp://@NET@9:@PORT@", "lmtp://@NET@10:@PORT@" }
action "sternpost" relay host <sternpost>
match from local for any action "sternpost"
# Its usual limits, 5 connections to an address and one in 5 s, would hold for all mail together.
mta limit max-conn-per-host 200
mta limit max-conn-per-route 200
mta limit max-conn-per-connector 200
mta limit max-conn-per-source 2000
mta limit max-conn-per-relay 200
mta limit max-conn-per-domain 200
mta limit conn-delay-route 0
mta limit conn-delay-relay 0
mta limit reconn-delay-route 0
# 25 refused recipients in a row, of as many domains, are not the next hop's fault.
mta limit max-failures-per-session 0
==> /etc/sternpost/conf.d/opensmtpd.toml: then restart Sternpost
# The further addresses; the first is in sternpost.toml.
@LISTENERS@)";

// OpenSMTPD makes transactions by domain and takes TLS where it can be had: nothing to change.
constexpr std::string_view transparent = "";

}  // namespace

const std::vector<Text>& opensmtpd_texts() {
  static const std::vector<Text> texts{{Via::Lmtp, "6.4", lmtp},
                                       {Via::Transparent, "6.4", transparent}};
  return texts;
}

const std::string_view nftables_text = R"(==> /etc/nftables.conf: at the end
# Every connection to port 25 elsewhere goes to Sternpost's transparent listener. This is what
# contrib/nftables-transparent.nft has; the first two lines make it fit to be loaded again.
table inet sternpost
delete table inet sternpost
table inet sternpost {
  chain output {
    type nat hook output priority -100; policy accept;
    # The relay itself, by its user: without this line its connections would come back to it.
    meta skuid "sternpost" return
    # What stays on this machine: content filters, and the MTA to which the relay hands its reports.
    fib daddr type local return
    tcp dport 25 redirect to :@PORT@
  }
}
)";

}  // namespace cli
