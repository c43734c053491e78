// The MTA-STS TXT parser: lines of the input are the records. An id is always one of the grammar's,
// and a record beside it that is no MTA-STS record changes nothing.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "policy/sts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> records(1);
  for (std::size_t i = 0; i < size; ++i) {
    if (data[i] == '\n') {
      records.emplace_back();
    } else {
      records.back().push_back(static_cast<char>(data[i]));
    }
  }
  const auto parsed = policy::parse_sts_txt(records);
  if (const auto* id = std::get_if<std::string>(&parsed)) {
    if (id->empty() || id->size() > 32) std::abort();
    for (const char c : *id) {
      const bool digit = c >= '0' && c <= '9';
      const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      if (!digit && !letter) std::abort();
    }
  } else if (std::get<policy::StsNoRecord>(parsed).reason.empty()) {
    std::abort();
  }
  records.emplace_back("v=spf1 -all");
  const auto again = policy::parse_sts_txt(records);
  if (again.index() != parsed.index()) std::abort();
  return 0;
}
