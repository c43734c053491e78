// mask_local_parts: takes the local parts of mail addresses out of text that comes from others,
// so that the enforcement log never holds one (RFC 5321 §4.1.2, RFC 6531 §3.3). It would rather
// take a word too many than leave a name. Pure. Called for `reply` and `reason` by record.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace audit {

// Each local part becomes "…" (U+2026): whatever stands before an "@" (also "%40", "&#64;" and the
// full-width forms), quoted or not; and each of `known` wherever it stands as a word, in any case
// of ASCII letters, with or without its "+tag".
std::string mask_local_parts(std::string_view text, std::span<const std::string> known = {});

}  // namespace audit
