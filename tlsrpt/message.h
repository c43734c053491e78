// The report as mail (RFC 8460 §5.3): multipart/report with a part for people and the gzipped JSON,
// all header fields that §5.3 asks for, lines that any MTA takes. Pure and stable: the same
// arguments give the same octets, so that a repeat is byte for byte the same. Signing is dkim.h.
// Called by report/ (sending, `report send --dry-run`).
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "tlsrpt/report.h"

namespace tlsrpt {

struct MessageFacts {
  const Report* report = nullptr;  // its `policies` are counted for the text part
  std::string_view gzipped;        // the file's octets
  std::string recipient;           // the addr-spec of `To`
  base::WallTime date{};           // of the Date field: when the report was composed
};

// RFC 5322 with CRLF line ends, in ASCII, no line over 998 octets and few over 78, dots not
// stuffed. The one exception: a recipient or a contact_info in UTF-8 stands in its field as it is,
// and the message then needs SMTPUTF8 (RFC 6532 §3.2). An address whose local part and domain keep
// to their limits (RFC 5321 §4.5.3.1) fits a line; it cannot be folded.
std::string report_message(const MessageFacts& facts);

}  // namespace tlsrpt
