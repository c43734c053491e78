// How text gets into a message (RFC 5322 §2.2.3, RFC 2045 §6, RFC 2047): folded fields, display
// names, transfer encodings. Whatever the text holds, it cannot end a field or a part, and lines
// stay short. Pure; not responsible for what a message says. Called by tlsrpt/message.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tlsrpt {

// "Name: word word", folded between words so that lines have at most 78 octets where the words
// allow; ends with CRLF. A control character in a word becomes "?".
std::string folded(std::string_view name, std::span<const std::string> words);

// A display name as words for folded(): none where it is empty, one quoted string where it is short
// and ASCII, else encoded-words. Ends behind each whole character (RFC 2047 §5).
std::vector<std::string> display_name(std::string_view text);

// `text` in UTF-8 without control characters: they become a space, what is no UTF-8 U+FFFD.
std::string clean_text(std::string_view text);

// RFC 2045 §6.7 and §6.8: lines of at most 76 octets, each ended by CRLF. `text` has "\n" at the
// end of each line.
std::string quoted_printable(std::string_view text);
std::string base64_lines(std::string_view octets);

}  // namespace tlsrpt
