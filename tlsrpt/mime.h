// The leaves of a mail message (RFC 5322, RFC 2045, RFC 2046) with their transfer encoding undone:
// just enough MIME to find a report in a message, lenient about what reporters get wrong, bounded
// in depth and parts. Header fields other than those named here are passed over, and so are
// character sets. Pure. Called by read.cpp.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace tlsrpt {

struct MimeLeaf {
  std::string type;         // "application/tlsrpt+gzip", lower case; empty where none is told
  std::string_view octets;  // after decoding; ends with the call that it was given to
};

struct MimeLimits {
  std::size_t depth = 8;     // of multiparts and messages in each other
  std::size_t parts = 1000;  // altogether
};

struct MimeMessage {
  std::string report_domain;  // TLS-Report-Domain (RFC 8460 §5.3), lower case
  std::string problem;        // which limit ended the walk; empty: none did
  bool report_type = false;   // Content-Type says report-type=tlsrpt, or a type of TLS-RPT
};

using TakeLeaf = std::function<void(const MimeLeaf&)>;
MimeMessage walk_message(std::string_view message, const MimeLimits& limits, const TakeLeaf& take);

// Whether the octets open like a message: a field name and a colon (RFC 5322 §2.2).
bool opens_like_message(std::string_view octets);

// RFC 2045 §6.8: octets outside the alphabet are passed over; a group that is cut short gives what
// it holds.
std::string decode_base64(std::string_view text);
// RFC 2045 §6.7: an "=" that opens nothing known stands for itself.
std::string decode_quoted_printable(std::string_view text);

}  // namespace tlsrpt
