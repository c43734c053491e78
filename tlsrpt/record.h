// The `_smtp._tls` record (RFC 8460 §3): one TXT record to the endpoints that want the domain's
// report. Pure, bounded, fuzzed. Not responsible for asking the DNS; called by report/ (discovery)
// and by the collector, which hands on the record's text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tlsrpt {

// One place that a report goes to. Equal places have equal `uri`s, so that each gets one report.
struct Endpoint {
  enum class Scheme : std::uint8_t { mailto, https };
  Scheme scheme = Scheme::mailto;
  std::string uri;      // normal form: scheme, host and mail domain in lower case; the store's key
  // mailto: one addr-spec, percent-decoded, without control characters and angle brackets, the
  // domain as A-labels; a local part in UTF-8 needs SMTPUTF8. Else "".
  std::string address;
  std::string host;     // https: A-label in lower case, or an address literal without brackets
  std::uint16_t port = 443;
  std::string target;   // https: path and query as published, "/" where empty; for a request line
  bool operator==(const Endpoint&) const = default;
};

struct Record {
  std::string text;                  // as published, character-strings joined
  std::vector<Endpoint> endpoints;   // in the order of the record, without repetition
  // What was passed over, and why, a line of ASCII each: "\"ftp://…\": neither mailto nor https".
  // At most 20 entries; the last may say how many more there were.
  std::vector<std::string> ignored;
};

inline constexpr std::size_t record_limit = 4096;   // octets of one TXT record
inline constexpr std::size_t endpoints_limit = 10;  // further ones are ignored, and said so

// RFC 8460 §3: several rua fields and several URIs in each, in any order, unknown fields and
// unknown schemes passed over. Fails where it is no TLSRPTv1 record or has no rua at all. A record
// whose endpoints are all passed over is good and has none.
base::Result<Record, base::Error> parse_record(std::string_view text);

// All TXT records at `_smtp._tls.DOMAIN` (RFC 8460 §3): those that do not begin with
// "v=TLSRPTv1;" are dropped; nullopt where none is left; an error where more than one is, or where
// the one is not readable: then nothing is to be sent.
base::Result<std::optional<Record>, base::Error> choose_record(std::span<const std::string> texts);

}  // namespace tlsrpt
