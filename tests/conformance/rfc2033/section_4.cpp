#include <catch2/catch.hpp>

#include "smtp/command.h"

TEST_CASE("RFC 2033 §4.1: LHLO has EHLO's syntax and is told apart from it") {
  CHECK(std::holds_alternative<smtp::Lhlo>(smtp::parse_command("lhlo a.example", false).value()));
  CHECK(std::holds_alternative<smtp::Ehlo>(smtp::parse_command("EHLO a.example", false).value()));
  CHECK_FALSE(smtp::parse_command("LHLO", false).has_value());
}
