#include "smtp/extensions.h"

#include <catch2/catch.hpp>

using smtp::Extensions;
using smtp::parse_extensions;

namespace {

Extensions of(std::vector<std::string> lines) {
  smtp::Reply reply;
  reply.code = 250;
  reply.lines = std::move(lines);
  return parse_extensions(reply);
}

}  // namespace

TEST_CASE("keywords are known in any case, unknown ones passed over") {
  const Extensions got = of({"mx.example at your service", "size 35882577", "8BitMime", "StartTLS",
                             "EnhancedStatusCodes", "PIPELINING", "CHUNKING", "SMTPUTF8", "DSN",
                             "X-UNKNOWN 1 2", "", "AUTH=LOGIN PLAIN"});
  const Extensions want{"mx.example", true, 35882577, true, true, true, true, true, true, true};
  CHECK(got == want);
}

TEST_CASE("the first line is the name, not an extension") {
  CHECK(of({"STARTTLS"}) == Extensions{.helo_name = "STARTTLS"});
  CHECK(of({}) == Extensions{});
  CHECK_FALSE(of({"mx", "XSTARTTLS", "STARTTLSX", "NO STARTTLS"}).starttls);
}

TEST_CASE("a size limit that cannot be read is no limit, one past 64 bits the largest") {
  for (const auto* line : {"SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE 12x", "SIZE "}) {
    CAPTURE(line);
    CHECK(of({"mx", line}).size);
    CHECK(of({"mx", line}).size_limit == 0);
  }
  CHECK(of({"mx", "SIZE=1000"}).size_limit == 1000);
  CHECK(of({"mx", "SIZE  1000 "}).size_limit == 1000);
  CHECK(of({"mx", "SIZE 99999999999999999999"}).size_limit == UINT64_MAX);
}
