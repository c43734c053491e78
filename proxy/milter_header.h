// The header fields of the milter: the one it adds, and those that `[[milter.rule]]` looks for.
// Pure. Used by proxy/milter_message.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace proxy {

// Says what was known of each recipient domain when the message came in; never that anything was
// enforced, which only the sending of it decides. A field of this name that comes in is taken out.
inline constexpr std::string_view outlook_field = "X-Sternpost-Outlook";

bool same_field_name(std::string_view a, std::string_view b);

// "example.com: verified (DANE); other.example: opportunistic", folded with LF and a tab (libmilter
// makes CRLF of it); the first fifty domains, then how many more.
std::string outlook_field_body(const std::vector<std::pair<std::string, std::string>>& domains);

// Whether the body of a field is `value`: unfolded, without space around, runs of space as one, the
// case of ASCII letters ignored; as it stands or with its encoded words (RFC 2047) decoded.
// Comments are part of the body.
bool field_matches(std::string_view body, std::string_view value);

// Encoded words (RFC 2047 §2) decoded into octets, whatever their charset; space between two of
// them goes (§6.2). What is no encoded word stays as it is.
std::string decode_encoded_words(std::string_view text);

// As a text of ours may stand in a reply: one line, printable ASCII, at most `most` octets. What it
// is too long for ends in "...".
std::string reply_text(std::string_view text, std::size_t most);

}  // namespace proxy
