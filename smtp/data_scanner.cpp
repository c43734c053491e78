#include "smtp/data_scanner.h"

#include <algorithm>
#include <cstring>

#include "base/encode.h"

namespace smtp {
namespace {

bool has_high_bit(std::string_view octets) {
  const char* at = octets.data();
  std::size_t left = octets.size();
  std::uint64_t seen = 0;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    seen |= word;
  }
  for (; left > 0; ++at, --left) seen |= static_cast<unsigned char>(*at);
  return (seen & 0x8080808080808080ULL) != 0;
}

const char* find(const char* from, const char* to, char c) {
  if (from == to) return nullptr;
  return static_cast<const char*>(std::memchr(from, c, static_cast<std::size_t>(to - from)));
}

}  // namespace

void DataScanner::text(std::string_view octets) {
  if (header_.done()) return;
  for (const char c : octets) header_.octet(c);
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
  while (at < chunk.size() && !ended_) {
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

void HeaderScanner::octet(char c) {
  if (done_) return;
  if (in_ == In::line_start) {
    start_line(c);
  } else if (in_ == In::name || in_ == In::after_name) {
    name_octet(c);
  }
  if (done_) return;
  if ((c & 0x80) != 0) has_non_ascii_ = true;
  constexpr std::size_t kept_of_body = 2048;
  if (in_ == In::body && keep_body_ && body_.size() < kept_of_body) body_ += c;
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
  if (keep_body_) body_ += ' ';
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
