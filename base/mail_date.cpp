#include "base/mail_date.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace base {

std::string mail_date(std::chrono::sys_seconds local, std::chrono::minutes zone) {
  using namespace std::chrono;
  static constexpr std::array names{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const sys_days day = floor<days>(local);
  const year_month_day ymd(day);
  const hh_mm_ss clock(local - day);
  const auto minutes_off = static_cast<int>(std::clamp<long>(zone.count(), -1439, 1439));
  const int off = minutes_off < 0 ? -minutes_off : minutes_off;
  char out[64] = {};
  std::snprintf(out, sizeof out, "%s, %u %s %04d %02d:%02d:%02d %c%02d%02d",
                names[weekday(day).c_encoding()], static_cast<unsigned>(ymd.day()),
                months[static_cast<unsigned>(ymd.month()) - 1], static_cast<int>(ymd.year()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), minutes_off < 0 ? '-' : '+', off / 60,
                off % 60);
  return out;
}

}  // namespace base
