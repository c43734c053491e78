#include "cli/when.h"

#include "base/encode.h"
#include "config/values.h"
#include "tlsrpt/read_time.h"
#include "tlsrpt/report.h"

namespace cli {

base::Result<base::WallTime, base::Error> parse_when(std::string_view text, DayEdge edge,
                                                     base::WallTime now) {
  if (const auto day = tlsrpt::parse_day(text)) {
    if (edge == DayEdge::first) return base::WallTime(*day);
    return base::WallTime(*day + std::chrono::days(1)) - std::chrono::milliseconds(1);
  }
  const auto time = tlsrpt::read_time(text);
  if (time && time->exact) return time->time;
  config::Node node;
  node.value = std::string(text);
  const auto back = config::read<config::Duration>(node);
  if (back && *back <= now.time_since_epoch()) return now - *back;
  return base::fail("\"" + base::printable(text) +
                    "\" is no time; write 2026-11-25, 2026-11-25T10:30:00Z, 2h or 3d");
}

}  // namespace cli
