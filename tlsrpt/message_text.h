// The part of report mail for people (RFC 8460 §5.3): who reports, on what, what the figures are,
// what the attachment is for and whom to ask, in words for somebody who has never heard of TLS-RPT.
// Pure; not responsible for encoding. Called by tlsrpt/message.
#pragma once

#include <string>

#include "tlsrpt/report.h"

namespace tlsrpt {

// UTF-8, "\n" at the end of each line, no control characters else.
std::string message_text(const Report& report);

}  // namespace tlsrpt
