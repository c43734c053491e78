// The date of a message's header (RFC 5322 §3.3) with English names, whatever the locale. Pure; not
// responsible for reading dates. Called for the trace field (smtp/received) and for report mail.
#pragma once

#include <chrono>
#include <string>

namespace base {

// "Wed, 25 Nov 2026 01:02:03 +0000". `local`: the clock on the wall there; `zone`: it less UTC.
std::string mail_date(std::chrono::sys_seconds local, std::chrono::minutes zone);

}  // namespace base
