// RDATA decoders, pure, bounded and fuzzed (RFC 1035 §3.3, RFC 3596 §2.2). RDATA comes
// uncompressed from libunbound. A record that cannot be read makes the look-up malformed: an error,
// never an absence.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "dns/answer.h"

namespace dns {

base::Result<base::Ip, base::Error> decode_a(std::string_view rdata);
base::Result<base::Ip, base::Error> decode_aaaa(std::string_view rdata);
base::Result<Mx, base::Error> decode_mx(std::string_view rdata);
// A wire name as lower-case text without trailing dot, dots inside labels and octets that are not
// printable ASCII escaped as \DDD; "" is the root.
base::Result<std::string, base::Error> decode_name(std::string_view rdata);
// The character-strings of one TXT record joined with nothing in between (RFC 8461 §3.1).
base::Result<std::string, base::Error> decode_txt(std::string_view rdata);

// The shortest TTL in the answer section of a whole DNS message, CNAME links included; nothing
// where that section is empty or cannot be read.
std::optional<std::chrono::seconds> shortest_ttl(std::string_view packet);

// The whole answer decoded by `one`; existence, security, name and TTL are carried over.
template <class T>
Lookup<T> decode_all(RawLookup raw, base::Result<T, base::Error> (*one)(std::string_view)) {
  if (!raw) return base::fail(std::move(raw.error()));
  Answer<T> answer;
  answer.existence = raw->existence;
  answer.security = raw->security;
  answer.canonical_name = std::move(raw->canonical_name);
  answer.via_cname = raw->via_cname;
  answer.ttl = raw->ttl;
  for (const std::string& rdata : raw->records) {
    auto record = one(rdata);
    if (!record) {
      LookupError error;
      error.kind = LookupError::Kind::malformed;
      error.text = answer.canonical_name + ": " + record.error().text;
      return base::fail(std::move(error));
    }
    answer.records.push_back(std::move(*record));
  }
  return answer;
}

}  // namespace dns
