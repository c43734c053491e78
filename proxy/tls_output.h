// TlsOutput: the way of TLS to the socket. OpenSSL's own socket BIO writes with write(2): where the
// peer has gone that raises SIGPIPE, which ends every program that does not ignore it, a command of
// ours among them. It can also keep what belongs together until there is all of it: the end of a
// handshake and the first command under it, a last command and close_notify. Used by proxy/channel,
// on its thread; what arrives goes through proxy/tls_input.
#pragma once

#include <cstddef>
#include <string>

struct bio_st;

namespace proxy {

class TlsOutput {
 public:
  TlsOutput() = default;
  TlsOutput(const TlsOutput&) = delete;
  TlsOutput& operator=(const TlsOutput&) = delete;

  // A BIO that sends to `descriptor`, which stays the caller's, as the BIO does; this must outlive
  // it. nullptr: no memory.
  bio_st* make_bio(int descriptor);

  // What TLS writes while it holds is kept, a few kilobytes at most, and goes out in front of what
  // TLS writes afterwards, or by flush().
  void hold() { holding_ = true; }
  void let_go() { holding_ = false; }
  bool is_empty() const { return held_.empty(); }
  // Sends what was kept. False with errno where not all of it went; EAGAIN: the rest may go later.
  bool flush();
  // Forgets what was kept and where it was to go: the descriptor may soon be somebody else's.
  void drop();

  // For the BIO: octets taken, -1 with errno.
  int write(const char* from, std::size_t size) noexcept;

 private:
  bool keep(const char* from, std::size_t size) noexcept;
  int descriptor_ = -1;
  bool holding_ = false;
  std::string held_;
};

}  // namespace proxy
