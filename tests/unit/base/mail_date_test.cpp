#include "base/mail_date.h"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using std::chrono::sys_days;

TEST_CASE("RFC 5322 §3.3: dates of messages") {
  const auto good = [](std::chrono::sys_seconds local, std::chrono::minutes zone,
                       std::string_view want) { CHECK(base::mail_date(local, zone) == want); };
  good(sys_days{2026y / 11 / 25} + 1h + 2min + 3s, 0min, "Wed, 25 Nov 2026 01:02:03 +0000");
  good(sys_days{2026y / 11 / 1}, -90min, "Sun, 1 Nov 2026 00:00:00 -0130");
  good(sys_days{2024y / 2 / 29} + 23h + 59min + 59s, 14h, "Thu, 29 Feb 2024 23:59:59 +1400");
  good(sys_days{1969y / 12 / 31} + 12h, 0min, "Wed, 31 Dec 1969 12:00:00 +0000");
}
