// Which recipients of a transaction are our own report mail, and which are bounces of it, by the
// envelope alone (tlsrpt/return_path). Everything else is ordinary mail: also what only looks like
// ours, is too old, or goes to somebody else. Pure. Called by proxy/session_transfer for each RCPT.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "smtp/envelope.h"
#include "tlsrpt/return_path.h"

namespace proxy {

enum class MailKind : std::uint8_t {
  ordinary,
  report,  // RFC 8460 §5.3: delivered despite any TLS failure, never counted
  bounce,  // from the null reverse-path to a return path of ours
};

// `known` null: no report mail goes out from here, and all mail is ordinary.
MailKind mail_kind(const tlsrpt::ReturnPath* known, const smtp::Envelope& envelope,
                   const smtp::Mailbox& recipient, base::WallTime now);

// The recipient's domain, or its address literal.
std::string destination_of(const smtp::Mailbox& mailbox);

}  // namespace proxy
