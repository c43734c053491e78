// Reverse-paths and recipients off the wire: the first line is the path, the second the recipient.
// No path is freed but the one that was made for just this recipient on a day that counts.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/encode.h"
#include "tlsrpt/return_path.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using std::chrono::days;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view path = text.substr(0, end);
  std::string_view recipient = text.substr(std::min(end + 1, text.size()));
  recipient = recipient.substr(0, recipient.find('\n'));

  // The corpus holds paths that this secret made.
  tlsrpt::ReturnPath::Secret secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::uint8_t>(i);
  const tlsrpt::ReturnPath ours(secret, base::Domain::parse("example.com").value());
  const std::chrono::sys_days today{std::chrono::year(2026) / 11 / 25};

  const bool freed = ours.frees(path, recipient, today);
  const bool own = ours.is_own(path, today);
  require(own || !freed);
  const std::string mine = ours.make(today, recipient);
  bool made = false;
  for (int age = -1; age <= 8 && path.size() == mine.size(); ++age) {
    made = made || base::iequals(ours.make(today - days(age), recipient), path);
  }
  require(freed == made);
  require(mine.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+.@") == mine.npos);
  require(mine.find('@') <= 64 && mine.ends_with("@example.com"));
  require(ours.frees(mine, recipient, today) && ours.is_own(mine, today));
  require(!ours.frees(mine, std::string(recipient) + "x", today));
  return 0;
}
