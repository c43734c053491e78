// TlsInput by itself: what its BIO reads, and where the end is.
#include <openssl/bio.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/tls_input.h"

using proxy::TlsInput;

namespace {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

void receive(TlsInput& input, std::string_view octets) {
  const auto room = input.room();
  REQUIRE(room.size() >= octets.size());
  std::memcpy(room.data(), octets.data(), octets.size());
  input.received(octets.size());
}

std::string read(BIO* bio, int size) {
  std::string to(static_cast<std::size_t>(size), '\0');
  const int got = BIO_read(bio, to.data(), size);
  to.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return to;
}

}  // namespace

TEST_CASE("the BIO gives what arrived, asks to be tried again while there is nothing") {
  TlsInput input;
  const std::unique_ptr<BIO, BioFree> bio(input.make_bio());
  REQUIRE(bio);
  char octet = 0;
  CHECK(BIO_read(bio.get(), &octet, 1) == -1);
  CHECK(BIO_should_retry(bio.get()));
  CHECK_FALSE(BIO_eof(bio.get()));
  receive(input, "abcdef");
  CHECK(read(bio.get(), 2) == "ab");
  CHECK_FALSE(input.empty());
  CHECK(read(bio.get(), 100) == "cdef");
  CHECK(input.empty());
}

TEST_CASE("the end comes behind what arrived before it") {
  TlsInput input;
  const std::unique_ptr<BIO, BioFree> bio(input.make_bio());
  receive(input, "x");
  input.end();
  CHECK_FALSE(BIO_eof(bio.get()));
  CHECK(read(bio.get(), 10) == "x");
  char octet = 0;
  CHECK(BIO_read(bio.get(), &octet, 1) == 0);
  CHECK_FALSE(BIO_should_retry(bio.get()));
  CHECK(BIO_eof(bio.get()));
}

TEST_CASE("room grows while it is filled, has a bound, and is given back") {
  TlsInput input;
  const std::unique_ptr<BIO, BioFree> bio(input.make_bio());
  const std::size_t first = input.room().size();
  std::size_t size = first;
  for (int i = 0; i < 10; ++i) {
    size = input.room().size();
    receive(input, std::string(size, 'x'));
    input.release();  // nothing is lost by it
    CHECK(read(bio.get(), static_cast<int>(size)).size() == size);
  }
  CHECK(size == 32768);
  receive(input, "y");
  CHECK(read(bio.get(), 5) == "y");
  input.release();
  CHECK(input.room().size() == first);
}
