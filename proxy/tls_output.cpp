#include "proxy/tls_output.h"

#include <openssl/bio.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace proxy {

namespace {

constexpr std::size_t most_held = 8192;

// Octets sent, of both together; -1 with errno.
ssize_t send_both(int descriptor, std::string& first, const char* second, std::size_t size) {
  iovec parts[2] = {{first.data(), first.size()}, {const_cast<char*>(second), size}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  for (;;) {
    const ssize_t sent = ::sendmsg(descriptor, &message, MSG_NOSIGNAL);
    if (sent >= 0 || errno != EINTR) return sent;
  }
}

int write_output(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  auto* const output = static_cast<TlsOutput*>(BIO_get_data(bio));
  const int taken = output->write(from, static_cast<std::size_t>(size));
  if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return taken;
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* one =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sternpost tls output");
    if (one != nullptr) {
      BIO_meth_set_write(one, write_output);
      BIO_meth_set_ctrl(one, control);
      BIO_meth_set_create(one, create);
    }
    return one;
  }();
  return made;
}

}  // namespace

bio_st* TlsOutput::make_bio(int descriptor) {
  BIO* const bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio == nullptr) return nullptr;
  descriptor_ = descriptor;
  BIO_set_data(bio, this);
  return bio;
}

bool TlsOutput::flush() {
  while (!held_.empty()) {
    const ssize_t sent = ::send(descriptor_, held_.data(), held_.size(), MSG_NOSIGNAL);
    if (sent > 0) held_.erase(0, static_cast<std::size_t>(sent));
    if (sent < 0 && errno != EINTR) return false;
  }
  held_ = std::string();  // an idle connection keeps no memory for it
  return true;
}

void TlsOutput::drop() {
  held_ = std::string();
  descriptor_ = -1;
}

// False: there is no memory, so it goes out now.
bool TlsOutput::keep(const char* from, std::size_t size) noexcept {
  try {
    held_.append(from, size);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

// noexcept: it is called through OpenSSL.
int TlsOutput::write(const char* from, std::size_t size) noexcept {
  if (holding_ && held_.size() + size <= most_held && keep(from, size)) {
    return static_cast<int>(size);
  }
  if (!held_.empty()) {
    const ssize_t sent = send_both(descriptor_, held_, from, size);
    if (sent < 0) return -1;
    const auto octets = static_cast<std::size_t>(sent);
    const std::size_t of_held = std::min(octets, held_.size());
    held_.erase(0, of_held);
    if (held_.empty()) held_ = std::string();
    if (octets > of_held) return static_cast<int>(octets - of_held);
    if (!held_.empty()) {
      errno = EAGAIN;
      return -1;
    }
  }
  for (;;) {
    const ssize_t sent = ::send(descriptor_, from, size, MSG_NOSIGNAL);
    if (sent >= 0 || errno != EINTR) return static_cast<int>(sent);
  }
}

}  // namespace proxy
