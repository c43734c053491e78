// The Report as JSON: every key stands in every document, null where there is nothing to say.
// docs/check.md names each key; a test compares. Pure.
#pragma once

#include <string>

#include "check/report.h"

namespace check {

inline constexpr int json_schema = 1;

// One document, indented, in ASCII, with a newline at its end.
std::string to_json(const Report& report);

}  // namespace check
