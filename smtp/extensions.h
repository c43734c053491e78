// Extensions: what an MX offers in its reply to EHLO (RFC 5321 §4.1.1.1), as a value. Keywords of
// any case; what is not known is passed over. Made anew after STARTTLS (RFC 3207 §4.2). Used by
// the delivery to decide which commands and parameters it may send.
#pragma once

#include <cstdint>
#include <string>

#include "smtp/reply.h"

namespace smtp {

struct Extensions {
  std::string helo_name;         // the MX's own name; may be empty or anything
  bool size = false;             // RFC 1870: the SIZE parameter may be sent
  std::uint64_t size_limit = 0;  // octets; 0: no limit that the MX tells
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool starttls = false;
  bool enhanced_status_codes = false;
  bool dsn = false;
  bool chunking = false;
  bool operator==(const Extensions&) const = default;
};

// `reply`: a positive reply to EHLO; for one to HELO all extensions are absent, as it has one line.
Extensions parse_extensions(const Reply& reply);

}  // namespace smtp
