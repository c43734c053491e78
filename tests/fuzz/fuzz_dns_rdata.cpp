// DNS decoders: whatever comes, they end, and what they accept is bounded and in canonical form.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dns/decode.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void check_name(std::string_view name) {
  must(name.size() <= 4 * 255);
  must(name.empty() || (name.front() != '.' && name.back() != '.'));
  for (const char c : name) must(c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view rdata(reinterpret_cast<const char*>(data), size);
  if (const auto a = dns::decode_a(rdata)) must(size == 4 && a->is_v4());
  if (const auto aaaa = dns::decode_aaaa(rdata)) must(size == 16 && aaaa->is_v6());
  if (const auto name = dns::decode_name(rdata)) check_name(*name);
  if (const auto mx = dns::decode_mx(rdata)) check_name(mx->exchange);
  if (const auto txt = dns::decode_txt(rdata)) must(txt->size() < size);
  if (const auto ttl = dns::shortest_ttl(rdata)) {
    must(ttl->count() >= 0 && ttl->count() <= 0x7fffffff);
  }
  return 0;
}
