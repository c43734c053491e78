// TlsOutput by itself: what it keeps, in which order and how many pieces it goes out, and what a
// full socket changes.
#include <openssl/bio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/tls_output.h"

using proxy::TlsOutput;

namespace {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

struct Way {
  explicit Way(int type = SOCK_SEQPACKET) {
    REQUIRE(::socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, ends.data()) == 0);
    bio.reset(output.make_bio(ends[0]));
    REQUIRE(bio);
  }
  ~Way() {
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  int write(std::string_view octets) {
    return BIO_write(bio.get(), octets.data(), static_cast<int>(octets.size()));
  }
  // What one system call sent; "" where nothing is there.
  std::string arrived() {
    std::string text(65536, '\0');
    const ssize_t got = ::recv(ends[1], text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  std::array<int, 2> ends{};
  TlsOutput output;
  std::unique_ptr<BIO, BioFree> bio;
};

}  // namespace

TEST_CASE("what is written goes out at once, each by itself") {
  Way way;
  CHECK(way.write("one") == 3);
  CHECK(way.write("two") == 3);
  CHECK(way.arrived() == "one");
  CHECK(way.arrived() == "two");
}

TEST_CASE("what is held goes out with what is written next, in one piece") {
  Way way;
  way.output.hold();
  CHECK(way.write("Finished,") == 9);
  CHECK(way.write("more,") == 5);
  CHECK(way.arrived().empty());
  CHECK_FALSE(way.output.is_empty());
  way.output.let_go();
  CHECK(way.arrived().empty());
  CHECK(way.write("EHLO") == 4);
  CHECK(way.arrived() == "Finished,more,EHLO");
  CHECK(way.output.is_empty());
  CHECK(way.write("MAIL") == 4);
  CHECK(way.arrived() == "MAIL");
}

TEST_CASE("flush sends what is held, and nothing where nothing is") {
  Way way;
  CHECK(way.output.flush());
  way.output.hold();
  CHECK(way.write("Finished") == 8);
  CHECK(way.output.flush());
  CHECK(way.arrived() == "Finished");
  CHECK(way.output.is_empty());
  CHECK(way.output.flush());
  CHECK(way.arrived().empty());
}

TEST_CASE("no more than a few kilobytes are held: they go out with what is too much") {
  Way way;
  way.output.hold();
  const std::string half(5000, 'a'), other(5000, 'b');
  CHECK(way.write(half) == 5000);
  CHECK(way.arrived().empty());
  CHECK(way.write(other) == 5000);
  CHECK(way.arrived() == half + other);
}

TEST_CASE("a peer that has gone is an error without a signal, for what is held too") {
  Way way(SOCK_STREAM);
  way.output.hold();
  CHECK(way.write("Finished") == 8);
  ::close(std::exchange(way.ends[1], -1));
  CHECK_FALSE(way.output.flush());
  CHECK(errno == EPIPE);
  way.output.let_go();
  CHECK(way.write("QUIT") == -1);
  CHECK(errno == EPIPE);
  CHECK(BIO_should_retry(way.bio.get()) == 0);
}

TEST_CASE("a full socket: what could not go is tried again, nothing is lost, doubled or moved") {
  const auto seed = static_cast<unsigned>(GENERATE(range(1, 40)));
  std::minstd_rand random(seed);
  Way way(SOCK_STREAM);
  const int small = 2048;
  ::setsockopt(way.ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  std::string written, got;
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string octets(1 + random() % 3000, static_cast<char>('a' + i % 26));
    random() % 3 == 0 ? way.output.hold() : way.output.let_go();
    // As OpenSSL does: the same octets until all of them were taken.
    while (!octets.empty()) {
      const int taken = way.write(octets);
      if (taken > 0) {
        written += octets.substr(0, static_cast<std::size_t>(taken));
        octets.erase(0, static_cast<std::size_t>(taken));
        continue;
      }
      REQUIRE(BIO_should_retry(way.bio.get()) != 0);
      ++refused;
      got += way.arrived();
    }
    if (random() % 8 == 0) (void)way.output.flush();
    if (random() % 4 == 0) got += way.arrived();
  }
  while (!way.output.flush()) {
    REQUIRE(errno == EAGAIN);
    got += way.arrived();
  }
  for (std::string more = way.arrived(); !more.empty(); more = way.arrived()) got += more;
  CHECK(refused > 0);
  CHECK(got == written);
}
