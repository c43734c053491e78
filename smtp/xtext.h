// xtext (RFC 3461 §4): how an extension's parameter carries any octet: "+" and two hexadecimal
// digits for those outside "!" to "~" and for "+" and "=". Used by XFORWARD. Whoever shows the
// decoded text makes it printable first.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace smtp {

// nullopt: a character that xtext does not have, or "+" without two hexadecimal digits. Lower-case
// digits are read too.
std::optional<std::string> decode_xtext(std::string_view text);
std::string encode_xtext(std::string_view text);

}  // namespace smtp
