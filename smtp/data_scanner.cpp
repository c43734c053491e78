#include "smtp/data_scanner.h"

#include <algorithm>
#include <cstring>

#include "base/encode.h"

namespace smtp {
namespace {

// So many octets of the body are looked at together. A constant, and loops without a branch, so
// that the compiler makes vector instructions of them: a body's line costs no call and no jump.
constexpr std::size_t block = 128;

bool has_high_bit(std::string_view octets) {
  while (octets.size() >= block) {
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < block; ++i) seen |= static_cast<std::uint8_t>(octets[i]);
    if ((seen & 0x80) != 0) return true;
    octets.remove_prefix(block);
  }
  return std::any_of(octets.begin(), octets.end(), [](char c) { return (c & 0x80) != 0; });
}

// Whether the block at `at`, which one octet at least precedes, has only whole line ends or parts
// of one at its borders, and no line of it begins with a dot.
bool is_plain(const char* at) {
  std::uint8_t odd = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const char before = at[i - 1];
    odd |= static_cast<std::uint8_t>((at[i] == '\n') != (before == '\r'));
    odd |= static_cast<std::uint8_t>((at[i] == '.') & (before == '\n'));
  }
  return odd == 0;
}

const char* find(const char* from, const char* to, char c) {
  if (from == to) return nullptr;
  return static_cast<const char*>(std::memchr(from, c, static_cast<std::size_t>(to - from)));
}

}  // namespace

void DataScanner::text(std::string_view octets) {
  if (!header_.done()) header_.text(octets);
}

void DataScanner::line_end() {
  state_ = State::line_start;
  if (!header_.done()) header_.line_end();
}

// One octet in the states around a line's ends; it is used up, except that an octet which begins a
// line's text, or follows what turned out to be text, is left to run().
void DataScanner::step(char c) {
  switch (state_) {
    case State::line_start:
      state_ = c == '.' ? State::dot : State::inside;
      return;
    case State::dot:
      if (c == '\r') {
        state_ = State::dot_cr;
        return;
      }
      ++stuffed_;  // RFC 5321 §4.5.2: a leading dot before anything else is not of the message
      break;
    case State::dot_cr:
      if (c == '\n') {
        ended_ = true;
        return;
      }
      ++stuffed_;
      bare_ = true;
      text("\r");
      break;
    case State::cr:
      if (c == '\n') {
        line_end();
        return;
      }
      bare_ = true;
      text("\r");
      break;
    case State::inside:
      return;
  }
  state_ = State::inside;
}

// Text inside a line: up to and with the line's end, a CR at the end of the chunk, or all of it.
// Returns how many octets that is.
std::size_t DataScanner::run(std::string_view left) {
  const char* const begin = left.data();
  const char* const end = begin + left.size();
  const char* const newline = find(begin, end, '\n');
  const char* const stop = newline ? newline : end;
  const char* const carriage = find(begin, stop, '\r');
  const bool cr_last = stop != begin && stop[-1] == '\r';
  if (carriage && (!cr_last || carriage != stop - 1)) bare_ = true;
  text(left.substr(0, static_cast<std::size_t>(stop - begin) - (cr_last ? 1 : 0)));
  if (!newline) {
    if (cr_last) state_ = State::cr;
    return left.size();
  }
  if (cr_last) {
    line_end();
  } else {
    bare_ = true;
    text("\n");
  }
  return static_cast<std::size_t>(newline - begin) + 1;
}

// Blocks of the body from `at` on, which is not 0, in which every CR has its LF and no line begins
// with a dot: how many octets they are. The octet before tells whether a line begins there.
std::size_t DataScanner::plain(std::string_view chunk, std::size_t at) {
  if (!header_.done()) return 0;
  const std::size_t from = at;
  while (chunk.size() - at >= block && is_plain(chunk.data() + at)) at += block;
  if (at == from) return 0;
  const char last = chunk[at - 1];
  state_ = last == '\n' ? State::line_start : last == '\r' ? State::cr : State::inside;
  return at - from;
}

DataScanner::Result DataScanner::scan(std::string_view chunk) {
  Result out;
  if (ended_) {
    out.rest = chunk;
    return out;
  }
  std::string_view held;  // of earlier chunks
  if (state_ == State::dot) held = ".";
  if (state_ == State::dot_cr) held = ".\r";
  bool holding = !held.empty();
  std::size_t dot_at = 0;  // where a possible terminator begins in this chunk
  const std::uint64_t stuffed_before = stuffed_;

  std::size_t at = 0;
  std::size_t next_look = 1;  // an odd block is not looked at again for each of its lines
  while (at < chunk.size() && !ended_) {
    if (at >= next_look && (state_ == State::inside || state_ == State::line_start)) {
      const std::size_t passed = plain(chunk, at);
      at += passed;
      next_look = at + block;
      if (passed > 0) continue;
    }
    if (state_ == State::inside) {
      at += run(chunk.substr(at));
      continue;
    }
    const State before = state_;
    if (before == State::line_start) dot_at = at;
    step(chunk[at]);
    if (state_ != State::inside) {
      ++at;
    } else if (before != State::line_start && before != State::cr) {
      if (holding) out.pending = held;
      holding = false;
    }
  }
  const bool keeps = ended_ || state_ == State::dot || state_ == State::dot_cr;
  std::size_t sent = chunk.size();
  if (keeps) sent = holding ? 0 : dot_at;
  out.content = chunk.substr(0, sent);
  out.ended = ended_;
  if (ended_) {
    out.rest = chunk.substr(at);
    header_.finish();
  }
  octets_ += out.pending.size() + out.content.size();
  octets_ -= stuffed_ - stuffed_before;
  if (!eight_bit_) eight_bit_ = has_high_bit(out.content);
  return out;
}

void HeaderScanner::text(std::string_view octets) {
  std::size_t at = 0;
  for (; at < octets.size() && in_ != In::body && !done_; ++at) {
    if (in_ == In::line_start) {
      start_line(octets[at]);
    } else {
      name_octet(octets[at]);
    }
  }
  if (done_) return;
  // A name has no such octet: it would have ended the header.
  const std::string_view body = octets.substr(at);
  if (!has_non_ascii_) has_non_ascii_ = has_high_bit(body);
  keep(body);
}

void HeaderScanner::start_line(char c) {
  if ((c == ' ' || c == '\t') && has_field_) {
    in_ = In::body;  // RFC 5322 §2.2.3: a folded line goes on with its field
    return;
  }
  end_field();
  name_.clear();
  in_ = In::name;
  name_octet(c);
}

void HeaderScanner::name_octet(char c) {
  if (c == ':' && !name_.empty()) {
    in_ = In::body;
    has_field_ = true;
    if (base::iequals(name_, "Received")) keep_body_ = ++received_fields_ == 1;
    return;
  }
  // RFC 5322 §4.5: obsolete syntax has white space before the colon.
  if ((c == ' ' || c == '\t') && !name_.empty()) {
    in_ = In::after_name;
    return;
  }
  // A line that is no field: the body begins without an empty line.
  if (c <= 32 || c > 126 || c == ':' || in_ == In::after_name) {
    finish();
    return;
  }
  constexpr std::size_t kept_of_name = 16;
  if (name_.size() < kept_of_name) name_ += c;
}

void HeaderScanner::line_end() {
  if (done_) return;
  if (in_ != In::body) {
    finish();  // the empty line, or one without a colon
    return;
  }
  in_ = In::line_start;
  keep(" ");
}

void HeaderScanner::keep(std::string_view body) {
  constexpr std::size_t most = 2048;
  if (keep_body_) body_.append(body.substr(0, most - body_.size()));
}

namespace {

// The next word of a Received field's text: comments (RFC 5322 §3.2.2) passed over, ";" on its own.
std::string_view take_word(std::string_view& text) {
  int depth = 0;
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (depth > 0 && c == '\\') {
      ++i;
    } else if (c == '(') {
      ++depth;
    } else if (c == ')' && depth > 0) {
      --depth;
    } else if (depth == 0 && c != ' ' && c != '\t') {
      break;
    }
  }
  text.remove_prefix(std::min(i, text.size()));
  if (text.starts_with(';')) return text.substr(0, 1);
  const std::string_view word = text.substr(0, std::min(text.find_first_of(" \t(;"), text.size()));
  text.remove_prefix(word.size());
  return word;
}

// RFC 5321 §4.4: ID = CFWS "ID" FWS ( Atom / msg-id ).
std::string id_clause(std::string_view text) {
  constexpr std::size_t longest = 128;
  while (true) {
    const std::string_view word = take_word(text);
    if (word.empty() || word == ";") return {};
    if (!base::iequals(word, "id")) continue;
    const std::string_view id = take_word(text);
    if (id == ";") return {};
    std::string out(id.substr(0, longest));
    for (char& c : out) {
      if (c <= 32 || c > 126) c = '?';
    }
    return out;
  }
}

}  // namespace

void HeaderScanner::end_field() {
  if (!keep_body_) return;
  queue_id_ = id_clause(body_);
  keep_body_ = false;
  body_ = std::string();
}

void HeaderScanner::finish() {
  if (done_) return;
  end_field();
  done_ = true;
}

}  // namespace smtp
