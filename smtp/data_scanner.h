// DataScanner: finds the end of a message in the client's stream and tells what the relay must
// know of it, without copying: the dot-stuffed octets go to the MX as they came (RFC 5321 §4.5.2
// holds on both sides). Only <CRLF>.<CRLF> ends the data (RFC 5321 §2.3.8, §4.1.1.4), so nothing
// can be smuggled behind a bare LF or CR: those are flagged and scanning goes on to the real end.
// One scanner a message; no I/O, no limits of its own but those of what it keeps. Called by the
// session for each chunk it read after 354.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace smtp {

// What the header says that the relay needs: fed with the text of its lines, in pieces of any size.
class HeaderScanner {
 public:
  void text(std::string_view octets);
  void line_end();
  bool done() const { return done_; }
  void finish();

  unsigned received_fields() const { return received_fields_; }
  bool has_non_ascii() const { return has_non_ascii_; }
  // The id clause of the topmost Received field (RFC 5321 §4.4), printable, at most 128 octets;
  // empty where there is none.
  const std::string& queue_id() const { return queue_id_; }

 private:
  void start_line(char c);
  void name_octet(char c);
  void keep(std::string_view body);
  void end_field();

  enum class In : std::uint8_t { line_start, name, after_name, body } in_ = In::line_start;
  bool done_ = false;
  bool has_field_ = false;
  bool has_non_ascii_ = false;
  bool keep_body_ = false;  // inside the topmost Received field
  unsigned received_fields_ = 0;
  std::string name_;  // of the field, as far as it can be "received"
  std::string body_;
  std::string queue_id_;
};

class DataScanner {
 public:
  // To be sent in this order: `pending`, then `content`. `pending` is what earlier chunks ended
  // with and could have been the terminator ("." or ".\r"); it refers to static storage, the others
  // to the chunk. With `ended` the terminator was read, which is in neither; `rest` is what the
  // client sent behind it. All of them joined, with ".\r\n" before `rest`, are the octets scanned.
  struct Result {
    std::string_view pending;
    std::string_view content;
    bool ended = false;
    std::string_view rest;
  };
  // Any size, also empty. After the end all of a chunk is `rest`.
  Result scan(std::string_view chunk);

  bool ended() const { return ended_; }
  // RFC 5321 §2.3.8: a CR without its LF or the other way round was seen.
  bool bare_cr_or_lf() const { return bare_; }
  // RFC 1870 §5: octets of the message so far, with each CRLF, without stuffed dots.
  std::uint64_t octets() const { return octets_; }
  // An octet over 127 was seen, in the header or the body (RFC 6152).
  bool eight_bit() const { return eight_bit_; }
  // False until the empty line or the end was read: the three below may still change.
  bool header_ended() const { return header_.done(); }
  // RFC 5321 §6.3.
  unsigned received_fields() const { return header_.received_fields(); }
  // RFC 6531 §3.6, RFC 6532: such a message needs SMTPUTF8.
  bool header_has_non_ascii() const { return header_.has_non_ascii(); }
  const std::string& queue_id() const { return header_.queue_id(); }

 private:
  enum class State : std::uint8_t { line_start, dot, dot_cr, cr, inside };
  void step(char c);
  std::size_t run(std::string_view left);
  std::size_t plain(std::string_view chunk, std::size_t at);
  void text(std::string_view octets);
  void line_end();

  HeaderScanner header_;
  State state_ = State::line_start;
  bool ended_ = false;
  bool bare_ = false;
  bool eight_bit_ = false;
  std::uint64_t octets_ = 0;
  std::uint64_t stuffed_ = 0;
};

}  // namespace smtp
