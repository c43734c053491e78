#include "tlsrpt/read_time.h"

#include <catch2/catch.hpp>
#include <string>

namespace {

using namespace std::chrono;

base::WallTime at(int y, unsigned m, unsigned d, int h = 0, int min = 0, int s = 0, int ms = 0) {
  return sys_days(year(y) / static_cast<int>(m) / static_cast<int>(d)) + hours(h) + minutes(min) +
         seconds(s) + milliseconds(ms);
}

void good(const std::string& text, base::WallTime want, bool exact) {
  INFO(text);
  const auto read = tlsrpt::read_time(text);
  REQUIRE(read);
  CHECK(read->time == want);
  CHECK(read->exact == exact);
}

void bad(const std::string& text) {
  INFO(text);
  CHECK_FALSE(tlsrpt::read_time(text));
}

}  // namespace

TEST_CASE("RFC 8460 §4.4: a time as RFC 3339 has it") {
  good("2026-11-18T00:00:00Z", at(2026, 11, 18), true);
  good("2026-11-18t23:59:59z", at(2026, 11, 18, 23, 59, 59), true);
  good("2026-11-18 23:59:59Z", at(2026, 11, 18, 23, 59, 59), true);
  good("2026-11-18T01:30:00+02:00", at(2026, 11, 17, 23, 30), true);
  good("2026-11-18T23:30:00-00:45", at(2026, 11, 19, 0, 15), true);
  good("2026-11-18T00:00:00.25Z", at(2026, 11, 18, 0, 0, 0, 250), true);
  good("2026-11-18T00:00:00.123456789Z", at(2026, 11, 18, 0, 0, 0, 123), true);
  good("2016-12-31T23:59:60Z", at(2016, 12, 31, 23, 59, 59), true);
  good("2024-02-29T00:00:00Z", at(2024, 2, 29), true);
}

TEST_CASE("RFC 8460 §4.4: times that reporters send otherwise are understood and told apart") {
  good("2026-11-18T00:00:00", at(2026, 11, 18), false);   // no zone
  good("2026-11-18", at(2026, 11, 18), false);            // no time of day
  good("2026-11-18T12:34Z", at(2026, 11, 18, 12, 34), false);
  good("2026-11-18T24:00:00Z", at(2026, 11, 19), false);
  good("2026-11-18T00:00:00+0200", at(2026, 11, 17, 22), false);
  good("2026-11-18T00:00:00-05", at(2026, 11, 18, 5), false);
  good("2026-11-18 00:00:00 +00:00", at(2026, 11, 18), false);
  good("  2026-11-18T00:00:00Z ", at(2026, 11, 18), true);
}

TEST_CASE("what is no time is none") {
  bad("");
  bad("yesterday");
  bad("2026-13-01");
  bad("2026-02-30T00:00:00Z");
  bad("2026-11-18T25:00:00Z");
  bad("2026-11-18T24:00:01Z");
  bad("2026-11-18T00:60:00Z");
  bad("2026-11-18T00:00:61Z");
  bad("2026-11-18T00:00:00.Z");
  bad("2026-11-18T00:00:00+");
  bad("2026-11-18T00:00:00+24:00");
  bad("2026-11-18T00:00:00Zulu");
  bad("2026-11-18X00:00:00Z");
  bad("1969-12-31T00:00:00Z");
  bad("26-11-18");
  bad("2026-1-8");
  bad("2026-11-18T00:00:00+02:0");
}
