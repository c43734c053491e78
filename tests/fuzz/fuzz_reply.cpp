// Replies of an MX: read alike in one piece and octet by octet, and safe when passed on.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "smtp/extensions.h"
#include "smtp/reply.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

// The replies in `octets` up to the first error.
std::vector<smtp::Reply> parse(std::string_view octets, std::size_t step) {
  std::vector<smtp::Reply> out;
  smtp::ReplyParser parser;
  while (!octets.empty()) {
    const std::string_view piece = octets.substr(0, step);
    const auto used = parser.feed(piece);
    if (!used) break;
    require(*used > 0 && *used <= piece.size());
    octets.remove_prefix(*used);
    if (parser.done()) out.push_back(parser.take());
  }
  return out;
}

void pass_on(const smtp::Reply& reply) {
  using smtp::Stage;
  for (const Stage stage : {Stage::mail, Stage::rcpt, Stage::data, Stage::dot}) {
    const smtp::Reply ours = relayed(reply, stage, true);
    require(ours.code >= 200 && ours.code < 600 && ours.code != 421);
    require(ours.code / 100 != 3 || stage == Stage::data);
    require(ours.code / 100 != 2 || stage != Stage::data);
    const std::string wire = to_wire(with_id(ours, "0123456789ABC"));
    std::size_t length = 0;
    for (std::size_t i = 0; i < wire.size(); ++i) {
      ++length;
      if (wire[i] == '\r') require(wire[i + 1] == '\n');
      if (wire[i] != '\n') continue;
      require(wire[i - 1] == '\r' && length <= base::limits::reply_line_out);
      length = 0;
    }
    require(length == 0);
    smtp::ReplyParser again;
    require(again.feed(wire).has_value() || ours.lines.size() + 2 > base::limits::reply_lines ||
            wire.size() > base::limits::reply_total);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = parse(text, text.size());
  require(parse(text, 1) == whole);
  for (const smtp::Reply& reply : whole) {
    pass_on(reply);
    smtp::parse_extensions(reply);
  }
  return 0;
}
