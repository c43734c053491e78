// Which domain's policy a recipient's mail will be under, from what the MTA says of it at RCPT: the
// macros {rcpt_mailer}, {rcpt_host}, {rcpt_addr} and the address. Pure. The next hop counts where
// it is a domain, as MTA-STS has it (RFC 8461 §3.4); where it is one of this relay's own
// listeners, the recipient's domain. Used by proxy/milter_message.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/domain.h"
#include "base/result.h"
#include "config/config.h"

namespace proxy {

struct RecipientMacros {
  std::optional<std::string> mailer;   // {rcpt_mailer}: Postfix's transport, Sendmail's mailer
  std::optional<std::string> host;     // {rcpt_host}: the next hop
  std::optional<std::string> address;  // {rcpt_addr}: after rewriting
};

// Why nothing is asked about a recipient.
struct NotAsked {
  enum class Kind {
    inside,   // the mail stays here, or goes on by something else than SMTP
    literal,  // an address literal, which no policy is about: nothing verifies it
    relay,    // a host of the operator's choice, or what makes no sense
  };
  Kind kind = Kind::inside;
  std::string text;
};

// `argument`: argv[0] of RCPT.
base::Result<base::Domain, NotAsked> policy_domain_of(const RecipientMacros& macros,
                                                      std::string_view argument,
                                                      const config::Config& config);

}  // namespace proxy
