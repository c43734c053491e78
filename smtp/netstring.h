// Netstrings ("5:hello,"): the framing of Sendmail's and Postfix's socket map protocol. Pure; reads
// where the octets are, copies nothing. A length over the limit is refused from its digits, before
// anything behind them has come. Used by proxy/policy_map.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace smtp {

// What stands at the start of `octets`.
struct NetstringFrame {
  enum class State {
    whole,    // `payload` and, with its frame, `size` octets
    partial,  // fine so far; more is to come
    bad,      // never a netstring, or one over the limit: nothing behind it can be read either
  };
  State state = State::partial;
  std::string_view payload;
  std::size_t size = 0;
  std::string_view why;  // where it is bad
};
NetstringFrame netstring_at(std::string_view octets, std::size_t limit);

void append_netstring(std::string& out, std::string_view payload);

}  // namespace smtp
