// What the members of one report's JSON object mean (RFC 8460 §4.4), and what is noted where a
// reporter wrote them differently. Pure. Called by read_json.cpp alone; apart from it so that
// nlohmann's types stay out of the other headers.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "tlsrpt/read_json.h"

namespace tlsrpt {

// Takes the report's rows from the budget. Fails where the object is no report or goes over a
// limit.
base::Result<ReadReport, base::Error> read_members(const nlohmann::json& object,
                                                   const ReadLimits& limits, ReadBudget& budget);

}  // namespace tlsrpt
