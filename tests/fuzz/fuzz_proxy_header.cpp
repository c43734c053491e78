// The PROXY header: read alike in one piece and octet by octet, bounded, nothing behind it taken.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "smtp/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  smtp::ProxyHeaderParser whole;
  const auto used = whole.feed(input);
  smtp::ProxyHeaderParser slow;
  bool failed = false;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < size && !slow.done() && !failed; ++i) {
    const auto one = slow.feed(input.substr(i, 1));
    failed = !one.has_value();
    if (!failed) taken += *one;
  }
  if (failed == used.has_value() || slow.done() != whole.done()) std::abort();
  if (failed) return 0;
  if (*used != taken || *used > 16 + 2048) std::abort();
  if (slow.header().source != whole.header().source) std::abort();
  return 0;
}
