#include "proxy/tls_input.h"

#include <openssl/bio.h>

#include <algorithm>
#include <cstring>

namespace proxy {

namespace {

constexpr std::size_t first_capacity = 4096;  // every reply of an MX
constexpr std::size_t most_capacity = 32768;  // two of the largest records

int read_input(BIO* bio, char* to, int size) {
  auto* const input = static_cast<TlsInput*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (input == nullptr || size <= 0) return 0;
  if (!input->empty()) {
    return static_cast<int>(input->take(to, static_cast<std::size_t>(size)));
  }
  if (input->ended()) return 0;
  BIO_set_retry_read(bio);
  return -1;
}

long control(BIO* bio, int command, long, void*) {
  auto* const input = static_cast<TlsInput*>(BIO_get_data(bio));
  switch (command) {
    case BIO_CTRL_EOF: return input == nullptr || (input->empty() && input->ended()) ? 1 : 0;
    case BIO_CTRL_FLUSH: return 1;
    default: return 0;
  }
}

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* one =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sternpost tls input");
    if (one != nullptr) {
      BIO_meth_set_read(one, read_input);
      BIO_meth_set_ctrl(one, control);
      BIO_meth_set_create(one, create);
    }
    return one;
  }();
  return made;
}

}  // namespace

bio_st* TlsInput::make_bio() {
  BIO* const bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio != nullptr) BIO_set_data(bio, this);
  return bio;
}

std::span<char> TlsInput::room() {
  start_ = end_ = 0;
  if (capacity_ == 0 || (full_ && capacity_ < most_capacity)) {
    capacity_ = capacity_ == 0 ? first_capacity : std::min(capacity_ * 4, most_capacity);
    buffer_.reset(new char[capacity_]);
    full_ = false;
  }
  return {buffer_.get(), capacity_};
}

void TlsInput::received(std::size_t octets) {
  end_ = octets;
  full_ = octets == capacity_;
}

void TlsInput::release() {
  if (!empty()) return;
  buffer_.reset();
  capacity_ = 0;
  full_ = false;
}

std::size_t TlsInput::take(char* to, std::size_t size) {
  const std::size_t octets = std::min(size, end_ - start_);
  std::memcpy(to, buffer_.get() + start_, octets);
  start_ += octets;
  return octets;
}

}  // namespace proxy
