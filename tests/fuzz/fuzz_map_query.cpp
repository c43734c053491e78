// Questions to the policy map: netstrings read alike in one piece and octet by octet, never beyond
// their limit; a key that names a domain names it again in its one form.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "policy/map_query.h"
#include "smtp/netstring.h"

using State = smtp::NetstringFrame::State;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const std::size_t limit : {std::size_t{0}, std::size_t{9}, base::limits::map_question}) {
    const auto frame = smtp::netstring_at(input, limit);
    for (std::size_t n = 0; n <= size && n <= 64; ++n) {
      const auto part = smtp::netstring_at(input.substr(0, n), limit);
      // What was bad stays bad; a whole one is the same however much is behind it.
      if (part.state == State::bad && frame.state != State::bad) std::abort();
      if (part.state == State::whole &&
          (frame.state != State::whole || frame.payload != part.payload)) {
        std::abort();
      }
    }
    if (frame.state != State::whole) continue;
    if (frame.payload.size() > limit || frame.size > size) std::abort();
    std::string again;
    smtp::append_netstring(again, frame.payload);
    if (again != input.substr(0, frame.size)) std::abort();
    const auto query = policy::parse_map_query(frame.payload);
    if (!query) continue;
    const auto domain = policy::domain_of_map_key(query->key);
    if (!domain) continue;
    if (query->key.front() == '.' || query->key.front() == '[') std::abort();
    if (policy::domain_of_map_key(domain->view()) != domain) std::abort();
  }
  return 0;
}
