#include "dane/tlsa.h"

#include <algorithm>
#include <optional>

#include "base/encode.h"
#include "base/limits.h"

namespace dane {
namespace {

constexpr std::uint8_t full = 0;

// Octets of a digest, by matching type (RFC 6698 §7.4); nothing for one that we do not know.
std::optional<std::size_t> digest_size(std::uint8_t matching_type) {
  switch (matching_type) {
    case 1: return 32;
    case 2: return 64;
    default: return std::nullopt;
  }
}

// RFC 7671 §9: strength order, SHA2-512 over SHA2-256. Usable records alone are compared.
bool is_weaker(const Tlsa& record, const Tlsa& other) {
  return record.usage == other.usage && record.selector == other.selector &&
         record.matching_type != full && other.matching_type != full &&
         record.matching_type < other.matching_type;
}

}  // namespace

std::string Tlsa::str() const {
  return std::to_string(usage) + ' ' + std::to_string(selector) + ' ' +
         std::to_string(matching_type) + ' ' + base::to_hex(data);
}

base::Result<Tlsa, base::Error> decode_tlsa(std::string_view rdata) {
  // RFC 6698 §2.1: three octets, then the association data. Whether that is of any use is
  // unusable_reason's to say: a bad record does not spoil the good ones beside it (§4.1).
  if (rdata.size() < 3) return base::fail("a TLSA record is too short");
  Tlsa record;
  record.usage = static_cast<std::uint8_t>(rdata[0]);
  record.selector = static_cast<std::uint8_t>(rdata[1]);
  record.matching_type = static_cast<std::uint8_t>(rdata[2]);
  record.data.assign(rdata.begin() + 3, rdata.end());
  return record;
}

std::string unusable_reason(const Tlsa& record) {
  // RFC 7672 §3.1.3: the PKIX usages are not for SMTP; counted as unusable.
  if (record.usage == 0) return "usage PKIX-TA(0) is not used with SMTP";
  if (record.usage == 1) return "usage PKIX-EE(1) is not used with SMTP";
  if (record.usage > 3) return "usage " + std::to_string(record.usage) + " is not known";
  if (record.selector > 1) return "selector " + std::to_string(record.selector) + " is not known";
  if (record.matching_type == full) {
    if (record.data.empty()) return "there is no certificate association data";
    return full_data_error(record.selector, record.data);
  }
  const auto size = digest_size(record.matching_type);
  if (!size) return "matching type " + std::to_string(record.matching_type) + " is not known";
  if (record.data.size() != *size) {
    return "the digest is " + std::to_string(record.data.size()) + " octets long and not " +
           std::to_string(*size);
  }
  return {};
}

std::vector<Tlsa> usable_records(std::span<const Tlsa> records) {
  std::vector<Tlsa> usable;  // RFC 7671 §9: first drop the unusable ones, then compare
  for (const Tlsa& record : records) {
    if (unusable_reason(record).empty() &&
        std::find(usable.begin(), usable.end(), record) == usable.end()) {
      usable.push_back(record);
    }
  }
  std::vector<Tlsa> chosen;
  for (const Tlsa& record : usable) {
    const bool beaten = std::any_of(usable.begin(), usable.end(), [&](const Tlsa& other) {
      return is_weaker(record, other);
    });
    // Records past the limit are not looked at, which can only refuse a host.
    if (!beaten && chosen.size() < base::limits::tlsa_records) chosen.push_back(record);
  }
  return chosen;
}

}  // namespace dane
