#include "base/mail_date.h"

#include <algorithm>
#include <array>

namespace base {
namespace {

// In decimal, with zeros before it up to `width` digits. Every message has a date, so no printf.
template <class Number>
void put(std::string& out, Number value, std::size_t width) {
  const std::string digits = std::to_string(value);
  out.append(width - std::min(width, digits.size()), '0');
  out += digits;
}

}  // namespace

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
  std::string out = names[weekday(day).c_encoding()];
  out.reserve(sizeof "Sun, 31 Dec 2026 23:59:59 +0000");
  out += ", ";
  put(out, static_cast<unsigned>(ymd.day()), 1);
  out += ' ';
  out += months[static_cast<unsigned>(ymd.month()) - 1];
  out += ' ';
  put(out, static_cast<int>(ymd.year()), 4);
  out += ' ';
  put(out, clock.hours().count(), 2);
  out += ':';
  put(out, clock.minutes().count(), 2);
  out += ':';
  put(out, clock.seconds().count(), 2);
  out += minutes_off < 0 ? " -" : " +";
  put(out, off / 60, 2);
  put(out, off % 60, 2);
  return out;
}

}  // namespace base
