// Answers and errors of the DNS as values. The DNSSEC states are kept apart at every step: a bogus
// or failed look-up is a LookupError, proven absence is an Answer without records, and an Answer
// is secure or insecure as a whole, over every link of its CNAME chain (RFC 4035 §4.3, RFC 7672
// §2.1). Pure data; dns/resolver.h asks, dns/decode.h reads the wire.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace dns {

enum class Type : std::uint16_t { A = 1, CNAME = 5, MX = 15, TXT = 16, AAAA = 28, TLSA = 52 };
std::string_view to_string(Type type);

enum class Security : std::uint8_t { secure, insecure };
std::string_view to_string(Security security);

struct LookupError {
  enum class Kind : std::uint8_t { bogus, servfail, timeout, refused, malformed, internal };
  Kind kind = Kind::servfail;
  std::string text;  // what was asked and what came: "MX example.com: SERVFAIL"
  bool operator==(const LookupError&) const = default;
};

enum class Existence : std::uint8_t { data, nodata, nxdomain };

// T: base::Ip (A, AAAA), Mx, std::string (TXT, joined; CNAME target), dane::Tlsa.
template <class T>
struct Answer {
  Existence existence = Existence::nodata;
  Security security = Security::insecure;
  std::vector<T> records;
  // Where a CNAME chain led: the name that owns the records, lower case, no trailing dot; the
  // name asked for where there was no CNAME.
  std::string canonical_name;
  bool via_cname = false;
  std::chrono::seconds ttl{0};  // shortest of the answer
  bool operator==(const Answer&) const = default;
};

template <class T>
using Lookup = base::Result<Answer<T>, LookupError>;

struct Mx {
  std::uint16_t preference = 0;
  std::string exchange;  // lower case, no trailing dot; "" is the root, a null MX (RFC 7505)
  bool operator==(const Mx&) const = default;
};

// What a resolver returns before decoding: the RDATA of each record of the type asked for.
using RawAnswer = Answer<std::string>;
using RawLookup = Lookup<std::string>;

}  // namespace dns
