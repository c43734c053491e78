// TlsInput: the octets of TLS that have arrived, for OpenSSL to read. The channel receives into it
// whatever is there with one system call; OpenSSL's own socket BIO takes two for each record, its
// head and the rest, and one more to find nothing. Knows neither socket nor session. Used by
// proxy/channel, on its thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

struct bio_st;

namespace proxy {

class TlsInput {
 public:
  TlsInput() = default;
  TlsInput(const TlsInput&) = delete;
  TlsInput& operator=(const TlsInput&) = delete;

  // A BIO that reads from here, which must outlive it; the caller owns it. nullptr: no memory.
  bio_st* make_bio();

  bool empty() const { return start_ == end_; }
  // Where to put what arrives next; to be called only while this is empty.
  std::span<char> room();
  void received(std::size_t octets);
  // The peer sends no more: read as the end, once what is here was read.
  void end() { ended_ = true; }
  bool ended() const { return ended_; }
  // Frees the memory where nothing is in it.
  void release();

  // For the BIO: moves up to `size` octets.
  std::size_t take(char* to, std::size_t size);

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t start_ = 0;  // of what was not read
  std::size_t end_ = 0;
  bool full_ = false;      // all the room was filled: more is to come
  bool ended_ = false;
};

}  // namespace proxy
