// DNS answers as plain data, for tests of dane/status.h.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dane/status.h"

namespace facts {

using dns::Existence;
using dns::Security;
using Addresses = dns::Lookup<base::Ip>;

inline base::Domain domain(const std::string& text) { return *base::Domain::parse(text); }

template <class T>
dns::Lookup<T> answer(Security security, std::vector<T> records, const std::string& name,
                      bool via_cname = false) {
  dns::Answer<T> one;
  one.security = security;
  one.existence = records.empty() ? Existence::nodata : Existence::data;
  one.records = std::move(records);
  one.canonical_name = name;
  one.via_cname = via_cname;
  return one;
}

template <class T>
dns::Lookup<T> error(dns::LookupError::Kind kind = dns::LookupError::Kind::servfail) {
  dns::LookupError one;
  one.kind = kind;
  one.text = "look-up failed";
  return base::fail(std::move(one));
}

inline Addresses address(Security security) {
  return answer<base::Ip>(security, {*base::Ip::parse("192.0.2.1")}, "mx.example.com");
}
inline Addresses address_by_cname(Security security, const std::string& end = "real.example.net") {
  return answer<base::Ip>(security, {*base::Ip::parse("192.0.2.1")}, end, true);
}
inline Addresses no_address(Security security) {
  return answer<base::Ip>(security, {}, "mx.example.com");
}
inline dns::Lookup<std::string> cname(Security security) {
  return answer<std::string>(security, {"middle.example.net"}, "mx.example.com");
}

inline dane::Tlsa record(unsigned usage, unsigned selector, unsigned mtype, std::size_t size,
                         std::uint8_t fill = 0xab) {
  dane::Tlsa one;
  one.usage = static_cast<std::uint8_t>(usage);
  one.selector = static_cast<std::uint8_t>(selector);
  one.matching_type = static_cast<std::uint8_t>(mtype);
  one.data.assign(size, fill);
  return one;
}
inline dane::Tlsa good_record() { return record(3, 1, 1, 32); }

inline dane::TlsaLookup tlsa(const std::string& base, Security security,
                             std::vector<dane::Tlsa> records) {
  return {domain(base), answer<dane::Tlsa>(security, std::move(records), "_25._tcp." + base)};
}
inline dane::TlsaLookup tlsa_error(const std::string& base, dns::LookupError::Kind kind =
                                                                dns::LookupError::Kind::servfail) {
  return {domain(base), error<dane::Tlsa>(kind)};
}

inline dane::HostOrigin secure_mx() {
  return {domain("example.com"), std::nullopt, true, Security::secure};
}

// The candidates' names; "none" and "failed" where there are none.
inline std::vector<std::string> candidates(const dane::AddressFacts& addresses) {
  const auto found = dane::tlsa_candidates(domain("mx.example.com"), addresses);
  if (std::holds_alternative<dane::NotApplicable>(found)) return {"none"};
  if (std::holds_alternative<dane::LookupFailed>(found)) return {"failed"};
  std::vector<std::string> names;
  for (const auto& name : std::get<std::vector<base::Domain>>(found)) names.push_back(name.str());
  return names;
}

inline dane::Status status(const dane::AddressFacts& addresses,
                           const std::vector<dane::TlsaLookup>& lookups,
                           const dane::HostOrigin& origin = secure_mx()) {
  return dane::status_of(domain("mx.example.com"), origin, addresses, lookups);
}

template <class T>
bool is(const dane::Status& status) {
  return std::holds_alternative<T>(status);
}

}  // namespace facts
