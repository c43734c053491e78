// Names, addresses and encodings: what was parsed parses again to the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/domain.h"
#include "base/encode.h"
#include "base/ip.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void name(std::string_view text) {
  const auto domain = base::Domain::parse(text);
  if (!domain) return;
  const std::string& kept = domain->str();
  require(!kept.empty() && kept.size() <= 253 && kept == base::to_lower(kept));
  require(kept.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos);
  const auto again = base::Domain::parse(kept);
  require(again.has_value() && *again == *domain);
  require(base::matches_pattern(kept, *domain) && !base::matches_pattern("*." + kept, *domain));
  require(!base::Ip::parse(kept).has_value() || kept.find_first_not_of("0123456789.") != kept.npos);
}

void address(std::string_view text) {
  if (const auto ip = base::Ip::parse(text)) {
    require(base::Ip::parse(ip->str()).value() == *ip);
    require(base::Network::parse(text).value().contains(*ip));
    base::is_private_destination(*ip);
  }
  if (const auto network = base::Network::parse(text)) {
    require(base::Network::parse(network->str()).value() == *network);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  name(text);
  address(text);
  if (const auto bytes = base::from_base64(text)) require(base::to_base64(*bytes) == text);
  if (const auto bytes = base::from_hex(text)) {
    require(base::to_hex(*bytes) == base::to_lower(text));
  }
  require(base::from_base64(base::to_base64({data, size})).has_value());
  base::is_utf8(text);
  return 0;
}
