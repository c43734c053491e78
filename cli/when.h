// A moment as people write it after --since and --until. Pure. Called by cli/audit_query.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace cli {

enum class DayEdge { first, last };

// "2026-11-25" (the day's first or last millisecond, UTC), "2026-11-25T10:30:00Z" or with
// "+01:00" (RFC 3339), "2h" and "3d" (that long before `now`; s, m, h, d).
base::Result<base::WallTime, base::Error> parse_when(std::string_view text, DayEdge edge,
                                                     base::WallTime now);

}  // namespace cli
