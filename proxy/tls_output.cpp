#include "proxy/tls_output.h"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

namespace proxy {

namespace {

int descriptor_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

int write_output(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  if (size <= 0) return 0;
  for (;;) {
    const ssize_t sent =
        ::send(descriptor_of(bio), from, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<int>(sent);
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) BIO_set_retry_write(bio);
    return -1;
  }
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

bio_st* make_tls_output(int descriptor) {
  BIO* const bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor)));
  return bio;
}

}  // namespace proxy
