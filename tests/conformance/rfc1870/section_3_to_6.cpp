#include <catch2/catch.hpp>
#include <cstdint>

#include "smtp/command.h"
#include "smtp/data_scanner.h"
#include "smtp/extensions.h"

namespace {

base::Result<smtp::Command, smtp::Reply> mail(std::string_view parameter) {
  return smtp::parse_command("MAIL FROM:<a@b.example> " + std::string(parameter), false);
}

std::uint64_t octets(std::string_view data) {
  smtp::DataScanner scanner;
  CHECK(scanner.scan(data).ended);
  return scanner.octets();
}

}  // namespace

TEST_CASE("RFC 1870 §3: SIZE takes one to twenty digits") {
  const auto size = [](std::string_view parameter) {
    return std::get<smtp::Mail>(mail(parameter).value()).parameters.size;
  };
  CHECK(size("SIZE=0") == 0U);
  CHECK(size("size=500000") == 500000U);
  CHECK(size("SIZE=00000000000000000001") == 1U);
  CHECK(size("SIZE=18446744073709551615") == UINT64_MAX);
  CHECK(size("SIZE=99999999999999999999") == UINT64_MAX);
  CHECK_FALSE(std::get<smtp::Mail>(mail("").value()).parameters.size);
  for (const auto* parameter : {"SIZE", "SIZE=", "SIZE=-1", "SIZE=1x", "SIZE=0x10", "SIZE=+1",
                                "SIZE=000000000000000000001", "SIZE=1 SIZE=1"}) {
    CAPTURE(parameter);
    REQUIRE_FALSE(mail(parameter).has_value());
    CHECK(mail(parameter).error().str().starts_with("501 5.5.4"));
  }
}

TEST_CASE("RFC 1870 §3: SIZE 0 and SIZE without a number tell no limit") {
  smtp::Reply ehlo;
  ehlo.code = 250;
  ehlo.lines = {"mx", "SIZE"};
  CHECK(parse_extensions(ehlo).size);
  CHECK(parse_extensions(ehlo).size_limit == 0);
  ehlo.lines[1] = "SIZE 1000";
  CHECK(parse_extensions(ehlo).size_limit == 1000);
  ehlo.lines.pop_back();
  CHECK_FALSE(parse_extensions(ehlo).size);
}

TEST_CASE("RFC 1870 §5: a message's size counts each CRLF, no stuffed dot and no final dot") {
  CHECK(octets(".\r\n") == 0);
  CHECK(octets("ab\r\n.\r\n") == 4);
  CHECK(octets("ab\r\n..\r\n...c\r\n.\r\n") == 4 + 3 + 5);
  CHECK(octets("\r\n\r\n.\r\n") == 4);
}
