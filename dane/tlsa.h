// Tlsa: a TLSA record (RFC 6698 §2, names of RFC 7218), which of them this client can use for SMTP
// (RFC 7672 §3.1, usages 2 and 3), and digest agility (RFC 7671 §9). Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dane {

struct Tlsa {
  std::uint8_t usage = 0;          // 0 PKIX-TA, 1 PKIX-EE, 2 DANE-TA, 3 DANE-EE
  std::uint8_t selector = 0;       // 0 Cert, 1 SPKI
  std::uint8_t matching_type = 0;  // 0 Full, 1 SHA2-256, 2 SHA2-512
  std::vector<std::uint8_t> data;
  bool operator==(const Tlsa&) const = default;
  // "3 1 1 hex", as TLS-RPT quotes it (RFC 8460 §4.5).
  std::string str() const;
};

base::Result<Tlsa, base::Error> decode_tlsa(std::string_view rdata);

// Why a record cannot be used, in words; empty when it can (RFC 7672 §3.1, RFC 6698 §4.1).
// Full(0) data must decode as a certificate or a public key of its selector.
std::string unusable_reason(const Tlsa& record);

// Why the data of a Full(0) record is no certificate (selector 0) or public key (selector 1); empty
// when it is. Defined in dane/openssl.cpp.
std::string full_data_error(std::uint8_t selector, std::span<const std::uint8_t> data);

// The records to authenticate with: usable ones, and of each (usage, selector) pair the Full ones
// and those of the strongest digest alone (RFC 7671 §9).
std::vector<Tlsa> usable_records(std::span<const Tlsa> records);

}  // namespace dane
