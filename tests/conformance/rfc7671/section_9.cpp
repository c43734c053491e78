#include <catch2/catch.hpp>

#include "tests/unit/dane/certs.h"

using namespace certs;

namespace {

std::vector<dane::Tlsa> usable(std::vector<dane::Tlsa> records) {
  return dane::usable_records(records);
}

}  // namespace

TEST_CASE("RFC 7671 §9: of one usage and selector only the strongest digest is kept") {
  const Issued a = make({.cn = "a"});
  const auto weak = tlsa(3, 1, 1, a);
  const auto strong = tlsa(3, 1, 2, a);
  CHECK(usable({weak, strong}) == std::vector{strong});
  CHECK(usable({strong, weak}) == std::vector{strong});
  CHECK(usable({weak}) == std::vector{weak});
}

TEST_CASE("RFC 7671 §9: a good SHA2-256 beside a wrong SHA2-512 of the same pair fails") {
  const Issued a = make({.cn = "a"});
  const Issued b = make({.cn = "b"});
  const auto records = usable({tlsa(3, 1, 1, a), tlsa(3, 1, 2, b)});
  CHECK_FALSE(evaluate_dane(chain({a}), records, names({"mx.example.com"}), terms).matched);
}

TEST_CASE("RFC 7671 §9: pairs do not touch each other, and Full(0) always stays") {
  const Issued a = make({.cn = "a"});
  const auto full = tlsa(3, 1, 0, a);
  const auto strong = tlsa(3, 1, 2, a);
  const auto anchor = tlsa(2, 0, 1, a);
  const auto other = tlsa(3, 0, 1, a);
  const auto anchor_key = tlsa(2, 1, 1, a);
  CHECK(usable({full, strong, tlsa(3, 1, 1, a), anchor, other, anchor_key}) ==
        std::vector{full, strong, anchor, other, anchor_key});
}

TEST_CASE("RFC 7671 §9: a malformed or unknown digest is dropped before strengths are compared") {
  const Issued a = make({.cn = "a"});
  const auto weak = tlsa(3, 1, 1, a);
  auto cut = tlsa(3, 1, 2, a);
  cut.data.pop_back();
  auto unknown = tlsa(3, 1, 2, a);
  unknown.matching_type = 3;
  CHECK(usable({weak, cut, unknown}) == std::vector{weak});
}

TEST_CASE("RFC 7671 §9: several records of the strongest digest all stay, doubles once") {
  const Issued a = make({.cn = "a"});
  const Issued b = make({.cn = "b"});
  const auto one = tlsa(3, 1, 2, a);
  const auto two = tlsa(3, 1, 2, b);
  CHECK(usable({one, two, one}) == std::vector{one, two});
}
