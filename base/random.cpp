#include "base/random.h"

namespace base {

std::string Random::id() {
  static constexpr char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::uint64_t bits = next();
  std::string out(13, '0');
  for (std::size_t i = out.size(); i-- > 0;) {
    out[i] = alphabet[bits & 31];
    bits >>= 5;
  }
  return out;
}

}  // namespace base
