#include "tlsrpt/read_time.h"

#include "base/encode.h"

namespace tlsrpt {
namespace {

class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool skip(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly `digits` digits, or -1.
  int number(std::size_t digits) {
    if (rest_.size() < digits) return -1;
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      if (!is_digit(rest_[i])) return -1;
      value = value * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  bool at_digit() const { return !rest_.empty() && is_digit(rest_.front()); }
  bool at_sign() const { return !rest_.empty() && (rest_.front() == '+' || rest_.front() == '-'); }
  bool negative() const { return rest_.front() == '-'; }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  std::string_view rest_;
};

std::optional<std::chrono::sys_days> read_day(Cursor& at) {
  const int year = at.number(4);
  if (year < 1970 || !at.skip("-")) return std::nullopt;
  const int month = at.number(2);
  if (month < 1 || !at.skip("-")) return std::nullopt;
  const int day = at.number(2);
  if (day < 1) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date);
}

// hh:mm[:ss[.fraction]]; 24:00:00 is the end of the day and a leap second counts as the one before.
std::optional<std::chrono::milliseconds> read_clock(Cursor& at, bool& exact) {
  const int hours = at.number(2);
  if (hours < 0 || hours > 24 || !at.skip(":")) return std::nullopt;
  const int minutes = at.number(2);
  if (minutes < 0 || minutes > 59) return std::nullopt;
  int seconds = 0;
  int thousandths = 0;
  if (at.skip(":")) {
    seconds = at.number(2);
    if (seconds < 0 || seconds > 60) return std::nullopt;
    if (at.skip(".,")) {
      if (!at.at_digit()) return std::nullopt;
      for (int scale = 100; at.at_digit(); scale /= 10) thousandths += at.number(1) * scale;
    }
  } else {
    exact = false;
  }
  if (hours == 24) {
    exact = false;
    if (minutes + seconds + thousandths != 0) return std::nullopt;
  }
  return std::chrono::hours(hours) + std::chrono::minutes(minutes) +
         std::chrono::seconds(seconds == 60 ? 59 : seconds) +
         std::chrono::milliseconds(thousandths);
}

// Z, +hh:mm, +hhmm, +hh, or nothing.
std::optional<std::chrono::minutes> read_zone(Cursor& at, bool& exact) {
  if (at.skip("Zz")) return std::chrono::minutes(0);
  if (!at.at_sign()) {
    exact = false;
    return std::chrono::minutes(0);
  }
  const bool negative = at.negative();
  at.skip("+-");
  const int hours = at.number(2);
  if (hours < 0 || hours > 23) return std::nullopt;
  int minutes = 0;
  const bool colon = at.skip(":");
  if (!colon) exact = false;
  if (colon || at.at_digit()) {
    minutes = at.number(2);
    if (minutes < 0 || minutes > 59) return std::nullopt;
  }
  const std::chrono::minutes zone = std::chrono::hours(hours) + std::chrono::minutes(minutes);
  return negative ? -zone : zone;
}

}  // namespace

std::optional<ReadTime> read_time(std::string_view text) {
  Cursor at(base::trim(text));
  ReadTime out;
  const auto day = read_day(at);
  if (!day) return std::nullopt;
  out.time = *day;
  if (at.done()) {
    out.exact = false;
    return out;
  }
  // RFC 3339 §5.6 lets applications write a space for the T.
  if (!at.skip("Tt ")) return std::nullopt;
  const auto clock = read_clock(at, out.exact);
  if (!clock) return std::nullopt;
  while (at.skip(" ")) out.exact = false;
  const auto zone = read_zone(at, out.exact);
  if (!zone || !at.done()) return std::nullopt;
  out.time += *clock - *zone;
  return out;
}

}  // namespace tlsrpt
