// Times of a report's date-range. RFC 8460 §4.4 asks for RFC 3339; reporters also send them without
// a time zone, with a space for the T, or as a date alone. Pure. Called by read_json.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace tlsrpt {

struct ReadTime {
  base::WallTime time{};
  bool exact = true;  // as RFC 3339 has it; otherwise something had to be guessed
};

// nullopt: no time that can be understood. Without a zone it is UTC; years 1970 to 9999.
std::optional<ReadTime> read_time(std::string_view text);

}  // namespace tlsrpt
