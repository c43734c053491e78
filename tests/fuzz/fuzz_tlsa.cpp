// TLSA records: an RRset out of the input (a length octet pair before each RDATA) is decoded and
// chosen from; what is usable is well formed and survives being chosen again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "dane/tlsa.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<dane::Tlsa> records;
  while (rest.size() >= 2 && records.size() < 100) {
    const std::size_t length =
        static_cast<std::size_t>(static_cast<std::uint8_t>(rest[0])) << 8 |
        static_cast<std::uint8_t>(rest[1]);
    const auto record = dane::decode_tlsa(rest.substr(2, length));
    must(record.has_value() == (std::min(length, rest.size() - 2) >= 3));
    if (record) records.push_back(*record);
    rest.remove_prefix(std::min(rest.size(), 2 + length));
  }
  const auto usable = dane::usable_records(records);
  must(usable.size() <= records.size());
  for (const dane::Tlsa& one : usable) {
    must(one.usage == 2 || one.usage == 3);
    must(one.selector <= 1 && one.matching_type <= 2 && !one.data.empty());
    for (const dane::Tlsa& other : usable) {
      const bool pair = one.usage == other.usage && one.selector == other.selector;
      must(!pair || one.matching_type == other.matching_type || one.matching_type == 0 ||
           other.matching_type == 0);
    }
  }
  must(dane::usable_records(usable) == usable);
  return 0;
}
