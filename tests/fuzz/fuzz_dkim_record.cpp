// DKIM key records: whatever the DNS holds is read within bounds, what is found fault with can be
// printed, and a record that nothing is wrong with has our key and bears a space at its end.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tlsrpt/dkim.h"
#include "tlsrpt/dkim_record.h"

namespace {

const char* const key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";

void must(bool holds) {
  if (!holds) std::abort();
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 32 && c < 127; });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto signer = tlsrpt::DkimSigner::make(key, "example.com", "s");
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto record = tlsrpt::parse_dkim_record(text);
  const auto problem = signer->record_problem(text);
  if (!record) {
    must(problem.has_value());
  } else {
    must(record->key.size() <= size && !record->services.empty());
    for (const std::string& fault : tlsrpt::record_faults(*record)) must(is_printable(fault));
  }
  must(!problem || is_printable(*problem));
  if (problem) return 0;
  must(record->key_type == "ed25519" && record->key.size() == 32);
  must(!signer->record_problem(std::string(text) + " ") || size == tlsrpt::dkim_record_limit);
  return 0;
}
