#include "smtp/netstring.h"

namespace smtp {

namespace {

NetstringFrame bad(std::string_view why) {
  NetstringFrame frame;
  frame.state = NetstringFrame::State::bad;
  frame.why = why;
  return frame;
}

}  // namespace

NetstringFrame netstring_at(std::string_view octets, std::size_t limit) {
  std::size_t length = 0;
  std::size_t at = 0;
  for (; at < octets.size() && octets[at] >= '0' && octets[at] <= '9'; ++at) {
    if (at == 1 && length == 0) return bad("the length has a leading zero");
    const auto digit = static_cast<std::size_t>(octets[at] - '0');
    // No product before it is known to fit.
    if (length > (limit - (digit > limit ? limit : digit)) / 10 || digit > limit) {
      return bad("the netstring is too long");
    }
    length = length * 10 + digit;
  }
  if (at == octets.size()) return {};
  if (at == 0) return bad("a netstring begins with its length");
  if (octets[at] != ':') return bad("no colon behind the length");
  const std::size_t begin = at + 1;
  if (octets.size() - begin <= length) return {};
  if (octets[begin + length] != ',') return bad("no comma behind the netstring");
  NetstringFrame frame;
  frame.state = NetstringFrame::State::whole;
  frame.payload = octets.substr(begin, length);
  frame.size = begin + length + 1;
  return frame;
}

void append_netstring(std::string& out, std::string_view payload) {
  out += std::to_string(payload.size());
  out += ':';
  out += payload;
  out += ',';
}

}  // namespace smtp
