// The data scanner: no chunking changes what it says, nothing of the stream is lost, and only
// CRLF.CRLF ends it. The oracle is a plain search.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/data_scanner.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Outcome {
  smtp::DataScanner scanner;
  std::string content;
  std::string rest;
};

Outcome scan(std::string_view input, std::size_t step) {
  Outcome out;
  while (!input.empty()) {
    const auto result = out.scanner.scan(input.substr(0, step));
    out.content.append(result.pending).append(result.content);
    out.rest += result.rest;
    input.remove_prefix(std::min(step, input.size()));
  }
  return out;
}

bool is_bare(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) return true;
    if (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n')) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Outcome whole = scan(input, input.size() + 1);

  const std::string_view end = "\r\n.\r\n";
  const std::size_t found = ("\r\n" + std::string(input)).find(end);
  require(whole.scanner.ended() == (found != std::string::npos));
  if (whole.scanner.ended()) {
    require(whole.content == input.substr(0, found));
    require(whole.content + ".\r\n" + whole.rest == input);
    require(whole.scanner.bare_cr_or_lf() == is_bare(whole.content));
    require(whole.scanner.octets() <= whole.content.size());
  }
  for (const std::size_t step : {1, 2, 3, 5, 64}) {
    const Outcome other = scan(input, step);
    require(other.content == whole.content && other.rest == whole.rest);
    require(other.scanner.ended() == whole.scanner.ended());
    require(other.scanner.octets() == whole.scanner.octets());
    require(other.scanner.bare_cr_or_lf() == whole.scanner.bare_cr_or_lf());
    require(other.scanner.eight_bit() == whole.scanner.eight_bit());
    require(other.scanner.received_fields() == whole.scanner.received_fields());
    require(other.scanner.header_has_non_ascii() == whole.scanner.header_has_non_ascii());
    require(other.scanner.queue_id() == whole.scanner.queue_id());
  }
  require(whole.scanner.queue_id().size() <= 128);
  return 0;
}
