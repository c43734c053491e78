#include "smtp/reply.h"

#include <algorithm>
#include <span>

#include "base/encode.h"
#include "base/limits.h"

namespace smtp {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One to three digits at the start of `text`, which loses them; -1 where there are none or more.
int take_number(std::string_view& text) {
  int value = 0;
  std::size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) {
    if (digits == 3) return -1;
    value = value * 10 + (text[digits] - '0');
    ++digits;
  }
  text.remove_prefix(digits);
  return digits == 0 ? -1 : value;
}

bool take_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

// RFC 2034 §4: the enhanced code stands on each line of a 2yz, 4yz and 5yz reply, not of a 3yz.
std::string line_prefix(const Reply& reply) {
  if (!reply.enhanced || reply.code / 100 == 3) return {};
  std::string out = reply.enhanced->str();
  out += ' ';
  return out;
}

// Octets that a line's text may have: RFC 5321 §4.5.3.1.5 counts code, separator and CRLF too.
std::size_t text_room(std::string_view prefix) {
  return base::limits::reply_line_out - 6 - prefix.size();
}

void append_folded(Reply& reply, std::string_view text) {
  const std::size_t room = text_room(line_prefix(reply));
  while (text.size() > room) {
    const std::size_t space = text.rfind(' ', room);
    const bool at_space = space != std::string_view::npos && space > 0;
    const std::size_t cut = at_space ? space : room;
    reply.lines.emplace_back(text.substr(0, cut));
    text.remove_prefix(at_space ? cut + 1 : cut);
  }
  reply.lines.emplace_back(text);
}

bool contains_ignoring_case(const Reply& reply, std::string_view lower_case) {
  return std::any_of(reply.lines.begin(), reply.lines.end(), [&](const std::string& line) {
    return base::to_lower(line).find(lower_case) != std::string::npos;
  });
}

// RFC 5321 §4.5.3.1.10: 552 to RCPT for too many recipients is meant as 452. The same code stands
// for a full mailbox and for size, which are what they say; so the enhanced code decides, and the
// words where there is none.
bool is_too_many_recipients(const Reply& reply) {
  if (reply.enhanced) return *reply.enhanced == EnhancedCode{5, 5, 3};
  return contains_ignoring_case(reply, "too many");
}

Reply unexpected(const Reply& from_mx) {
  return make_reply(451, {4, 4, 2}, "unexpected reply from the MX host: " + from_mx.str());
}

}  // namespace

std::string EnhancedCode::str() const {
  std::string out = std::to_string(status_class);
  for (const int part : {subject, detail}) {
    out += '.';
    out += std::to_string(part);
  }
  return out;
}

std::optional<EnhancedCode> EnhancedCode::parse_prefix(std::string_view text) {
  if (text.empty() || (text[0] != '2' && text[0] != '4' && text[0] != '5')) return std::nullopt;
  EnhancedCode code;
  code.status_class = text[0] - '0';
  text.remove_prefix(1);
  if (!take_dot(text)) return std::nullopt;
  code.subject = take_number(text);
  if (code.subject < 0 || !take_dot(text)) return std::nullopt;
  code.detail = take_number(text);
  if (code.detail < 0 || (!text.empty() && text[0] != ' ')) return std::nullopt;
  return code;
}

std::string Reply::str() const {
  std::string out = std::to_string(code);
  if (enhanced) out += " " + enhanced->str();
  for (const std::string& line : lines) {
    if (!line.empty()) out += " " + line;
  }
  return out;
}

Reply make_reply(int code, EnhancedCode enhanced, std::string_view text) {
  Reply reply;
  reply.code = code;
  reply.enhanced = enhanced;
  append_folded(reply, text);
  return reply;
}

Reply make_reply(int code, std::string_view text) {
  Reply reply;
  reply.code = code;
  append_folded(reply, text);
  return reply;
}

Reply with_id(Reply reply, std::string_view id) {
  std::string last;
  if (!reply.lines.empty()) {
    last = std::move(reply.lines.back());
    reply.lines.pop_back();
  }
  if (!last.empty()) last += ' ';
  last += '[';
  last += id;
  last += ']';
  append_folded(reply, last);
  return reply;
}

std::string to_wire(const Reply& reply) {
  const std::string code = std::to_string(reply.code);
  const std::string prefix = line_prefix(reply);
  const std::size_t room = text_room(prefix);
  std::string out;
  const std::size_t count = std::max<std::size_t>(reply.lines.size(), 1);
  for (std::size_t i = 0; i < count; ++i) {
    out += code;
    out += i + 1 < count ? '-' : ' ';
    out += prefix;
    const std::size_t text = out.size();
    if (!reply.lines.empty()) out.append(reply.lines[i], 0, room);
    for (char& c : std::span(out).subspan(text)) {
      if (c < 32 || c > 126) c = '?';  // char is signed or not: octets over 127 fail one of the two
    }
    out += "\r\n";
  }
  return out;
}

Reply relayed(const Reply& from_mx, Stage stage, bool cleartext) {
  const int first_digit = from_mx.code / 100;
  if (stage == Stage::data && first_digit == 3) {
    Reply reply = from_mx;
    reply.enhanced.reset();
    return reply;
  }
  // RFC 5321 §4.3.2: only 3yz says yes to DATA, and nothing else is answered with 3yz. A 2yz here
  // must not reach a client that could take it for the delivery of a message never sent.
  const bool positive = first_digit == 2 && stage != Stage::data;
  if (!positive && first_digit != 4 && first_digit != 5) return unexpected(from_mx);

  Reply reply = from_mx;
  if (from_mx.code == 421) {
    reply.code = 451;  // the MX closes its connection, not we ours
  } else if (from_mx.code == 552 && stage == Stage::rcpt && is_too_many_recipients(from_mx)) {
    reply.code = 452;
    reply.enhanced = EnhancedCode{4, 5, 3};
  } else if (from_mx.code == 530 && cleartext) {
    reply.code = 451;
    reply.enhanced = EnhancedCode{4, 7, 4};
  }
  const int status_class = reply.code / 100;
  if (!reply.enhanced || reply.enhanced->status_class != status_class) {
    reply.enhanced = EnhancedCode{status_class, 0, 0};
  }
  return reply;
}

base::Result<std::size_t, base::Error> ReplyParser::feed(std::string_view octets) {
  using base::fail;
  std::size_t used = 0;
  while (!done_ && used < octets.size()) {
    const std::string_view left = octets.substr(used);
    const std::size_t newline = left.find('\n');
    const std::size_t take = newline == std::string_view::npos ? left.size() : newline + 1;
    total_ += take;
    if (partial_.size() + take > base::limits::reply_line_in) return fail("reply line too long");
    if (total_ > base::limits::reply_total) return fail("reply too long");
    partial_ += left.substr(0, take);
    used += take;
    if (newline == std::string_view::npos) break;
    std::string_view text = partial_;
    text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (auto taken = line(text); !taken) return fail(taken.error());
    partial_.clear();
  }
  return used;
}

base::Result<void, base::Error> ReplyParser::line(std::string_view text) {
  using base::fail;
  const bool digits = text.size() >= 3 && is_digit(text[0]) && is_digit(text[1]) &&
                      is_digit(text[2]);
  if (!digits || (text.size() > 3 && text[3] != ' ' && text[3] != '-')) {
    return fail("not a reply line: " + base::printable(text.substr(0, 80)));
  }
  const int code = (text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0');
  // RFC 5321 §4.2.1: every line of one reply has the same code.
  if (!reply_.lines.empty() && code != reply_.code) return fail("differing codes in one reply");
  if (reply_.lines.size() == base::limits::reply_lines) return fail("too many lines in one reply");
  const bool last = text.size() == 3 || text[3] == ' ';
  text.remove_prefix(std::min<std::size_t>(text.size(), 4));

  const auto enhanced = EnhancedCode::parse_prefix(text);
  if (enhanced && reply_.lines.empty()) reply_.enhanced = enhanced;
  if (enhanced && reply_.enhanced == enhanced) {
    const std::size_t space = text.find(' ');
    text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
  }
  reply_.code = code;
  reply_.lines.emplace_back(text);
  done_ = last;
  return {};
}

Reply ReplyParser::take() {
  Reply out = std::move(reply_);
  *this = ReplyParser();
  return out;
}

}  // namespace smtp
