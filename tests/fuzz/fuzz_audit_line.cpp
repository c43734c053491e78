// Whatever a peer says: the enforcement log's line is ASCII, one line, within its limit, a JSON
// object with every key; masking twice is masking once; any foreign line may be asked for its
// place in the chain.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "audit/mask.h"
#include "audit/record.h"

namespace {
void demand(bool holds) {
  if (!holds) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  audit::Record record;
  record.reply = text;
  record.reason = text;
  record.helo = text;
  record.id = text;
  record.local_parts = {text.substr(0, 8), "alice"};
  record.results = std::vector<audit::PolicyResult>(
      3, {tlsrpt::PolicyType::sts, text, text, {text}, text});
  const std::string line = audit::to_json_line(record, 1, "", base::WallTime());
  demand(line.size() < audit::line_limit);
  for (char c : line) demand(c >= 0x20 && c < 0x7F);
  demand(nlohmann::json::parse(line).size() == audit::record_keys.size());

  const std::string masked = audit::mask_local_parts(text);
  demand(audit::mask_local_parts(masked) == masked);

  const auto link = audit::parse_link(line);
  demand(link && link->seq == 1 && link->prev.empty());
  (void)audit::parse_link(text);
  (void)audit::parse_rfc3339(text);
  return 0;
}
