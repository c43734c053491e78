// What the milter reads of a message itself: encoded words, header bodies, next hops.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proxy/milter_header.h"
#include "proxy/milter_recipient.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  // Decoding never makes it longer.
  if (proxy::decode_encoded_words(input).size() > size) std::abort();
  const std::string_view value = input.substr(0, input.find('\n'));
  if (!proxy::field_matches(value, value)) std::abort();
  (void)proxy::field_matches(input, "confidential");
  const std::string line = proxy::reply_text(input, 100);
  if (line.size() > 100) std::abort();
  for (const char c : line) {
    if (c < 0x20 || c > 0x7e) std::abort();
  }
  static const config::Config config = [] {
    config::Config made;
    made.listen.resize(2);
    made.listen[1].address = config::Unix{"/run/x.sock"};
    return made;
  }();
  const std::size_t first = std::min(input.find('\n'), size);
  const std::size_t second = std::min(input.find('\n', first), size);
  (void)proxy::policy_domain_of({"smtp", std::string(input.substr(0, first)),
                                 std::string(input.substr(first))},
                                input.substr(second), config);
  return 0;
}
