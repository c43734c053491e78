// Received: the one trace field that the relay puts before a message (RFC 5321 §4.4, RFC 3848,
// RFC 6531 §3.7.3). Text that the client gave cannot end a line, a comment or a clause here. Pure;
// called by the delivery once a transaction.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/ip.h"

namespace smtp {

struct TraceFacts {
  std::string helo;              // as the client gave it
  std::optional<base::Ip> peer;  // nullopt: a Unix socket
  std::string hostname;          // our own
  bool lmtp = false;
  bool extended = true;  // EHLO rather than HELO; of no meaning with LMTP
  bool tls = false;      // STARTTLS was used
  bool smtputf8 = false;
  std::string id;
  std::string only_recipient;  // without brackets; empty unless there is exactly one recipient
  std::chrono::sys_seconds when{};
  std::chrono::minutes zone{0};  // local time less UTC
};

// "ESMTPS", "UTF8LMTP" and so on: RFC 3848 and RFC 6531 §4.3.
std::string with_keyword(const TraceFacts& facts);

// The whole field, folded, with CRLF at each line's end; no line begins with a dot, so it needs no
// stuffing.
std::string received_field(const TraceFacts& facts);

}  // namespace smtp
