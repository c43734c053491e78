// Reply: an SMTP reply as a value (RFC 5321 §4.2, RFC 2034, RFC 3463), a bounded incremental
// parser for what an MX sends, and the rules by which an MX's reply becomes ours. Pure.
// Used by the session towards the MTA, and by the delivery towards the MX.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace smtp {

// class.subject.detail (RFC 3463 §2): class 2, 4 or 5; the others 0 … 999.
struct EnhancedCode {
  int status_class = 0;
  int subject = 0;
  int detail = 0;
  bool operator==(const EnhancedCode&) const = default;
  std::string str() const;
  // From the start of a reply's text; nullopt where it does not start with one and a space or end.
  static std::optional<EnhancedCode> parse_prefix(std::string_view text);
};

struct Reply {
  int code = 0;                          // 200 … 599
  std::optional<EnhancedCode> enhanced;  // absent in greeting, EHLO, 3yz
  std::vector<std::string> lines;        // text of each line, without code and enhanced code

  bool is_positive() const { return code >= 200 && code < 300; }
  bool is_transient() const { return code >= 400 && code < 500; }
  bool is_permanent() const { return code >= 500; }
  // All lines on one, for logs and quotes: "550 5.1.1 no such user".
  std::string str() const;
  bool operator==(const Reply&) const = default;
};
// What value() does where there is a refusal instead: only a bug asks for it.
[[noreturn]] inline void throw_exception_from_error(const Reply& reply,
                                                    const boost::source_location&) {
  throw std::logic_error(reply.str());
}

// Our own reply: code, enhanced code and one text; text over a line's limit is folded into more
// lines at spaces.
Reply make_reply(int code, EnhancedCode enhanced, std::string_view text);
// The same without an enhanced code (220, 221 greeting lines, 354, EHLO).
Reply make_reply(int code, std::string_view text);
// The same text with " [ID]" at its end, as every 4xx and 5xx of our own has.
Reply with_id(Reply reply, std::string_view id);

// Octets for the client, CRLF at each line's end, each line at most 512 octets with it; control
// characters and octets over 126 become '?' (RFC 5321 §4.5.3.1.5).
std::string to_wire(const Reply& reply);

// What an MX answered to MAIL, RCPT, DATA or the dot, as we pass it on: its code, enhanced code
// (X.0.0 where it gave none or one of another class) and text; but 421 becomes 451, 552 to RCPT
// for too many recipients 452 (RFC 5321 §4.5.3.1.10), 530 in cleartext `451 4.7.4`, a code outside
// 2yz to 5yz and 3yz where none belongs `451 4.4.2`.
enum class Stage : std::uint8_t { mail, rcpt, data, dot };
Reply relayed(const Reply& from_mx, Stage stage, bool cleartext);

// One reply out of a stream. feed() takes octets as they arrive and returns how many belong to
// the reply; done() says that a whole one was read. Fails on a line or a reply over the limits, on
// differing codes in one reply, on a line that is no reply line. A bare LF ends a line too (peers
// do that); NUL and other control characters are kept here and replaced when passed on.
class ReplyParser {
 public:
  base::Result<std::size_t, base::Error> feed(std::string_view octets);
  bool done() const { return done_; }
  // Only when done(); leaves the parser ready for the next reply.
  Reply take();

 private:
  base::Result<void, base::Error> line(std::string_view text);
  std::string partial_;
  Reply reply_;
  std::size_t total_ = 0;
  bool done_ = false;
};

}  // namespace smtp
